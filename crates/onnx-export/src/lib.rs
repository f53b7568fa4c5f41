//! ONNX files from [`fused_cpu::Graph`]: the same description of a network that plans are compiled
//! from, so that an export needs no second one.
//!
//! burn-onnx's exporter knows neither permutation nor softmax and packs lists so that some readers
//! cannot read them; this writer does what the project's networks need, channels
//! first. [`proto`] is the file format alone.
//!
//! ```
//! use fused_cpu::{Activation, Graph, Operation, ValueId};
//! use onnx_export::{Export, ExportOutput};
//!
//! let mut graph = Graph::new(3);
//! let mean = graph.add(Operation::GlobalAverage, &[ValueId::INPUT])?;
//! let silu = graph.activate(mean, Activation::Silu)?;
//! graph.set_outputs(&[silu])?;
//! let outputs = [ExportOutput { name: "means", values: 3, rows: false }];
//! let metadata = &[("preprocessing", "RGB, 0 to 1")];
//! let export = Export { metadata, ..Export::new("mean", &graph, &outputs) };
//! assert!(export.encode("an example")?.len() > 100);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod boxes;
mod image;
pub mod proto;
#[cfg(feature = "verify")]
mod verify;
mod writer;

pub use boxes::{BOXES, BoxDecoding, SCORES};
pub use image::{IMAGE, ImageInput};
pub use proto::OperatorSetVersion;
#[cfg(feature = "verify")]
pub use verify::{VerifyError, run, verify};
pub use writer::{Export, ExportError, ExportOutput, INPUT, Storage};
