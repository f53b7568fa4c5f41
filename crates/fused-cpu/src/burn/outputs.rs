//! What a network returns, while it is recorded and while it runs.

use burn::{
    backend::capture::{CaptureBackend, TensorId},
    tensor::Tensor,
};

use crate::CompileError;

/// Tensors that a network returns: one, a tuple of two, or a vector.
pub trait Outputs {
    /// The tensors' numbers in the recording.
    ///
    /// # Errors
    /// If a tensor was not made from the network's input.
    #[doc(hidden)]
    fn ids(self) -> Result<Vec<TensorId>, CompileError>;

    /// Each tensor's values, row-major.
    ///
    /// # Errors
    /// If a tensor cannot be read from its device.
    fn into_values(self) -> Result<Vec<Vec<f32>>, String>;
}

impl<const D: usize> Outputs for Tensor<D> {
    fn ids(self) -> Result<Vec<TensorId>, CompileError> {
        let primitive =
            self.try_into_primitive::<CaptureBackend>().map_err(|_| CompileError::Output)?;
        Ok(vec![primitive.id()])
    }

    fn into_values(self) -> Result<Vec<Vec<f32>>, String> {
        Ok(vec![self.try_into_vec_as().map_err(|error| error.to_string())?])
    }
}

impl<A: Outputs, B: Outputs> Outputs for (A, B) {
    fn ids(self) -> Result<Vec<TensorId>, CompileError> {
        Ok([self.0.ids()?, self.1.ids()?].concat())
    }

    fn into_values(self) -> Result<Vec<Vec<f32>>, String> {
        Ok([self.0.into_values()?, self.1.into_values()?].concat())
    }
}

impl<T: Outputs> Outputs for Vec<T> {
    fn ids(self) -> Result<Vec<TensorId>, CompileError> {
        Ok(self.into_iter().map(T::ids).collect::<Result<Vec<_>, _>>()?.concat())
    }

    fn into_values(self) -> Result<Vec<Vec<f32>>, String> {
        Ok(self.into_iter().map(T::into_values).collect::<Result<Vec<_>, _>>()?.concat())
    }
}
