//! Figures against scikit-learn's and a second implementation's, as recorded by the scripts in
//! fixtures/.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use geometry::BoundingBox;
use mask_metrics::{
    Calibration, ConfusionMatrix, Detection, GroundTruth, ImageResult, Ranking, Scores,
    average_precision, matches,
};
use proptest::prelude::*;
use serde_json::Value;

fn bounding_box(edges: [f64; 4]) -> BoundingBox {
    let [x_min, y_min, x_max, y_max] = edges.map(|edge| edge as f32);
    BoundingBox { x_min, y_min, x_max, y_max }
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn indices(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect()
}

fn assert_close(found: &[f64], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() < 1e-9, "{what}: {a} is not {b}");
    }
}

#[test]
fn classification_equals_scikit_learn() {
    let cases: Value = serde_json::from_str(include_str!("fixtures/sklearn.json")).unwrap();
    for case in cases.as_array().unwrap() {
        let (truth, label) = (indices(&case["truth"]), indices(&case["label"]));
        let classes = case["classes"].as_u64().unwrap() as usize;
        let confusion = ConfusionMatrix::count(classes, truth.iter().copied().zip(label));
        let expected: Vec<_> = case["confusion"].as_array().unwrap().iter().map(indices).collect();
        assert_eq!(confusion.counts, expected);
        assert_close(&[confusion.accuracy()], &[case["accuracy"].as_f64().unwrap()], "accuracy");
        let report = confusion.report();
        let row = |scores: &Scores| vec![scores.precision, scores.recall, scores.f1];
        for (scores, expected) in report.classes.iter().zip(case["per_class"].as_array().unwrap()) {
            let mut found = row(scores);
            found.push(scores.support as f64);
            assert_close(&found, &numbers(expected), "class");
        }
        assert_close(&row(&report.micro), &numbers(&case["micro"]), "micro");
        assert_close(&row(&report.macro_average), &numbers(&case["macro"]), "macro");
        assert_close(&row(&report.weighted), &numbers(&case["weighted"]), "weighted");

        let scores = numbers(&case["scores"]);
        let ranking = Ranking::new(scores.into_iter().zip(truth.iter().map(|class| *class == 0)));
        let (x, y): (Vec<f64>, Vec<f64>) = ranking.roc_curve().unwrap().into_iter().unzip();
        assert_close(&x, &numbers(&case["roc"][0]), "false positive rate");
        assert_close(&y, &numbers(&case["roc"][1]), "true positive rate");
        let auc = [ranking.roc_auc().unwrap(), ranking.average_precision().unwrap()];
        let expected = [&case["roc_auc"], &case["average_precision"]].map(|v| v.as_f64().unwrap());
        assert_close(&auc, &expected, "areas");
        // scikit-learn drops thresholds below the first of full recall, so only the first ones are
        // compared.
        for (key, value) in [("thresholds", 0), ("precision", 1), ("recall", 2)] {
            let expected = numbers(&case[key]);
            let found = ranking.thresholds().take(expected.len());
            let found: Vec<f64> =
                found.map(|at| [at.score, at.precision, at.recall][value]).collect();
            assert_close(&found, &expected, key);
        }
    }
}

