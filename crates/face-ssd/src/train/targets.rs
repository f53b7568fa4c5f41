//! What every prior box of a training image is to predict.

use geometry::UnitBox;

use super::FaceTrainingConfig;
use crate::{PriorBoxes, PriorMatch};

/// The targets of a batch. Priors are counted through the batch: image, then prior.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Targets {
    /// Priors that are to find a face.
    pub positives: Vec<usize>,
    /// The offsets of their faces, four each.
    pub offsets: Vec<f32>,
    /// Priors that are to find nothing, chosen from all of them.
    pub negatives: Vec<usize>,
}

/// What one image asks of the priors, before negatives are chosen.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ImageTargets {
    /// Priors with the offsets of their faces.
    positives: Vec<(usize, [f32; 4])>,
    /// Whether each prior may be chosen as a negative.
    background: Vec<bool>,
}

impl ImageTargets {
    /// Matches priors to faces. A prior that covers an ignored region, or lies in one, is asked
    /// nothing.
    pub(crate) fn new(
        priors: &PriorBoxes,
        faces: &[UnitBox],
        ignored: &[UnitBox],
        config: &FaceTrainingConfig,
    ) -> Self {
        let matches = priors.match_to(faces, &config.matching);
        let mut positives = Vec::new();
        let mut background = Vec::with_capacity(matches.len());
        for (index, (found, prior)) in matches.iter().zip(priors.as_slice()).enumerate() {
            if let PriorMatch::Face(face) = found {
                positives.push((index, prior.encode(&faces[*face])));
            }
            let edges = prior.to_box();
            let excused = |region: &UnitBox| {
                let common = edges.intersection(region);
                edges.iou(region) > config.ignored_iou || common > 0.5 * edges.area()
            };
            let is_background = *found == PriorMatch::Background && !ignored.iter().any(excused);
            background.push(is_background);
        }
        Self { positives, background }
    }
}

impl Targets {
    /// Chooses each image's hardest negatives: those that the logits, `[batch, priors, 2]`, take
    /// for faces most.
    pub(crate) fn mine(
        images: &[ImageTargets],
        class_logits: &[f32],
        config: &FaceTrainingConfig,
    ) -> Self {
        let mut targets = Self::default();
        let priors = images.first().map_or(0, |image| image.background.len());
        let (logits, _) = class_logits.as_chunks::<2>();
        for (number, image) in images.iter().enumerate() {
            let first = number * priors;
            for (prior, offsets) in &image.positives {
                targets.positives.push(first + prior);
                targets.offsets.extend(offsets);
            }
            let mut candidates: Vec<(f32, usize)> = (image.background.iter().enumerate())
                .filter(|(_, background)| **background)
                .map(|(prior, _)| (logits[first + prior][1] - logits[first + prior][0], prior))
                .collect();
            let wanted = config.negatives_per_positive * image.positives.len();
            let wanted = wanted.max(config.min_negatives).min(candidates.len());
            // By the prior's number where the logits are equal, so that the choice is one.
            let harder =
                |a: &(f32, usize), b: &(f32, usize)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
            if wanted > 0 && wanted < candidates.len() {
                candidates.select_nth_unstable_by(wanted - 1, harder);
                candidates.truncate(wanted);
            }
            candidates.sort_unstable_by_key(|candidate| candidate.1);
            targets.negatives.extend(candidates.iter().map(|candidate| first + candidate.1));
        }
        targets
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PriorLayout;

    #[test]
    fn the_hardest_negatives_are_chosen_and_excused_priors_are_not() {
        let config = FaceTrainingConfig { min_negatives: 10, ..FaceTrainingConfig::default() };
        let priors = PriorBoxes::new(PriorLayout::Squares, (96, 128).into());
        let face = UnitBox { x_min: 0.2, y_min: 0.3, x_max: 0.5, y_max: 0.55 };
        let crowd = UnitBox { x_min: 0.6, y_min: 0.0, x_max: 1.0, y_max: 0.5 };
        let count = priors.as_slice().len();
        let logits: Vec<f32> = (0..2 * 2 * count).map(|at| (at as f32 * 0.7).sin()).collect();
        let images = [
            ImageTargets::new(&priors, &[face], &[crowd], &config),
            ImageTargets::new(&priors, &[], &[], &config),
        ];
        let targets = Targets::mine(&images, &logits, &config);
        let positives = images[0].positives.len();
        assert!(positives >= 1 && images[1].positives.is_empty());
        assert_eq!(targets.positives.len(), positives);
        assert_eq!(targets.offsets.len(), 4 * positives);

        let margin = |prior: usize| logits[2 * prior + 1] - logits[2 * prior];
        for (number, image) in images.iter().enumerate() {
            let range = number * count..(number + 1) * count;
            let chosen: Vec<usize> =
                targets.negatives.iter().copied().filter(|prior| range.contains(prior)).collect();
            assert_eq!(chosen.len(), (3 * image.positives.len()).max(10));
            let easiest = chosen.iter().map(|prior| margin(*prior)).fold(f32::MAX, f32::min);
            for prior in range {
                let background = image.background[prior - number * count];
                assert!(background || !chosen.contains(&prior));
                assert!(!background || chosen.contains(&prior) || margin(prior) <= easiest);
            }
        }
        for (prior, background) in priors.as_slice().iter().zip(&images[0].background) {
            let inside = prior.to_box().intersection(&crowd) > 0.5 * prior.to_box().area();
            assert!(!(inside && *background));
        }
        for (prior, offsets) in &images[0].positives {
            let back = priors.as_slice()[*prior].decode(*offsets);
            assert!(back.iou(&face) > 0.999);
        }
    }
}
