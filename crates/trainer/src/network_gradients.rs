//! The gradients of a network on images: through a plan on the CPU, through Burn elsewhere.

use std::sync::{Mutex, PoisonError};

use burn::{
    module::Module,
    tensor::{Device, Tensor, TensorData},
};
use fused_cpu::{Engine, Graph, TrainingPlan};

use crate::{Gradients, TrainError, Trainer, optimizer::single_value};

/// Makes gradients of a network. Burn differentiates the loss in any case; the network itself is
/// differentiated by a [`TrainingPlan`] where the engine uses plans.
pub struct NetworkGradients<M> {
    forward: fn(&M, Tensor<4>) -> Vec<Tensor<3>>,
    trains: Box<dyn Fn(&str) -> bool + Send + Sync>,
    plan: Option<Mutex<TrainingPlan>>,
}

impl<M: Module> NetworkGradients<M> {
    /// For networks like `network` on `device`: `forward` maps `[batch, channels, height, width]` to
    /// outputs `[batch, rows, values]`; `example` is an input shape to record it with; `trains` says
    /// which parameters change, by their paths.
    ///
    /// # Errors
    /// If nothing changes that `forward` uses, or a plan cannot hold the network.
    pub fn new(
        network: &M,
        example: [usize; 4],
        forward: fn(&M, Tensor<4>) -> Vec<Tensor<3>>,
        trains: Box<dyn Fn(&str) -> bool + Send + Sync>,
        engine: Engine,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let plan = if engine.uses_plan(device) {
            let (graph, mut parameters) =
                Graph::trace_parameters(network, example, forward).map_err(TrainError::task)?;
            parameters.retain(|parameter| trains(&parameter.name));
            Some(Mutex::new(TrainingPlan::new(graph, parameters).map_err(TrainError::task)?))
        } else {
            None
        };
        Ok(Self { forward, trains, plan })
    }

    /// The gradients of what `loss` makes of the outputs for images `[batch, height, width,
    /// channels]`, and what else it yields.
    ///
    /// # Errors
    /// If the images do not fit the network, the device fails, or those of `loss`.
    pub fn of<T>(
        &self,
        trainer: &Trainer<M>,
        (images, shape): (&[f32], [usize; 4]),
        loss: impl FnOnce(Vec<Tensor<3>>) -> Result<(Tensor<1>, T), TrainError>,
    ) -> Result<(Gradients, T), TrainError> {
        let (module, device) = (trainer.module(), trainer.device());
        let Some(plan) = &self.plan else {
            let data = TensorData::new(images.to_vec(), shape);
            let input = Tensor::<4>::from_data(data, device).permute([0, 3, 1, 2]);
            let (loss, more) = loss((self.forward)(module, input))?;
            let mut gradients = Gradients::of_loss(loss, module)?;
            gradients.retain(module, &self.trains);
            return Ok((gradients, more));
        };
        // A panic elsewhere leaves a plan that is updated before it is used.
        let mut plan = plan.lock().unwrap_or_else(PoisonError::into_inner);
        plan.update_from(&trainer.current()).map_err(TrainError::task)?;
        plan.forward(images, shape).map_err(TrainError::task)?;
        let outputs: Vec<Tensor<3>> = (0..plan.outputs())
            .map(|index| {
                let (values, [batch, height, width, channels]) = plan.output(index);
                let data = TensorData::new(values.to_vec(), [batch, height * width, channels]);
                Tensor::from_data(data, device).require_grad()
            })
            .collect();
        let (loss, more) = loss(outputs.clone())?;
        let value = single_value(&loss)?;
        let recorded = loss.backward();
        let of_outputs = outputs.iter().map(|output| match output.grad(&recorded) {
            Some(gradient) => {
                gradient.try_into_vec_as().map_err(|error| TrainError::Device(error.to_string()))
            }
            None => Ok(vec![0.0; output.dims().iter().product()]),
        });
        let of_outputs: Vec<Vec<f32>> = of_outputs.collect::<Result<_, _>>()?;
        let of_outputs: Vec<&[f32]> = of_outputs.iter().map(Vec::as_slice).collect();
        let by_name = plan.backward_by_name(&of_outputs).map_err(TrainError::task)?;
        let mut gradients = Gradients::of_recorded(value, recorded, module);
        gradients.add_by_path(module, by_name);
        Ok((gradients, more))
    }
}
