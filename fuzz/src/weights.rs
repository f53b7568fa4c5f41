//! Weights files. The networks refuse or load them; a head that loads is written and loads again
//! with the same labels.

use burn::{nn::LinearConfig, tensor::Device};
use face_ssd::network::Res10Ssd;
use mask_model::{HEAD_NAME, HeadCheckpoint};
use weights_file::{NamedTensor, Precision, WeightsFile, WeightsSource, encode};

/// Keys of a head's metadata, in the order in which an input gives their values.
const KEYS: [&str; 5] = ["classes", "margin", "square", "temperature", "backbone"];

/// Loads: the bytes themselves, or with a first byte of 1 a head whose metadata are the lines.
pub fn run(bytes: &[u8]) {
    let device = Device::flex();
    match bytes.split_first() {
        Some((1, text)) => {
            let text = String::from_utf8_lossy(text);
            let metadata: Vec<(&str, &str)> = KEYS.into_iter().zip(text.split('\n')).collect();
            let classes: Vec<String> = metadata
                .first()
                .and_then(|(_, classes)| serde_json::from_str(classes).ok())
                .unwrap_or_default();
            if let Ok(bytes) = head(&metadata, classes.len()) {
                load_head(bytes, &device);
            }
        }
        Some((_, bytes)) => {
            if let Ok(file) = WeightsFile::from_bytes(bytes.to_vec(), "tiny") {
                let _ = file.values("weight");
                let _ = file.load_into(LinearConfig::new(2, 1).init(&device));
            }
            let _ = Res10Ssd::load(&WeightsSource::from(bytes.to_vec()), &device);
            load_head(bytes.to_vec(), &device);
        }
        None => {}
    }
}

fn load_head(bytes: Vec<u8>, device: &Device) {
    let Ok(head) = HeadCheckpoint::load(&WeightsSource::from(bytes), device) else { return };
    let bytes = head.to_bytes().unwrap();
    let again = HeadCheckpoint::load(&WeightsSource::from(bytes), device).unwrap();
    assert_eq!(head.labels, again.labels);
}

/// A head with one hidden unit.
fn head(metadata: &[(&str, &str)], classes: usize) -> Result<Vec<u8>, weights_file::WeightsError> {
    let tensors = vec![
        NamedTensor::new("hidden.weight", [1280, 1], vec![0.5; 1280]),
        NamedTensor::new("hidden.bias", [1], vec![0.5]),
        NamedTensor::new("output.weight", [1, classes], vec![0.5; classes]),
        NamedTensor::new("output.bias", [classes], vec![0.5; classes]),
    ];
    encode(HEAD_NAME, metadata, tensors, Precision::F32)
}

/// A small file, heads, and a head of a network that is none.
pub fn seeds() -> Vec<Vec<u8>> {
    let tensors = vec![
        NamedTensor::new("weight", [2, 1], vec![0.5, -0.25]),
        NamedTensor::new("bias", [1], vec![1.0]),
    ];
    let backbone = mask_model::BACKBONE_NAME;
    let text = format!("[\"a\",\"b\"]\n0.2\ntrue\n1.5\n{backbone}");
    let metadata: Vec<(&str, &str)> = KEYS.into_iter().zip(text.split('\n')).collect();
    let files = [
        encode("tiny", &[("classes", "[\"a\"]")], tensors.clone(), Precision::F16).unwrap(),
        encode("res10-ssd", &[("priors", "squares")], tensors.clone(), Precision::F32).unwrap(),
        encode(HEAD_NAME, &metadata, tensors, Precision::F32).unwrap(),
    ];
    let files = files.into_iter().map(|file| [&[0], &file[..]].concat());
    files.chain([[&[1], text.as_bytes()].concat()]).collect()
}
