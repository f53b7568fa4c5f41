//! What can go wrong in face detection.

use fused_cpu::{CompileError, RunnerError};
use image_input::ViewError;
use weights_file::WeightsError;

use crate::PriorLayout;

/// An error of the face detector.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FaceSsdError {
    /// The network's weights cannot be used.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The input size is outside what the network takes.
    #[error("input size {0} is not between {min} and {max} pixels per side", min = crate::InputSize::MIN_SIDE, max = crate::InputSize::MAX_SIDE)]
    InputSize(u32),
    /// Tiles are smaller than what the network takes.
    #[error("tiles of {0} pixels are too small; the least is {min}", min = crate::InputSize::MIN_SIDE)]
    TileSize(u32),
    /// A text is not an input size.
    #[error("invalid input size `{0}`; valid are a side such as 300, WIDTHxHEIGHT, and long:N")]
    ParseInputSize(String),
    /// A text is not a prior layout.
    #[error("invalid prior layout `{0}`; valid are corrected, squares and caffe")]
    ParsePriorLayout(String),
    /// The weights were trained with other prior boxes.
    #[error("the face network's weights are of the prior layout {trained}, not {asked}")]
    PriorLayout {
        /// What was asked for.
        asked: PriorLayout,
        /// What the weights were trained with.
        trained: PriorLayout,
    },
    /// The image cannot be used.
    #[error(transparent)]
    Image(#[from] ViewError),
    /// The network could not be compiled for the CPU.
    #[error("cannot prepare the face network for the CPU")]
    Compile(#[from] CompileError),
    /// The network could not run.
    #[error("the face network cannot run")]
    Run(#[from] RunnerError),
}
