//! Between a Burn module in training and its plan.

use std::collections::BTreeMap;

use burn::{
    module::{Module, ModuleVisitor, Param},
    tensor::Tensor,
};

use crate::{CompileError, RunError, TrainingPlan};

impl TrainingPlan {
    /// Takes over the module's parameters, which the plan knows by their paths.
    ///
    /// # Errors
    /// If one is missing, has another number of values, or cannot be read from its device.
    pub fn update_from<M: Module>(&mut self, module: &M) -> Result<(), CompileError> {
        let names = self.parameters().iter().map(|parameter| parameter.name.clone());
        let wanted = names.enumerate().map(|(at, name)| (name, at)).collect();
        let values = vec![Vec::new(); self.parameters().len()];
        let mut read = Read { path: Vec::new(), wanted, values, problem: None };
        module.visit(&mut read);
        match read.problem {
            Some(problem) => Err(CompileError::Unsupported(problem)),
            None => self.update(&read.values),
        }
    }

    /// As [`TrainingPlan::backward`], by the parameters' names.
    ///
    /// # Errors
    /// As [`TrainingPlan::backward`].
    pub fn backward_by_name(
        &mut self,
        gradients: &[&[f32]],
    ) -> Result<BTreeMap<String, Vec<f32>>, RunError> {
        let gradients = self.backward(gradients)?;
        let names = self.parameters().iter().map(|parameter| parameter.name.clone());
        Ok(names.zip(gradients).collect())
    }
}

/// Reads parameters by path.
struct Read {
    path: Vec<String>,
    wanted: BTreeMap<String, usize>,
    values: Vec<Vec<f32>>,
    problem: Option<String>,
}

impl ModuleVisitor for Read {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(at) = self.wanted.get(&self.path.join(".")) else { return };
        match param.val().try_into_vec_as() {
            Ok(values) => self.values[*at] = values,
            Err(error) => self.problem = Some(error.to_string()),
        }
    }
}