#[test]
fn boxes_equal_a_second_implementation() {
    let recorded: Value = serde_json::from_str(include_str!("fixtures/voc.json")).unwrap();
    let bbox = |value: &Value| bounding_box(<[f64; 4]>::try_from(numbers(value)).unwrap());
    let image = |value: &Value| ImageResult {
        truths: value[0]
            .as_array()
            .unwrap()
            .iter()
            .map(|truth| GroundTruth {
                class: truth[0].as_u64().unwrap() as usize,
                bbox: bbox(&truth[1]),
                difficult: false,
            })
            .collect(),
        detections: value[1]
            .as_array()
            .unwrap()
            .iter()
            .map(|found| Detection {
                bbox: bbox(&found[0]),
                confidence: found[1].as_f64().unwrap(),
                probabilities: numbers(&found[2]),
            })
            .collect(),
    };
    let images: Vec<ImageResult> =
        recorded["scenes"].as_array().unwrap().iter().map(image).collect();
    let thresholds = numbers(&recorded["thresholds"]);
    let found = |class| {
        let at = |iou: &f64| average_precision(&images, class, *iou).unwrap();
        thresholds.iter().map(at).collect::<Vec<_>>()
    };
    assert_close(&found(None), &numbers(&recorded["face_ap"]), "face AP");
    for (class, expected) in recorded["class_ap"].as_array().unwrap().iter().enumerate() {
        assert_close(&found(Some(class)), &numbers(expected), "class AP");
    }
    let matched = matches(&images, 0.5, 0.5);
    assert_eq!(matched.len() as u64, recorded["matched"].as_u64().unwrap());
    let right = matched.iter().filter(|found| {
        let of = &images[found.image].detections[found.detection].probabilities;
        let largest = of.iter().copied().fold(f64::MIN, f64::max);
        of[images[found.image].truths[found.truth].class] == largest
    });
    assert_eq!(right.count() as u64, recorded["labelled_right"].as_u64().unwrap());
}

#[test]
fn a_difficult_object_counts_neither_way() {
    let bbox = [0.0, 0.0, 10.0, 10.0];
    let found = |x: f64| Detection {
        bbox: bounding_box([x, 0.0, x + 10.0, 10.0]),
        confidence: 0.9,
        probabilities: vec![1.0],
    };
    let truth = |bbox, difficult| GroundTruth { bbox: bounding_box(bbox), class: 0, difficult };
    let image = ImageResult {
        truths: vec![truth(bbox, true), truth([50.0, 0.0, 60.0, 10.0], false)],
        detections: vec![found(0.0), found(50.0)],
    };
    assert_eq!(average_precision(&[image], Some(0), 0.5), Some(1.0));
}

#[test]
fn thresholds_meet_what_is_asked() {
    let scores = [(0.9, true), (0.8, false), (0.7, true), (0.6, true), (0.2, false), (0.1, true)];
    let ranking = Ranking::new(scores);
    let at = ranking.for_precision(0.75).unwrap();
    assert_eq!((at.score, at.precision, at.recall), (0.6, 0.75, 0.75));
    assert_eq!(ranking.for_cost(1.0, 1.0).unwrap().score, 0.6);
    // Where false positives cost ten times as much, only the first is worth it.
    assert_eq!(ranking.for_cost(10.0, 1.0).unwrap().score, 0.9);
    assert!(Ranking::new([(0.9, false), (0.1, true)]).for_cost(10.0, 1.0).is_none());
}

#[test]
fn calibration_errs_by_the_distance_of_the_bins() {
    // Four of 0.9 of which two are right, four of 0.55 all right.
    let labels = [(0.9, true), (0.9, true), (0.9, false), (0.9, false)].into_iter();
    let calibration = Calibration::new(labels.chain([(0.55, true); 4]), 10);
    assert!((calibration.expected_error - (0.5 * 0.4 + 0.5 * 0.45)).abs() < 1e-12);
    assert_eq!(calibration.bins[8].count, 4);
    assert_eq!(calibration.bins[5].count, 4);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// The area under the ROC curve is the fraction of pairs that are in order, ties counting half.
    #[test]
    fn roc_auc_counts_ordered_pairs(scores in prop::collection::vec((0..8_u8, any::<bool>()), 2..40)) {
        let scores: Vec<(f64, bool)> = scores.into_iter().map(|(s, p)| (f64::from(s), p)).collect();
        let of = |wanted| scores.iter().filter(move |(_, p)| *p == wanted).map(|(score, _)| *score);
        let pairs = of(true).flat_map(|a| of(false).map(move |b| (a, b)));
        let points: Vec<f64> = pairs.map(|(a, b)| if a > b { 1.0 } else if a == b { 0.5 } else { 0.0 }).collect();
        let expected = (!points.is_empty()).then(|| points.iter().sum::<f64>() / points.len() as f64);
        match (Ranking::new(scores.iter().copied()).roc_auc(), expected) {
            (Some(found), Some(expected)) => prop_assert!((found - expected).abs() < 1e-12),
            (found, expected) => prop_assert_eq!(found, expected),
        }
    }
}
