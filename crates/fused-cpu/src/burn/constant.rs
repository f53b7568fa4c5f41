//! Tensors that do not depend on a network's input, and which of its parameters they are.

use std::collections::HashMap;

use burn::{
    backend::capture::{CaptureBackend, TensorId},
    module::{Module, ModuleVisitor, Param},
    tensor::Tensor,
};

use super::trace::unsupported;
use crate::CompileError;

/// A tensor that does not depend on the input. Its shape tells which axis it is broadcast over.
#[derive(Debug, Clone)]
pub(super) struct Constant {
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f32>,
    /// The module's parameter that it is, whatever its shape.
    pub(super) parameter: Option<String>,
}

impl Constant {
    pub(super) fn scalar(value: f32) -> Self {
        Self { shape: Vec::new(), values: vec![value], parameter: None }
    }

    pub(super) fn map(mut self, f: impl Fn(f32) -> f32) -> Self {
        self.values.iter_mut().for_each(|value| *value = f(*value));
        self.parameter = None;
        self
    }

    /// One value per channel, if the constant is a single value or varies along `axis` alone.
    pub(super) fn per_channel(
        self,
        axis: usize,
        channels: usize,
    ) -> Result<Vec<f32>, CompileError> {
        if self.values.len() == 1 {
            return Ok(vec![self.values[0]; channels]);
        }
        let fits = self.values.len() == channels
            && self
                .shape
                .iter()
                .enumerate()
                .all(|(at, side)| if at == axis { *side == channels } else { *side == 1 });
        if fits { Ok(self.values) } else { Err(unsupported(("a constant of shape", self.shape))) }
    }
}

/// The paths of a module's parameters, by their numbers in a recording.
pub(super) fn parameter_names<M: Module>(module: &M) -> HashMap<TensorId, String> {
    let mut names = Names::default();
    module.visit(&mut names);
    names.found
}

#[derive(Default)]
struct Names {
    path: Vec<String>,
    found: HashMap<TensorId, String>,
}

impl ModuleVisitor for Names {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Ok(tensor) = param.val().try_into_primitive::<CaptureBackend>() {
            self.found.insert(tensor.id(), self.path.join("."));
        }
    }
}
