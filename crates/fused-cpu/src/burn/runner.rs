//! A network where it runs: on a device through Burn, or on the CPU as a plan.

use std::fmt;

use burn::{
    module::Module,
    tensor::{Device, Tensor, TensorData},
};

use super::{Engine, Outputs};
use crate::{CompileError, Plan, RunError, SharedPlan};

/// Why a network could not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunnerError {
    /// The plan could not run.
    #[error(transparent)]
    Plan(#[from] RunError),
    /// The output could not be read back from the device.
    #[error("cannot read the network's output: {0}")]
    Output(String),
}

/// A loaded network, ready to run. May be shared between threads.
pub struct Runner<N, O>(Kind<N, O>);

enum Kind<N, O> {
    Burn { network: Box<N>, forward: fn(&N, Tensor<4>) -> O, device: Device },
    Plan(SharedPlan),
}

impl<N: Module, O: Outputs> Runner<N, O> {
    /// Prepares `forward`, which maps `[batch, channels, height, width]`, to run on `device`, where
    /// `network` must live. `example` is an input shape to record it with.
    ///
    /// # Errors
    /// If a plan cannot hold the network.
    pub fn new(
        network: N,
        example: [usize; 4],
        forward: fn(&N, Tensor<4>) -> O,
        engine: Engine,
        device: &Device,
    ) -> Result<Self, CompileError> {
        Ok(Self(if engine.uses_plan(device) {
            Kind::Plan(SharedPlan::new(Plan::compile(&network, example, forward)?))
        } else {
            Kind::Burn { network: Box::new(network), forward, device: device.clone() }
        }))
    }

    /// Runs the network on values of shape `[batch, height, width, channels]`; each output's values,
    /// row-major.
    ///
    /// # Errors
    /// If the values do not have this shape, do not fit the network, or the device fails.
    pub fn run(&self, values: &[f32], shape: [usize; 4]) -> Result<Vec<Vec<f32>>, RunnerError> {
        match &self.0 {
            Kind::Burn { network, forward, device } => {
                let elements = shape.iter().try_fold(1usize, |n, side| n.checked_mul(*side));
                if elements != Some(values.len()) {
                    return Err(RunError::Input { shape, found: values.len() }.into());
                }
                let data = TensorData::new(values.to_vec(), shape);
                let input = Tensor::<4>::from_data(data, device).permute([0, 3, 1, 2]);
                forward(network, input).into_values().map_err(RunnerError::Output)
            }
            Kind::Plan(plan) => Ok(plan.run(values, shape, |workspace| {
                let outputs = 0..plan.plan().outputs();
                outputs.map(|index| workspace.output(index).0.to_vec()).collect()
            })?),
        }
    }

    /// Returns the memory that is kept for the next run.
    pub fn trim(&self) {
        if let Kind::Plan(plan) = &self.0 {
            plan.trim();
        }
    }
}

impl<N, O> fmt::Debug for Runner<N, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Burn { .. } => "Runner(burn)",
            Kind::Plan(_) => "Runner(plan)",
        })
    }
}
