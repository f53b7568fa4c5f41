//! The face network against OpenCV's own activations and outputs on the images in `examples/`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use burn::tensor::{Device, Tensor, TensorData, activation::softmax};
use face_ssd::{
    Detection, FaceDetectorConfig, MEAN_BGR, NETWORK_NAME, NORMALIZATION, PostprocessConfig,
    PriorBoxes, PriorLayout, VARIANCES,
    network::{Res10Ssd, SsdOutput},
};
use image_input::{DecodeOptions, NetworkInput, decode_file};
use mask_tests::{IMAGES, every, exact_model, golden, max_difference, resized_bgr, root, say};
use weights_file::WeightsFile;

/// As in `goldens/record.py`.
const ACTIVATION_STRIDE: usize = 97;
const PRIOR_STRIDE: usize = 13;
const OUTPUT_STRIDE: usize = 7;

/// OpenCV's input of the network: `[1, 3, 300, 300]`, BGR less the mean.
fn blob(name: &str, device: &Device) -> Tensor<4> {
    let bgr = resized_bgr(name);
    let pixels = bgr.as_chunks::<3>().0.iter();
    let values: Vec<f32> =
        pixels.flat_map(|bgr| [0, 1, 2].map(|c| f32::from(bgr[c]) - MEAN_BGR[c])).collect();
    let data = TensorData::new(values, [1, 300, 300, 3]);
    Tensor::<4>::from_data(data, device).permute([0, 3, 1, 2])
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.try_into_vec_as().unwrap()
}

fn published(device: &Device) -> Res10Ssd {
    Res10Ssd::load(&FaceDetectorConfig::reference().weights, device).unwrap().0
}

/// Exact weights, if they were imported.
fn exact(device: &Device) -> Option<Res10Ssd> {
    let weights = WeightsFile::open(&exact_model("res10_ssd.bpk")?, NETWORK_NAME).unwrap();
    Some(weights.load_into(Res10Ssd::new(PriorLayout::Caffe, device)).unwrap())
}

/// The network with exact weights, and tolerances for them; or the stored one with those of half
/// precision.
fn network<const N: usize>(exact_to: [f32; N], half_to: [f32; N]) -> (Res10Ssd, [f32; N]) {
    let device = Device::flex();
    match exact(&device) {
        Some(network) => (network, exact_to),
        None => (published(&device), half_to),
    }
}

#[test]
fn outputs_equal_opencv() {
    let device = Device::flex();
    let (network, [in_deltas, in_probabilities]) = network([1e-3, 1e-4], [1e-2, 2e-3]);
    for name in IMAGES {
        let golden = golden(name);
        let SsdOutput { box_deltas, class_logits } = network.forward(blob(name, &device));
        let deltas = every(OUTPUT_STRIDE, &values(box_deltas));
        let probabilities = every(OUTPUT_STRIDE, &values(softmax(class_logits, 2)));
        let deltas = max_difference(&deltas, golden.get("mbox_loc").1);
        let probabilities = max_difference(&probabilities, golden.get("mbox_conf").1);
        say(&format!("{name}: mbox_loc within {deltas:.1e}, mbox_conf {probabilities:.1e}"));
        assert!(deltas < in_deltas && probabilities < in_probabilities);
    }
}

#[test]
fn activations_equal_opencv() {
    let device = Device::flex();
    let (network, [tolerance]) = network([1e-4], [5e-3]);
    for image in IMAGES {
        let golden = golden(image);
        let features = network.features(blob(image, &device));
        let [norm, last, ..] = features.maps;
        for (name, ours) in [
            ("layer_64_1_sum", features.layer_64),
            ("layer_128_1_sum", features.layer_128),
            ("layer_256_1_sum", features.layer_256),
            ("layer_512_1_sum", features.layer_512),
            ("last_relu", last),
            ("conv4_3_norm", norm),
        ] {
            let theirs = golden.get(name).1;
            let scale = theirs.iter().fold(1.0f32, |most, value| most.max(value.abs()));
            let ours = every(ACTIVATION_STRIDE, &values(ours));
            let relative = max_difference(&ours, theirs) / scale;
            assert!(relative < tolerance, "{name} differs by {relative} of its largest value");
        }
    }
}

