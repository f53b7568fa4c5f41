//! Networks where they run: on a device through Burn, or on the CPU as a fused plan.

use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use fused_cpu::{Engine, Plan, SharedPlan};

use crate::{CROP_SIDE, CropBatch, MaskModelError};

/// What a network makes of crops `[batch, 3, 224, 224]`: `[batch, outputs]`.
type Forward<N> = fn(&N, Tensor<4>) -> Tensor<2>;

/// A loaded network, ready to run.
#[derive(Debug)]
pub(crate) enum Execution<N> {
    Burn { network: Box<N>, forward: Forward<N>, device: Device },
    Fused(SharedPlan),
}

impl<N: Module> Execution<N> {
    pub(crate) fn new(
        network: N,
        forward: Forward<N>,
        engine: Engine,
        device: &Device,
    ) -> Result<Self, MaskModelError> {
        if !engine.uses_plan(device) {
            let (network, device) = (Box::new(network), device.clone());
            return Ok(Self::Burn { network, forward, device });
        }
        let side = CROP_SIDE as usize;
        let plan = Plan::compile(&network, [1, 3, side, side], forward)?;
        Ok(Self::Fused(SharedPlan::new(plan)))
    }

    /// The network's outputs, `[batch, outputs]`.
    pub(crate) fn run(&self, batch: CropBatch) -> Result<Vec<f32>, MaskModelError> {
        match self {
            Self::Burn { network, forward, device } => forward(network, batch.into_tensor(device))
                .try_into_vec_as()
                .map_err(|error| MaskModelError::Output(error.to_string())),
            Self::Fused(plan) => {
                Ok(plan
                    .run(batch.values(), batch.shape(), |outputs| outputs.output(0).0.to_vec())?)
            }
        }
    }
}
