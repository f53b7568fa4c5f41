//! Runs frozen convolutional networks on the CPU: a [Burn](burn) module, compiled into one fused
//! plan.
//!
//! [`Plan::compile`] records what a module does, through Burn's operation capture, so that the
//! network is described once, in Burn. Batch norms, offsets, activations and sums are folded into
//! the convolutions; pictures are held with their channels innermost from end to end; weights are
//! packed once. [`Plan::run`] then needs nothing of Burn.
//!
//! ```
//! use burn::{
//!     nn::{conv::Conv2dConfig, PaddingConfig2d},
//!     tensor::{activation::relu, Device},
//! };
//! use fused_cpu::{Plan, Workspace};
//!
//! let network = Conv2dConfig::new([3, 8], [3, 3])
//!     .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
//!     .init(&Device::flex());
//! let plan = Plan::compile(&network, [1, 3, 32, 32], |network, x| relu(network.forward(x)))?;
//!
//! let mut workspace = Workspace::new();
//! let picture = vec![0.5; 20 * 30 * 3];
//! plan.run(&mut workspace, &picture, [1, 20, 30, 3])?;
//! let (values, shape) = workspace.output(0);
//! assert_eq!(shape, [1, 20, 30, 8]);
//! assert!(values.iter().all(|value| *value >= 0.0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What a plan can hold
//!
//! Convolutions of any kernel, stride, padding and dilation, dense or depthwise; batch norms,
//! factors and offsets a channel; ReLU and clamps; sums; maximum and average pooling; the mean of
//! all pixels; the L2 norm over the channels; softmax over them; dense layers; joining by channels;
//! and the flattening of an SSD's heads (`permute([0, 2, 3, 1])`, then `reshape` to `[batch, n,
//! values]`) and their joining. Anything else is an error when compiling.

mod engine;
mod error;
mod execution;
pub mod graph;
mod kernel;
mod layout;
mod plan;
mod shared_plan;
mod trace;
mod workspace;

pub use engine::{Engine, ParseEngineError};
pub use error::{CompileError, RunError};
pub use graph::Graph;
pub use kernel::{Epilogue, Isa, Window, pooling::Pooling};
pub use plan::Plan;
pub use shared_plan::SharedPlan;
pub use trace::Outputs;
pub use workspace::Workspace;
