//! Runs convolutional networks on the CPU: a network, compiled into one fused plan.
//!
//! A [`Graph`] says what the network computes. It is built by hand, or recorded from a [Burn]
//! module by `Plan::compile` (feature `burn`, on by default), so that the network is described
//! once. Batch norms, offsets, activations and sums are folded into the convolutions; images are
//! held with their channels innermost from end to end; weights are packed once. [`Plan::run`] needs
//! nothing of Burn.
//!
//! A [`Calibration`] finds what it takes to multiply in eight bits instead of floats.
//!
//! With the feature `train`, a `TrainingPlan` also yields the gradients of parameters.
//!
//! [Burn]: https://burn.dev
#![cfg_attr(feature = "burn", doc = "```")]
#![cfg_attr(not(feature = "burn"), doc = "```ignore")]
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
//! plan.run(&mut workspace, &vec![0.5; 20 * 30 * 3], [1, 20, 30, 3])?;
//! assert_eq!(workspace.output(0).1, [1, 20, 30, 8]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What a plan can hold
//!
//! Convolutions of any kernel, stride, padding and dilation, dense, grouped or depthwise; batch
//! norms, factors and offsets per channel; ReLU and clamps, sigmoid, SiLU, hard-swish, PReLU; sums;
//! maximum and average pooling; the mean of all pixels; nearest-neighbour upsampling by whole
//! factors; the L2 norm over the channels; softmax over them; dense layers; concatenation of
//! channels; and the flattening of an SSD's heads (`permute([0, 2, 3, 1])`, then `reshape` to
//! `[batch, n, values]`) and their concatenation. Anything else is an error when compiling.

mod activation;
#[cfg(feature = "burn")]
mod burn;
mod chain;
mod error;
mod execution;
mod fuse;
mod graph;
mod layout;
mod memory;
pub mod ops;
mod plan;
mod quantization;
mod shared_plan;
mod simd;
mod team;
#[cfg(feature = "train")]
mod training;
mod view;
mod window;
mod workspace;

pub use activation::{Activation, Clamp};
#[cfg(feature = "burn")]
pub use burn::{
    Arithmetic, Engine, Outputs, ParseArithmeticError, ParseEngineError, Runner, RunnerError,
    RunnerOptions,
};
pub use error::{CompileError, RunError};
pub use graph::{Graph, Layer, Parameter, Slot, ValueId};
pub use ops::Operation;
pub use plan::Plan;
pub use quantization::{Calibration, InputRanges, ParseRangesError, ValueRange};
pub use shared_plan::SharedPlan;
pub use simd::Isa;
#[cfg(feature = "train")]
pub use training::TrainingPlan;
pub use window::Window;
pub use workspace::Workspace;
