//! Backbone and head where they run: on a device through Burn, or on the CPU as a fused plan.

use burn::tensor::{Device, Tensor, activation::softmax};
use fused_cpu::{Engine, Plan, SharedPlan};

use crate::{Backbone, CROP_SIDE, CropBatch, MaskHead, MaskModelError};

/// Loaded networks, ready to run.
#[derive(Debug)]
pub(crate) enum Execution {
    Burn { networks: Box<(Backbone, MaskHead)>, device: Device },
    Fused(SharedPlan),
}

impl Execution {
    pub(crate) fn new(
        backbone: Backbone,
        head: MaskHead,
        engine: Engine,
        device: &Device,
    ) -> Result<Self, MaskModelError> {
        let networks = (backbone, head);
        if !engine.uses_plan(device) {
            return Ok(Self::Burn { networks: Box::new(networks), device: device.clone() });
        }
        let side = CROP_SIDE as usize;
        let plan = Plan::compile(&networks, [1, 3, side, side], probabilities)?;
        Ok(Self::Fused(SharedPlan::new(plan)))
    }

    /// Class probabilities, `[batch, classes]`.
    pub(crate) fn run(&self, batch: CropBatch) -> Result<Vec<f32>, MaskModelError> {
        match self {
            Self::Burn { networks, device } => {
                probabilities(networks.as_ref(), batch.into_tensor(device))
                    .try_into_vec_as()
                    .map_err(|error| MaskModelError::Output(error.to_string()))
            }
            Self::Fused(plan) => {
                Ok(plan
                    .run(batch.values(), batch.shape(), |outputs| outputs.output(0).0.to_vec())?)
            }
        }
    }
}

fn probabilities((backbone, head): &(Backbone, MaskHead), crops: Tensor<4>) -> Tensor<2> {
    softmax(head.forward(backbone.forward(crops)), 1)
}
