//! A network where it runs: on a device through Burn, or on the CPU as a plan.

use std::fmt;

use burn::{
    module::Module,
    tensor::{Device, Tensor, TensorData},
};

use super::{Arithmetic, Engine, Outputs};
use crate::{CompileError, Graph, InputRanges, Isa, Plan, RunError, SharedPlan};

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

/// How a network is to run.
#[derive(Debug, Clone, Copy, Default)]
pub struct RunnerOptions<'a> {
    /// What runs it.
    pub engine: Engine,
    /// In what a plan multiplies. None: in eight bits, if there are ranges for it and the processor is faster so
    /// ([`Isa::multiplies_bytes`]).
    pub arithmetic: Option<Arithmetic>,
    /// The network's ranges, if they are known.
    pub input_ranges: Option<&'a InputRanges>,
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
    /// If a plan cannot hold the network, the ranges are another network's, or eight bits are asked for where there
    /// are no ranges or no plan.
    pub fn new(
        network: N,
        example: [usize; 4],
        forward: fn(&N, Tensor<4>) -> O,
        options: RunnerOptions<'_>,
        device: &Device,
    ) -> Result<Self, CompileError> {
        let RunnerOptions { engine, arithmetic, input_ranges } = options;
        if !engine.uses_plan(device) {
            if arithmetic == Some(Arithmetic::Int8) {
                return Err(CompileError::Int8WithoutPlan);
            }
            return Ok(Self(Kind::Burn {
                network: Box::new(network),
                forward,
                device: device.clone(),
            }));
        }
        let mut graph = Graph::trace(&network, example, forward)?;
        match (arithmetic, input_ranges) {
            (Some(Arithmetic::Int8), None) => return Err(CompileError::NoRanges),
            (Some(Arithmetic::Int8), Some(ranges)) => graph.quantize(ranges)?,
            (None, Some(ranges)) if Isa::best().multiplies_bytes() => graph.quantize(ranges)?,
            (Some(Arithmetic::F32) | None, _) => {}
        }
        Ok(Self(Kind::Plan(SharedPlan::new(Plan::from_graph(graph)?))))
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
