//! The loss of multibox training.

use burn::tensor::{Int, Tensor, TensorData, activation::log_softmax};

use super::Targets;
use crate::network::SsdOutput;

/// Smooth L1 of the offsets plus cross-entropy of face and background, both summed over the
/// targets and divided by the number of positives, or by 1 if there are none (SSD, section 2.2).
pub fn multibox_loss(output: SsdOutput, targets: &Targets) -> Tensor<1> {
    let SsdOutput { box_deltas, class_logits } = output;
    let device = box_deltas.device();
    let [batch, priors, _] = box_deltas.dims();
    let indices = |priors: &[usize]| {
        let numbers: Vec<i64> = priors.iter().map(|prior| *prior as i64).collect();
        Tensor::<1, Int>::from_data(TensorData::new(numbers, [priors.len()]), &device)
    };
    let logits = class_logits.reshape([batch * priors, 2]);
    let cross_entropy = |of: &[usize], class: usize| {
        let rows = log_softmax(logits.clone().select(0, indices(of)), 1);
        rows.narrow(1, class, 1).sum().neg()
    };
    let mut loss = Tensor::<1>::zeros([1], &device);
    if !targets.negatives.is_empty() {
        loss = loss + cross_entropy(&targets.negatives, 0);
    }
    let positives = targets.positives.len();
    if positives > 0 {
        loss = loss + cross_entropy(&targets.positives, 1);
        let wanted = TensorData::new(targets.offsets.clone(), [positives, 4]);
        let deltas = box_deltas.reshape([batch * priors, 4]);
        let found = deltas.select(0, indices(&targets.positives));
        let distance = (found - Tensor::from_data(wanted, &device)).abs();
        // Half the square up to 1, the distance less a half beyond.
        let clipped = distance.clone().clamp_max(1.0);
        loss = loss + (clipped.clone() * (distance - clipped.mul_scalar(0.5))).sum();
    }
    loss.div_scalar(positives.max(1) as f64)
}
