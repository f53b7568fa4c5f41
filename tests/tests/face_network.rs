//! The face network against OpenCV's own activations and outputs.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use burn::tensor::{Device, Tensor, TensorData, activation::softmax};
use face_ssd::{
    NETWORK_NAME, NORMALIZATION, PostprocessConfig, PriorBoxes, PriorLayout, WeightsSource,
    network::{Res10Ssd, SsdOutput},
};
use image::RgbImage;
use image_input::NetworkInput;
use mask_tests::{Arrays, exact_model, max_difference, say, shared, to_channels_first};
use weights_file::WeightsFile;

fn goldens() -> Option<Vec<Arrays>> {
    let folder = shared("golden")?;
    Some((0..3).map(|i| Arrays::read(&folder.join(format!("ssd_{i}.npz")))).collect())
}

fn blob(golden: &Arrays, device: &Device) -> Tensor<4> {
    let (shape, values) = golden.get("blob");
    let shape: [usize; 4] = shape.try_into().unwrap();
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.try_into_vec_as().unwrap()
}

fn embedded(device: &Device) -> Res10Ssd {
    Res10Ssd::load(&WeightsSource::Embedded, device).unwrap()
}

/// Exact weights, if they were imported.
fn exact(device: &Device) -> Option<Res10Ssd> {
    let weights = WeightsFile::open(&exact_model("res10_ssd.bpk")?, NETWORK_NAME).unwrap();
    Some(weights.load_into(Res10Ssd::new(device)).unwrap())
}

/// Largest differences of offsets and of confidences over all goldens.
fn output_differences(network: &Res10Ssd, goldens: &[Arrays], device: &Device) -> (f32, f32) {
    goldens.iter().fold((0.0, 0.0), |(locations, confidences), golden| {
        let SsdOutput { box_deltas, class_logits } = network.forward(blob(golden, device));
        let probabilities = softmax(class_logits, 2);
        (
            max_difference(&values(box_deltas), golden.get("mbox_loc").1).max(locations),
            max_difference(&values(probabilities), golden.get("mbox_conf_flatten").1)
                .max(confidences),
        )
    })
}

#[test]
fn exact_weights_equal_opencv() {
    let device = Device::flex();
    let (Some(goldens), Some(network)) = (goldens(), exact(&device)) else { return };
    let (locations, confidences) = output_differences(&network, &goldens, &device);
    say(&format!("exact weights: mbox_loc within {locations:.1e}, mbox_conf {confidences:.1e}"));
    assert!(locations < 1e-3 && confidences < 1e-4);
}

#[test]
fn embedded_weights_are_near_opencv() {
    let device = Device::flex();
    let Some(goldens) = goldens() else { return };
    let (locations, confidences) = output_differences(&embedded(&device), &goldens, &device);
    say(&format!("embedded weights: mbox_loc within {locations:.1e}, mbox_conf {confidences:.1e}"));
    assert!(locations < 1e-2 && confidences < 2e-3);
}

#[test]
fn activations_equal_opencv() {
    let device = Device::flex();
    let Some(goldens) = goldens() else { return };
    let (network, tolerance) = match exact(&device) {
        Some(network) => (network, 1e-4),
        None => (embedded(&device), 5e-3),
    };
    for golden in &goldens {
        let features = network.features(blob(golden, &device));
        let [norm, last, ..] = features.maps;
        for (name, ours) in [
            ("layer_64_1_sum", features.layer_64),
            ("layer_128_1_sum", features.layer_128),
            ("layer_256_1_sum", features.layer_256),
            ("layer_512_1_sum", features.layer_512),
            ("last_relu", last),
            ("conv4_3_norm", norm),
        ] {
            let (shape, theirs) = golden.get(&format!("nofusion_{name}"));
            assert_eq!(ours.dims(), *shape, "{name}");
            let scale = theirs.iter().fold(1.0f32, |most, value| most.max(value.abs()));
            let relative = max_difference(&values(ours), theirs) / scale;
            assert!(relative < tolerance, "{name} differs by {relative} of its largest value");
        }
    }
}

#[test]
fn priors_equal_caffe() {
    let Some(goldens) = goldens() else { return };
    let ours: Vec<f32> = PriorBoxes::new(PriorLayout::Caffe, (300, 300).into())
        .as_slice()
        .iter()
        .flat_map(|prior| {
            let edges = prior.to_box();
            [edges.x_min, edges.y_min, edges.x_max, edges.y_max]
        })
        .collect();
    for golden in &goldens {
        let (_, theirs) = golden.get("mbox_priorbox");
        let (priors, variances) = theirs.split_at(theirs.len() / 2);
        assert!(max_difference(&ours, priors) < 1e-6);
        assert!(variances.as_chunks::<4>().0.iter().all(|four| *four == face_ssd::VARIANCES));
    }
}

/// From OpenCV's blob, all rows in OpenCV's order; ties may swap.
#[test]
fn detections_equal_opencv() {
    let device = Device::flex();
    let Some(goldens) = goldens() else { return };
    let network = exact(&device);
    let priors = PriorBoxes::new(PriorLayout::Caffe, (300, 300).into());
    for golden in &goldens {
        let (_, rows) = golden.get("detection_out");
        let rows = rows.as_chunks::<7>().0;
        let expected: Vec<&[f32; 7]> = rows.iter().filter(|row| row[2] > 0.0).collect();

        // Decoding and suppression alone, on OpenCV's own network output.
        let (locations, confidences) =
            (golden.get("mbox_loc").1, golden.get("mbox_conf_flatten").1);
        // The softmax of logarithms of probabilities are these.
        let logits: Vec<f32> = confidences.iter().map(|confidence| confidence.ln()).collect();
        let ours = PostprocessConfig::CAFFE.detections(&priors, locations, &logits);
        same_rows(&ours, &expected, 1e-5);

        // And after our network.
        let Some(network) = &network else { continue };
        let output = network.forward(blob(golden, &device));
        let ours = PostprocessConfig::CAFFE.detections(
            &priors,
            &values(output.box_deltas),
            &values(output.class_logits),
        );
        same_rows(&ours, &expected, 1e-3);
    }
}

fn same_rows(ours: &[face_ssd::Detection], expected: &[&[f32; 7]], tolerance: f32) {
    assert_eq!(ours.len(), expected.len());
    let mut unmatched: Vec<&&[f32; 7]> = expected.iter().collect();
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

/// Our resize against OpenCV's `INTER_LINEAR`, which works in 11-bit fixed point.
#[test]
fn inputs_equal_opencv() {
    let Some(goldens) = goldens() else { return };
    for golden in &goldens {
        let (shape, bgr) = golden.get("image_bgr_u8");
        let rgb =
            bgr.as_chunks::<3>().0.iter().flat_map(|[b, g, r]| [*r as u8, *g as u8, *b as u8]);
        let image = RgbImage::from_raw(shape[1] as u32, shape[0] as u32, rgb.collect()).unwrap();
        let mut batch = NetworkInput::new((300, 300), NORMALIZATION);
        batch.push(&image).unwrap();
        let ours = to_channels_first(&batch.shape(), batch.values());
        let theirs = golden.get("blob").1;
        assert!(max_difference(&ours, theirs) <= 1.0);
        let differing = ours.iter().zip(theirs).filter(|(a, b)| a != b).count();
        let share = differing as f64 / ours.len() as f64;
        // Rounding to the next of 256 steps, no more.
        assert!(share < 0.2, "{:.1} % of the values differ", 100.0 * share);
    }
}
