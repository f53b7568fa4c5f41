//! The way from the second feature map to the first.
#![allow(clippy::unwrap_used, reason = "tests")]

use burn::tensor::{Device, Tensor, TensorData};
use face_ssd::{
    Engine, FaceDetector, FaceDetectorConfig, InputSize, Precision, WeightsSource, encode_weights,
    network::Res10Ssd,
};

#[test]
fn a_new_way_adds_nothing_and_is_stored() {
    let device = Device::flex();
    let published = WeightsSource::from(mask_reference_models::RES10_SSD);
    let (plain, priors) = Res10Ssd::load(&published, &device).unwrap();
    let network = plain.clone().with_top_down(&device);
    assert_eq!((plain.input_step(), network.input_step()), (1, 16));
    let pixels: Vec<f32> = (0..3 * 64 * 96).map(|at| 100.0 * (at as f32 * 0.37).sin()).collect();
    let input = Tensor::<4>::from_data(TensorData::new(pixels, [1, 3, 64, 96]), &device);
    let outputs = |network: &Res10Ssd| -> Vec<f32> {
        network.forward(input.clone()).class_logits.try_into_vec_as().unwrap()
    };
    assert_eq!(outputs(&plain), outputs(&network));

    let bytes = encode_weights(&network, priors, Precision::F32).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let (read, trained) = Res10Ssd::load(&file.path().to_path_buf().into(), &device).unwrap();
    assert_eq!((read.input_step(), trained), (16, priors));
    assert_eq!(outputs(&read), outputs(&network));
}

#[test]
fn images_of_every_size_enter() {
    let device = Device::flex();
    let (network, priors) = Res10Ssd::load(&WeightsSource::Embedded, &device).unwrap();
    let network = network.with_top_down(&device);
    for engine in [Engine::Fused, Engine::Burn] {
        for input_size in [InputSize::LongSide(100), InputSize::Fixed { width: 41, height: 33 }] {
            let mut config = FaceDetectorConfig::default();
            (config.engine, config.input_size) = (engine, input_size);
            let detector =
                FaceDetector::from_network(network.clone(), priors, config, &device).unwrap();
            for (width, height) in [(1, 1), (7, 300), (131, 97)] {
                let size = detector.input_size((width, height).into());
                assert!(size.width.is_multiple_of(16) && size.height.is_multiple_of(16));
                assert!(size.width >= 32 && size.height >= 32);
                detector.detect(&image::RgbImage::new(width, height)).unwrap();
            }
        }
    }
}
