//! Decoding and suppression against a slow implementation written from SSD's definition, in f64.

use face_ssd::{PostprocessConfig, PriorBoxes, PriorLayout};
use proptest::prelude::*;

/// A box of two corners and its score.
type Scored = ([f64; 4], f64);

/// The box that offsets make of a prior: centre moved by a tenth of the prior's size, size scaled by
/// the exponential of a fifth.
fn decode(prior: [f64; 4], offsets: [f64; 4]) -> [f64; 4] {
    let [x_min, y_min, x_max, y_max] = prior;
    let (width, height) = (x_max - x_min, y_max - y_min);
    let center = (
        (x_min + x_max) / 2.0 + 0.1 * offsets[0] * width,
        (y_min + y_max) / 2.0 + 0.1 * offsets[1] * height,
    );
    let half = (width * (0.2 * offsets[2]).exp() / 2.0, height * (0.2 * offsets[3]).exp() / 2.0);
    [center.0 - half.0, center.1 - half.1, center.0 + half.0, center.1 + half.1]
}

fn iou(a: [f64; 4], b: [f64; 4]) -> f64 {
    let side = |axis: usize| (a[axis + 2].min(b[axis + 2]) - a[axis].max(b[axis])).max(0.0);
    let area = |c: [f64; 4]| (c[2] - c[0]) * (c[3] - c[1]);
    let common = side(0) * side(1);
    common / (area(a) + area(b) - common)
}

/// Takes the strongest box, strikes out what overlaps it, and so on.
fn suppress(mut boxes: Vec<Scored>, max_iou: f64, keep: usize) -> Vec<Scored> {
    let mut kept = Vec::new();
    while kept.len() < keep {
        let mut strongest: Option<usize> = None;
        for (index, (_, score)) in boxes.iter().enumerate() {
            if strongest.is_none_or(|best| *score > boxes[best].1) {
                strongest = Some(index);
            }
        }
        let Some(index) = strongest else { break };
        let taken = boxes.remove(index);
        boxes.retain(|(other, _)| iou(taken.0, *other) <= max_iou);
        kept.push(taken);
    }
    kept
}

fn settings() -> impl Strategy<Value = PostprocessConfig> {
    let voting = prop_oneof![Just(1.0f32), 0.3..0.9f32];
    (0.0..0.9f32, 0.1..0.9f32, voting, 1..60usize, 1..40usize).prop_map(
        |(score_threshold, iou_threshold, voting_iou, max_candidates, max_detections)| {
            let mut config = PostprocessConfig::default();
            config.score_threshold = score_threshold;
            config.iou_threshold = iou_threshold;
            config.voting_iou = voting_iou;
            config.max_candidates = max_candidates;
            config.max_detections = max_detections;
            config
        },
    )
}

proptest! {
    #[test]
    fn detections_equal_the_slow_ones(
        (output, values) in settings().prop_flat_map(|output| {
            // An input of 32 x 48 pixels has 4 x 6 cells at first, and so on: a few hundred priors.
            let priors = PriorBoxes::new(PriorLayout::Corrected, (32, 48).into()).as_slice().len();
            let deltas = [-3.0..3.0f32, -3.0..3.0f32, -3.0..3.0f32, -3.0..3.0f32];
            // On a grid, so that scores are equal or clearly apart.
            let logit = || (-192..192i32).prop_map(|step| step as f32 / 64.0);
            let logits = (logit(), logit()).prop_map(<[f32; 2]>::from);
            (Just(output), prop::collection::vec((deltas, logits), priors))
        })
    ) {
        let priors = PriorBoxes::new(PriorLayout::Corrected, (32, 48).into());
        let deltas: Vec<f32> = values.iter().flat_map(|(deltas, _)| *deltas).collect();
        let logits: Vec<f32> = values.iter().flat_map(|(_, logits)| *logits).collect();
        let ours = output.detections(&priors, &deltas, &logits);

        let mut boxes: Vec<Scored> = priors
            .as_slice()
            .iter()
            .zip(&values)
            .map(|(prior, (deltas, [background, face]))| {
                let edges = prior.to_box();
                let prior = [edges.x_min, edges.y_min, edges.x_max, edges.y_max].map(f64::from);
                let score = 1.0 / (1.0 + f64::from(background - face).exp());
                (decode(prior, deltas.map(f64::from)), score)
            })
            .collect();
        // A score within rounding of the threshold may fall either way.
        let threshold = f64::from(output.score_threshold);
        let votes = output.voting_iou < 1.0;
        // Boxes down to a score of 0.01 vote.
        let least = if votes { threshold.min(0.01) } else { threshold };
        prop_assume!(boxes.iter().all(|(_, score)| (score - least).abs() > 1e-6));
        prop_assume!(boxes.iter().all(|(_, score)| (score - threshold).abs() > 1e-6));
        boxes.retain(|(_, score)| *score >= least);
        boxes.sort_by(|a, b| b.1.total_cmp(&a.1));
        boxes.truncate(output.max_candidates);
        // An overlap within rounding of the limit may fall either way.
        let near = |a: &Scored, b: &Scored| {
            let found = iou(a.0, b.0);
            [output.iou_threshold, output.voting_iou].iter().any(|t| (found - f64::from(*t)).abs() < 1e-5)
        };
        let close = boxes.iter().enumerate().any(|(i, a)| boxes[..i].iter().any(|b| near(a, b)));
        prop_assume!(!close);

        let mut slow =
            suppress(boxes.clone(), f64::from(output.iou_threshold), output.max_detections);
        slow.retain(|(_, score)| *score >= threshold);
        if votes {
            for (edges, _) in &mut slow {
                let voters: Vec<&Scored> = boxes
                    .iter()
                    .filter(|(other, _)| iou(*edges, *other) >= f64::from(output.voting_iou))
                    .collect();
                let weight: f64 = voters.iter().map(|(_, score)| score).sum();
                let mean = |at: usize| voters.iter().map(|(b, score)| b[at] * score).sum::<f64>();
                *edges = [0, 1, 2, 3].map(|at| mean(at) / weight);
            }
        }
        prop_assert_eq!(ours.len(), slow.len());
        for (ours, (edges, score)) in ours.iter().zip(&slow) {
            prop_assert!((f64::from(ours.score) - score).abs() < 1e-6);
            let bbox = ours.bbox;
            for (ours, slow) in [bbox.x_min, bbox.y_min, bbox.x_max, bbox.y_max].iter().zip(edges) {
                prop_assert!((f64::from(*ours) - slow).abs() < 1e-4);
            }
        }
    }
}
