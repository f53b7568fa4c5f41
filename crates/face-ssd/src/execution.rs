//! The network where it runs: on a device through Burn, or on the CPU as a fused plan.

use burn::tensor::{Device, Tensor};
use fused_cpu::{Engine, Plan, SharedPlan};

use crate::{
    FaceSsdError, InputBatch, InputSize,
    network::{Res10Ssd, SsdOutput},
};

/// A loaded network, ready to run.
#[derive(Debug)]
pub(crate) enum Execution {
    Burn { network: Box<Res10Ssd>, device: Device },
    Fused(SharedPlan),
}

/// The network's output for a batch, as numbers.
#[derive(Debug, Clone)]
pub(crate) struct OutputValues {
    /// `[batch, priors, 4]`.
    pub(crate) locations: Vec<f32>,
    /// `[batch, priors, 2]`.
    pub(crate) confidences: Vec<f32>,
}

impl Execution {
    pub(crate) fn new(
        network: Res10Ssd,
        engine: Engine,
        device: &Device,
    ) -> Result<Self, FaceSsdError> {
        if !engine.uses_plan(device) {
            return Ok(Self::Burn { network: Box::new(network), device: device.clone() });
        }
        // Any size will do: the plan then runs at every other.
        let side = InputSize::MIN_SIDE as usize;
        let plan = Plan::compile(&network, [1, 3, side, side], |network, input| {
            let SsdOutput { locations, confidences } = network.forward(input);
            (locations, confidences)
        })?;
        Ok(Self::Fused(SharedPlan::new(plan)))
    }

    pub(crate) fn run(&self, batch: InputBatch) -> Result<OutputValues, FaceSsdError> {
        match self {
            Self::Burn { network, device } => {
                let output = network.forward(batch.into_tensor(device));
                let read = |tensor: Tensor<3>| {
                    tensor
                        .try_into_vec_as()
                        .map_err(|error| FaceSsdError::Output(error.to_string()))
                };
                Ok(OutputValues {
                    locations: read(output.locations)?,
                    confidences: read(output.confidences)?,
                })
            }
            Self::Fused(plan) => Ok(plan.run(batch.values(), batch.shape(), |outputs| {
                let values = |index| outputs.output(index).0.to_vec();
                OutputValues { locations: values(0), confidences: values(1) }
            })?),
        }
    }
}
