//! The weights that a training starts from.

use burn::{
    module::{Module, ModuleMapper, Param},
    tensor::{Device, Tensor, TensorData},
};
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};
use trainer::TrainError;
use weights_file::{Problem, WeightsSource};

use super::FaceTrainingConfig;
use crate::{PriorLayout, network::Res10Ssd};

/// What a training starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// Given weights, of an earlier training or of the reference.
    #[default]
    #[serde(alias = "reference")]
    Weights,
    /// Weights drawn at random.
    Scratch,
}

impl Start {
    /// The network as it starts.
    pub(crate) fn network(
        self,
        config: &FaceTrainingConfig,
        weights: &WeightsSource,
        device: &Device,
    ) -> Result<Res10Ssd, TrainError> {
        match self {
            Self::Scratch => {
                let rng = trainer::generator(config.seed, u64::MAX);
                let mut first = FirstWeights { rng, path: Vec::new() };
                let network = Res10Ssd::new(config.priors, device);
                Ok(if config.top_down { network.with_top_down(device) } else { network }
                    .map(&mut first))
            }
            Self::Weights => {
                let (network, trained) = Res10Ssd::load(weights, device)?;
                match (trained == PriorLayout::Squares, config.priors == PriorLayout::Squares) {
                    (false, true) => Ok(network.with_squares()),
                    (true, false) => {
                        let message = format!(
                            "weights of the prior layout {trained} cannot start a training with {}",
                            config.priors
                        );
                        let file = weights.open(crate::NETWORK_NAME, None);
                        Err(match file {
                            Ok(file) => file.error(Problem::Mismatch(message)).into(),
                            Err(_) => TrainError::Data(message),
                        })
                    }
                    _ => Ok(network),
                }
                .map(|network| {
                    if config.top_down { network.with_top_down(device) } else { network }
                })
            }
        }
    }
}

/// Draws convolutions from He's normal distribution, those of the heads from a narrow one; factors
/// are 1 and offsets 0, but for the input's factor, which brings pixels near 1, and the L2 norm's,
/// which is 20 as in ParseNet.
struct FirstWeights<R> {
    rng: R,
    path: Vec<String>,
}

impl<R: Rng> ModuleMapper for FirstWeights<R> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let path = self.path.join(".");
        param.map(|tensor| {
            let shape = tensor.dims();
            let count: usize = shape.iter().product();
            let values = if D == 4 {
                let inputs = count / shape[0].max(1);
                let deviation =
                    if path.starts_with("heads") { 0.01 } else { (2.0 / inputs as f32).sqrt() };
                (0..count).map(|_| deviation * normal(&mut self.rng)).collect()
            } else {
                let value = match path.as_str() {
                    "stem.input.scale" => 1.0 / 64.0,
                    "l2_norm.scale" => 20.0,
                    path if path.ends_with("scale") => 1.0,
                    _ => 0.0,
                };
                vec![value; count]
            };
            Tensor::from_data(TensorData::new(values, shape), &tensor.device())
        })
    }
}

/// A number from the normal distribution, by Box and Muller's transform.
fn normal(rng: &mut impl Rng) -> f32 {
    let (radius, angle): (f32, f32) = (rng.random_range(f32::EPSILON..1.0), rng.random());
    (-2.0 * radius.ln()).sqrt() * (std::f32::consts::TAU * angle).cos()
}
