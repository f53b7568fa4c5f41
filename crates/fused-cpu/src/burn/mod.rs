//! The edge to Burn: recording modules, and running them either way.

mod constant;
mod engine;
mod outputs;
mod runner;
mod trace;
#[cfg(feature = "train")]
mod training;

use burn::{module::Module, tensor::Tensor};

pub use engine::{Arithmetic, Engine, ParseArithmeticError, ParseEngineError};
pub use outputs::Outputs;
pub use runner::{Runner, RunnerError, RunnerOptions};

use crate::{CompileError, Graph, Isa, Plan};

impl Graph {
    /// Records what `forward` does with an input of shape `example`, `[batch, channels, height,
    /// width]`, and fuses what can be fused.
    ///
    /// # Errors
    /// If the network does something that the [crate's documentation](crate) does not name.
    pub fn trace<M: Module, O: Outputs>(
        module: &M,
        example: [usize; 4],
        forward: impl FnOnce(&M, Tensor<4>) -> O,
    ) -> Result<Self, CompileError> {
        let (mut graph, _) = trace::trace(module, example, forward)?;
        graph.fuse();
        Ok(graph)
    }

    /// As [`Graph::trace`], but fuses nothing, and says which parameters of the module the layers
    /// hold, under their paths: what a [`TrainingPlan`](crate::TrainingPlan) is made from.
    ///
    /// Weights of dense layers and of batch norms are not among them.
    ///
    /// # Errors
    /// As [`Graph::trace`].
    #[cfg(feature = "train")]
    pub fn trace_parameters<M: Module, O: Outputs>(
        module: &M,
        example: [usize; 4],
        forward: impl FnOnce(&M, Tensor<4>) -> O,
    ) -> Result<(Self, Vec<crate::Parameter>), CompileError> {
        trace::trace(module, example, forward)
    }
}

impl Plan {
    /// Compiles what `forward` does with `module` and an input of shape `[batch, channels, height,
    /// width]`, for this processor's best instruction set.
    ///
    /// `forward` runs once, on an input of shape `example` and on a device that records operations
    /// without executing them: it must not look at values. The plan then runs on any number of
    /// images of any size.
    ///
    /// # Errors
    /// If the network does something that a plan cannot, see the [crate's documentation](crate).
    pub fn compile<M: Module, O: Outputs>(
        module: &M,
        example: [usize; 4],
        forward: impl FnOnce(&M, Tensor<4>) -> O,
    ) -> Result<Self, CompileError> {
        Self::compile_for(Isa::best(), module, example, forward)
    }

    /// As [`Plan::compile`], for an instruction set of choice.
    ///
    /// # Errors
    /// As [`Plan::compile`], and if this processor lacks the instruction set.
    pub fn compile_for<M: Module, O: Outputs>(
        isa: Isa,
        module: &M,
        example: [usize; 4],
        forward: impl FnOnce(&M, Tensor<4>) -> O,
    ) -> Result<Self, CompileError> {
        Self::from_graph_for(isa, Graph::trace(module, example, forward)?)
    }
}
