//! Files that are cut short, damaged, or of another network are refused with the reason.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use burn::{
    module::Module,
    nn::{Linear, LinearConfig},
    tensor::Device,
};
use proptest::prelude::*;
use weights_file::{NamedTensor, Precision, Problem, WeightsFile, encode};

fn tensors(rows: usize) -> Vec<NamedTensor> {
    let values = (0..rows * 2).map(|i| i as f32 / 7.0).collect();
    vec![
        NamedTensor::new("weight", [rows, 2], values),
        NamedTensor::new("bias", [2], vec![0.1, 1e-3]),
    ]
}

fn linear() -> Linear {
    LinearConfig::new(3, 2).init(&Device::flex())
}

fn file(precision: Precision) -> Vec<u8> {
    encode("net", &[], tensors(3), precision).unwrap()
}

fn values(linear: &Linear) -> Vec<f32> {
    linear.weight.val().into_data().try_to_vec::<f32>().unwrap()
}

#[test]
fn f32_comes_back_bit_for_bit_and_f16_rounded() {
    let exact: Vec<f32> = (0..6).map(|i| i as f32 / 7.0).collect();
    for (precision, tolerance) in [(Precision::F32, 0.0), (Precision::F16, 1.0 / 2048.0)] {
        let loaded =
            WeightsFile::from_bytes(file(precision), "net").unwrap().load_into(linear()).unwrap();
        for (value, exact) in values(&loaded).iter().zip(&exact) {
            assert!((value - exact).abs() <= tolerance * exact, "{value} against {exact}");
        }
        assert_eq!(loaded.num_params(), 8);
    }
}

#[test]
fn another_network_is_named() {
    let error = WeightsFile::from_bytes(file(Precision::F16), "other").unwrap_err();
    assert!(matches!(&error.problem, Problem::OtherNetwork { expected, found }
        if expected == "other" && found == "net"));
}

#[test]
fn another_version_is_named() {
    let mut bytes = file(Precision::F16);
    let key = b"format_version";
    let at = bytes.windows(key.len()).position(|window| window == key).unwrap() + key.len();
    // The CBOR text that follows the key: a length byte, then the version itself.
    assert_eq!(bytes[at + 1], b'1');
    bytes[at + 1] = b'7';
    let error = WeightsFile::from_bytes(bytes, "net").unwrap_err();
    assert!(matches!(&error.problem, Problem::OtherVersion { found, .. } if found == "7"));
}

#[test]
fn text_is_no_weights_file() {
    let error = WeightsFile::from_bytes(b"a line of text\n".repeat(9), "net").unwrap_err();
    assert!(matches!(error.problem, Problem::NotWeights));
}

#[test]
fn wrong_shapes_missing_and_left_over_parameters_are_named() {
    let refuse = |tensors| {
        let bytes = encode("net", &[], tensors, Precision::F32).unwrap();
        let file = WeightsFile::from_bytes(bytes, "net").unwrap();
        file.load_into(linear()).unwrap_err().to_string()
    };
    assert!(refuse(tensors(4)).contains("`weight` has shape [4, 2], expected [3, 2]"));
    assert!(refuse(tensors(3)[..1].to_vec()).contains("`bias` is missing"));
    let mut more = tensors(3);
    more.push(NamedTensor::new("extra", [1], vec![0.0]));
    assert!(refuse(more).contains("`extra` is not a part of it"));
}

#[test]
fn a_missing_file_is_named() {
    let path = std::path::Path::new("no/such/file.bpk");
    let error = WeightsFile::open(path, "net").unwrap_err().to_string();
    assert!(error.starts_with("no/such/file.bpk: cannot be read"), "{error}");
}

proptest! {
    #[test]
    fn any_truncation_is_an_error(cut in 0.0..1.0f64) {
        let bytes = file(Precision::F16);
        let length = (bytes.len() as f64 * cut) as usize;
        prop_assert!(WeightsFile::from_bytes(bytes[..length].to_vec(), "net").is_err());
    }

    #[test]
    fn damage_never_panics(at in any::<prop::sample::Index>(), value in any::<u8>()) {
        let mut bytes = file(Precision::F16);
        let at = at.index(bytes.len());
        bytes[at] = value;
        if let Ok(file) = WeightsFile::from_bytes(bytes, "net") {
            drop(file.load_into(linear()));
        }
    }
}
