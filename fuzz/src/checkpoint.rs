//! Checkpoints of trainings. One that is accepted is written again with the same content.

use burn::{
    nn::{Linear, LinearConfig},
    tensor::Device,
};
use trainer::{CheckpointKind, OptimizerConfig, Trainer, Training};
use weights_file::WeightsSource;

fn trainer() -> Trainer<Linear> {
    let device = Device::flex();
    let config = OptimizerConfig { average: 0.5, ..OptimizerConfig::default() };
    Trainer::new(LinearConfig::new(2, 1).init(&device), config, 10, &device).unwrap()
}

fn kind() -> CheckpointKind {
    CheckpointKind { network: "tiny".to_owned(), description: Vec::new() }
}

/// Goes on from the checkpoint.
pub fn run(bytes: &[u8]) {
    let source = WeightsSource::from(bytes.to_vec());
    let mut first = trainer();
    if let Ok(progress) = first.resume(&kind(), &source, |_| Ok(())) {
        let written = first.checkpoint(&kind(), &progress).unwrap();
        let mut second = trainer();
        let source = WeightsSource::from(written.clone());
        let again = second.resume(&kind(), &source, |_| Ok(())).unwrap();
        assert_eq!(progress, again);
        assert_eq!(written, second.checkpoint(&kind(), &again).unwrap());
    }
    let _ = Training::new(trainer(), kind(), "data").resume(&source, |_| Ok(()));
}

/// Checkpoints before and after a step.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut trainer = trainer();
    let progress = "{\"fingerprint\":\"data\",\"history\":[]}";
    let before = trainer.checkpoint(&kind(), progress).unwrap();
    let input = burn::tensor::Tensor::<2>::ones([1, 2], trainer.device());
    let loss = trainer.module().forward(input).sum();
    trainer.step(loss).unwrap();
    vec![before, trainer.checkpoint(&kind(), progress).unwrap()]
}
