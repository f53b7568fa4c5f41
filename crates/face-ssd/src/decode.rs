//! From the network's raw output to detections, as Caffe's `DetectionOutput` layer does it.

use serde::{Deserialize, Serialize};

use crate::{NormalizedBox, PriorBoxes, non_maximum_suppression};

/// A face as the network sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// Where, possibly reaching outside the picture.
    pub bbox: NormalizedBox,
    /// Softmax probability of a face, in [0, 1].
    pub confidence: f32,
}

/// Settings of the `DetectionOutput` layer. The defaults are those of `deploy.prototxt`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DetectionOutput {
    /// Detections must be more confident than this, in [0, 1].
    pub min_confidence: f32,
    /// Two kept boxes overlap by at most this IoU, in [0, 1].
    pub max_iou: f32,
    /// Number of strongest detections that enter the suppression.
    pub top_k: usize,
    /// Number of detections that leave it.
    pub keep: usize,
}

impl Default for DetectionOutput {
    fn default() -> Self {
        Self { min_confidence: 0.01, max_iou: 0.45, top_k: 400, keep: 200 }
    }
}

impl DetectionOutput {
    /// Decodes one picture's output into detections in falling confidence.
    ///
    /// `locations` holds 4 offsets a prior, `confidences` 2 probabilities a prior (background,
    /// face), both in the order of `priors`.
    pub fn decode(
        &self,
        priors: &PriorBoxes,
        locations: &[f32],
        confidences: &[f32],
    ) -> Vec<Detection> {
        let (offsets, _) = locations.as_chunks::<4>();
        let (classes, _) = confidences.as_chunks::<2>();
        // NaN fails the comparison, so a broken network yields no faces rather than odd ones.
        let mut candidates: Vec<(usize, f32)> = classes
            .iter()
            .map(|[_, face]| *face)
            .enumerate()
            .filter(|(_, face)| *face > self.min_confidence)
            .collect();
        // Stable, so that ties stand in the order of the priors, as in Caffe.
        candidates.sort_by(|a, b| b.1.total_cmp(&a.1));
        candidates.truncate(self.top_k);
        let detections: Vec<Detection> = candidates
            .into_iter()
            .filter_map(|(index, confidence)| {
                let prior = priors.as_slice().get(index)?;
                Some(Detection { bbox: prior.decode(*offsets.get(index)?), confidence })
            })
            .collect();
        non_maximum_suppression(&detections, self.max_iou, self.keep)
    }
}