#[test]
fn priors_equal_caffe() {
    let golden = golden(IMAGES[0]);
    let priors = PriorBoxes::new(PriorLayout::Caffe, (300, 300).into());
    let ours: Vec<f32> = priors
        .as_slice()
        .iter()
        .step_by(PRIOR_STRIDE)
        .flat_map(|prior| {
            let edges = prior.to_box();
            [edges.x_min, edges.y_min, edges.x_max, edges.y_max]
        })
        .collect();
    assert!(max_difference(&ours, golden.get("priors").1) < 1e-6);
    assert_eq!(golden.get("variances").1, VARIANCES);
}

/// From OpenCV's blob, all rows in OpenCV's order; ties may swap.
#[test]
fn detections_equal_opencv() {
    let device = Device::flex();
    let priors = PriorBoxes::new(PriorLayout::Caffe, (300, 300).into());
    let (network, [tolerance]) = network([1e-3], [5e-3]);
    for image in IMAGES {
        let golden = golden(image);
        let expected = golden.get("detection_out").1.as_chunks::<7>().0;
        assert!(!expected.is_empty());
        // Decoding and suppression alone, on OpenCV's own network output. The softmax of logarithms
        // of probabilities are these.
        let mut deltas = vec![0.0; 4 * priors.as_slice().len()];
        let mut logits = [0.0, f32::NEG_INFINITY].repeat(priors.as_slice().len());
        let theirs = golden.get("candidate_deltas").1.as_chunks::<4>().0;
        let scores = golden.get("candidate_scores").1;
        for ((prior, four), score) in golden.get("candidates").1.iter().zip(theirs).zip(scores) {
            let prior = *prior as usize;
            deltas[4 * prior..4 * prior + 4].copy_from_slice(four);
            logits[2 * prior..2 * prior + 2].copy_from_slice(&[(1.0 - score).ln(), score.ln()]);
        }
        let ours = PostprocessConfig::CAFFE.detections(&priors, &deltas, &logits);
        same_rows(&ours, expected, 1e-5);
        // And after our network. With half precision, what is near the threshold may go either way.
        let output = network.forward(blob(image, &device));
        let (deltas, logits) = (values(output.box_deltas), values(output.class_logits));
        let ours = PostprocessConfig::CAFFE.detections(&priors, &deltas, &logits);
        if exact(&device).is_some() {
            same_rows(&ours, expected, tolerance);
        } else {
            let confident = |score: f32| score > 0.1;
            let ours: Vec<Detection> =
                ours.into_iter().filter(|found| confident(found.score)).collect();
            let expected: Vec<[f32; 7]> =
                expected.iter().filter(|row| confident(row[2])).copied().collect();
            same_rows(&ours, &expected, tolerance);
        }
    }
}

fn same_rows(ours: &[Detection], expected: &[[f32; 7]], tolerance: f32) {
    assert_eq!(ours.len(), expected.len());
    let mut unmatched: Vec<&[f32; 7]> = expected.iter().collect();
    for (rank, detection) in ours.iter().enumerate() {
        let bbox = detection.bbox;
        let ours = [detection.score, bbox.x_min, bbox.y_min, bbox.x_max, bbox.y_max];
        let near = |row: &[f32]| max_difference(&ours, row) < tolerance;
        let at = unmatched.iter().position(|row| near(&row[2..]));
        let at = at.unwrap_or_else(|| panic!("row {rank} {ours:?} is not OpenCV's"));
        // Rows may only swap within a tie of confidences.
        let skipped = unmatched[..at].iter();
        assert!(skipped.clone().all(|row| (row[2] - ours[0]).abs() < tolerance), "row {rank}");
        unmatched.remove(at);
    }
}

/// Our decoding and resize against OpenCV's `INTER_LINEAR`, which works in 11-bit fixed point.
#[test]
fn inputs_equal_opencv() {
    for name in IMAGES {
        let file = root().join(format!("examples/{name}.jpg"));
        let image = decode_file(&file, &DecodeOptions::default()).unwrap().image;
        let mut batch = NetworkInput::new((300, 300), NORMALIZATION);
        batch.push(&image).unwrap();
        let theirs: Vec<f32> = resized_bgr(name)
            .iter()
            .enumerate()
            .map(|(at, value)| f32::from(*value) - MEAN_BGR[at % 3])
            .collect();
        // JPEG decoders round differently, too.
        assert!(max_difference(batch.values(), &theirs) <= 4.0);
        let differing = batch.values().iter().zip(&theirs).filter(|(a, b)| (*a - *b).abs() > 1.0);
        let share = differing.count() as f64 / theirs.len() as f64;
        assert!(share < 0.05, "{:.1} % of the values differ by more than 1", 100.0 * share);
    }
}
