//! The networks through wgpu, on whatever adapter there is, against the CPU.
#![cfg(feature = "gpu")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use burn::tensor::TensorData;
use burn::tensor::{Device, Tensor};
use face_ssd::{InputSize, NORMALIZATION, WeightsSource, network::Res10Ssd};
use image::RgbImage;
use image_input::NetworkInput;
use mask_detector::{DeviceChoice, DeviceError, MaskDetector, MaskDetectorConfig, PixelRect};
use mask_model::{Backbone, HeadCheckpoint};
use mask_tests::{max_difference, reference_head, root, say};

/// The first adapter, software included, or `None`, said aloud.
fn adapter() -> Option<Device> {
    match DeviceChoice::Gpu(None).open() {
        Ok(open) => {
            say(&format!("wgpu on {}", open.name));
            Some(open.device)
        }
        Err(error @ DeviceError::NoAdapter { .. }) => {
            say(&format!("skipped: {error}"));
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn photo() -> RgbImage {
    image::open(root().join("examples/astronaut_masked.jpg")).unwrap().to_rgb8()
}

fn tensor(batch: &NetworkInput, device: &Device) -> Tensor<4> {
    let data = TensorData::new(batch.values().to_vec(), batch.shape());
    Tensor::<4>::from_data(data, device).permute([0, 3, 1, 2])
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.try_into_vec_as().unwrap()
}

#[test]
fn outputs_on_an_adapter_equal_those_of_the_cpu() {
    let Some(gpu) = adapter() else { return };
    let cpu = Device::flex();

    for size in [InputSize::REFERENCE, InputSize::Fixed { width: 320, height: 240 }] {
        let [on_cpu, on_gpu] = [&cpu, &gpu].map(|device| {
            let (network, _) = Res10Ssd::load(&WeightsSource::Embedded, device).unwrap();
            let mut batch = NetworkInput::new(
                size.for_image((512, 512).into(), network.input_step()),
                NORMALIZATION,
            );
            batch.push(&photo()).unwrap();
            let output = network.forward(tensor(&batch, device));
            (values(output.box_deltas), values(output.class_logits))
        });
        let (locations, confidences) =
            (max_difference(&on_cpu.0, &on_gpu.0), max_difference(&on_cpu.1, &on_gpu.1));
        say(&format!("{size}: offsets within {locations:.1e}, confidences {confidences:.1e}"));
        assert!(locations < 1e-3 && confidences < 1e-3);
    }

    let [on_cpu, on_gpu] = [&cpu, &gpu].map(|device| {
        let backbone = Backbone::load(&WeightsSource::Embedded, device).unwrap();
        let head = HeadCheckpoint::load(&reference_head().into(), device).unwrap();
        let mut batch = NetworkInput::new((224, 224), mask_model::NORMALIZATION);
        for side in [90, 120] {
            let rect = PixelRect { x: 180, y: 60, width: side, height: side };
            batch.push_rect(&photo(), rect).unwrap();
        }
        let features = backbone.forward(tensor(&batch, device));
        (values(features.clone()), values(head.layers.forward(features)))
    });
    let (features, scores) =
        (max_difference(&on_cpu.0, &on_gpu.0), max_difference(&on_cpu.1, &on_gpu.1));
    say(&format!("features within {features:.1e}, scores {scores:.1e}"));
    assert!(features < 1e-3 && scores < 1e-3);

    // Opened again, as a program with two detectors does.
    let again = DeviceChoice::Gpu(None).open().unwrap().device;
    assert_eq!(again, gpu);
    let detector = MaskDetector::new(MaskDetectorConfig::default(), &again).unwrap();
    let faces = detector.detect(&photo()).unwrap();
    assert_eq!(faces.len(), 1);
    assert_eq!(faces[0].label(), "with_mask");
}

#[test]
fn an_adapter_of_a_high_number_is_an_error_that_lists_what_is_there() {
    let error = DeviceChoice::Gpu(Some(99)).open().unwrap_err();
    assert!(error.to_string().starts_with("no GPU number 99: "), "{error}");
}
