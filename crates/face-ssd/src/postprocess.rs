//! From the network's raw output to detections, as Caffe's `DetectionOutput` layer does it.

use geometry::{UnitBox, non_maximum_suppression};
use serde::{Deserialize, Serialize};

use crate::PriorBoxes;

/// A face as the network sees it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    /// Where it is; the box may reach beyond the image.
    pub bbox: UnitBox,
    /// Softmax probability of a face, in [0, 1].
    pub score: f32,
}

/// Which of the network's boxes become detections.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PostprocessConfig {
    /// Detections have at least this score, in [0, 1]. Default: 0.65, the best F1 of the default weights on
    /// validation (docs/performance.md).
    pub score_threshold: f32,
    /// Two detections overlap by at most this IoU, in [0, 1]. Default: 0.45, as in
    /// `deploy.prototxt`.
    pub iou_threshold: f32,
    /// Of two detections the smaller lies in the other by at most this part of its area, in [0, 1];
    /// 1 is no limit. Default: 1, as in `deploy.prototxt`.
    pub overlap_threshold: f32,
    /// A detection's box is the mean, weighted by the scores, of all boxes whose IoU with its own is at
    /// least this, as in box voting (Gidaris and Komodakis 2015); 1 is its own box alone, as in Caffe.
    /// Default: 0.55, chosen on validation (docs/performance.md).
    pub voting_iou: f32,
    /// Number of boxes of the highest scores that enter the suppression. Default: 400, as in
    /// `deploy.prototxt`.
    pub max_candidates: usize,
    /// Number of detections that leave it. Default: 200, as in `deploy.prototxt`.
    pub max_detections: usize,
}

impl Default for PostprocessConfig {
    fn default() -> Self {
        Self { score_threshold: 0.65, voting_iou: 0.55, ..Self::CAFFE }
    }
}

impl PostprocessConfig {
    /// Boxes of a lower score have no vote.
    pub const VOTING_SCORE: f32 = 0.01;

    /// The settings of `deploy.prototxt`.
    pub const CAFFE: Self = Self {
        score_threshold: 0.01,
        iou_threshold: 0.45,
        overlap_threshold: 1.0,
        voting_iou: 1.0,
        max_candidates: 400,
        max_detections: 200,
    };

    /// The defaults with another score threshold.
    pub fn with_score_threshold(self, score_threshold: f32) -> Self {
        Self { score_threshold, ..self }
    }

    /// Decodes the output for one image into detections, highest score first.
    ///
    /// `box_deltas` holds 4 offsets per prior, `class_logits` 2 per prior (background, face), both
    /// in the order of `priors`.
    pub fn detections(
        &self,
        priors: &PriorBoxes,
        box_deltas: &[f32],
        class_logits: &[f32],
    ) -> Vec<Detection> {
        let (deltas, _) = box_deltas.as_chunks::<4>();
        let (logits, _) = class_logits.as_chunks::<2>();
        // NaN fails the comparison, so a broken network yields no faces rather than odd ones.
        // Most boxes are background, which the logits' difference tells without an exponential; what
        // is near the threshold is computed.
        // Weak boxes vote, too, so that where a face is does not depend on the threshold.
        let votes = self.voting_iou < 1.0;
        let threshold =
            if votes { self.score_threshold.min(Self::VOTING_SCORE) } else { self.score_threshold };
        let least = match threshold > 0.0 {
            // Beyond 15 the score rounds to 1.
            true => (threshold / (1.0 - threshold)).ln().min(15.0) - 1e-3,
            false => f32::NEG_INFINITY,
        };
        let mut candidates: Vec<(usize, f32)> = logits
            .iter()
            .enumerate()
            .filter(|(_, [background, face])| face - background >= least)
            .map(|(prior, logits)| (prior, face_probability(*logits)))
            .filter(|(_, score)| *score >= threshold)
            .collect();
        // Stable, so that ties stand in the order of the priors, as in Caffe.
        candidates.sort_by(|a, b| b.1.total_cmp(&a.1));
        candidates.truncate(self.max_candidates);
        let detections: Vec<Detection> = candidates
            .into_iter()
            .filter_map(|(index, score)| {
                let prior = priors.as_slice().get(index)?;
                Some(Detection { bbox: prior.decode(*deltas.get(index)?), score })
            })
            .collect();
        let boxes: Vec<UnitBox> = detections.iter().map(|detection| detection.bbox).collect();
        let kept = non_maximum_suppression(
            &boxes,
            self.iou_threshold,
            self.overlap_threshold,
            self.max_detections,
        );
        let kept = kept.into_iter().map(|index| detections[index]);
        let kept = kept.take_while(|detection| detection.score >= self.score_threshold);
        if votes {
            kept.map(|detection| self.voted(detection, &detections)).collect()
        } else {
            kept.collect()
        }
    }

    /// A detection with the mean of the boxes around it.
    fn voted(&self, detection: Detection, all: &[Detection]) -> Detection {
        let Detection { bbox, score } = detection;
        let (mut sums, mut weight) = ([0.0; 4], 0.0);
        for other in all.iter().filter(|other| other.bbox.iou(&bbox) >= self.voting_iou) {
            let UnitBox { x_min, y_min, x_max, y_max } = other.bbox;
            for (sum, edge) in sums.iter_mut().zip([x_min, y_min, x_max, y_max]) {
                *sum += other.score * edge;
            }
            weight += other.score;
        }
        // A box without an area has no IoU, not even with itself.
        if weight <= 0.0 {
            return detection;
        }
        let [x_min, y_min, x_max, y_max] = sums.map(|sum| sum / weight);
        Detection { bbox: UnitBox { x_min, y_min, x_max, y_max }, score }
    }
}

/// The softmax of background and face, of which the second is wanted.
fn face_probability([background, face]: [f32; 2]) -> f32 {
    let largest = background.max(face);
    let (background, face) = ((background - largest).exp(), (face - largest).exp());
    face / (background + face)
}
