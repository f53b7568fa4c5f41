//! Reading exports back.

use anyhow::{Context, ensure};
use fused_cpu::Workspace;
use rten_tensor::{NdTensor, prelude::*};
use weights_file::WeightsFile;

use super::network::Network;

/// Largest difference of an output from the plan's, as a part of the largest output or of 1.
const TOLERANCE: f32 = 1e-4;
/// Batches that ONNX files are run with: the batch must be free.
const BATCHES: [usize; 2] = [1, 3];

/// Runs an ONNX file in another runtime and compares with the plan.
pub(super) fn onnx(bytes: &[u8], network: &Network) -> anyhow::Result<String> {
    let model = rten::Model::load(bytes.to_vec()).context("rten cannot read it back")?;
    let node = |name: &str| model.node_id(name).with_context(|| format!("it has no node {name}"));
    let outputs: Vec<_> =
        network.outputs.iter().map(|output| node(output.name)).collect::<Result<_, _>>()?;
    let mut largest: f32 = 0.0;
    for batch in BATCHES {
        let side = network.side;
        let input = input(batch, side, network.input_range);
        let mut workspace = Workspace::default();
        network.plan.run(&mut workspace, &input, [batch, side, side, 3])?;
        let first = NdTensor::<f32, 4>::from_fn([batch, 3, side, side], |[n, c, y, x]| {
            input[((n * side + y) * side + x) * 3 + c]
        });
        let results = model
            .run(vec![(node("input")?, first.view().into())], &outputs, None)
            .context("rten cannot run it")?;
        for (index, (result, output)) in results.into_iter().zip(&network.outputs).enumerate() {
            let result: rten_tensor::Tensor<f32> = result.try_into()?;
            let (result, expected) = (result.to_vec(), workspace.output(index).0);
            ensure!(result.len() == expected.len(), "{} has another size in rten", output.name);
            let scale = expected.iter().fold(1.0_f32, |most, value| most.max(value.abs()));
            for (a, b) in result.iter().zip(expected) {
                // A number that is none is a difference, too.
                let difference = (a - b).abs() / scale;
                largest = if difference.is_nan() { f32::INFINITY } else { largest.max(difference) };
            }
        }
    }
    ensure!(largest <= TOLERANCE, "rten's results differ by {largest:e} of the largest output");
    Ok(format!("read back by rten, batches of 1 and 3: within {largest:.1e} of the largest output"))
}

/// Numbers that look like noise, the same ever again.
fn input(batch: usize, side: usize, range: f32) -> Vec<f32> {
    let mut state = 1_u32;
    let mut next = || {
        // Numerical Recipes' linear congruential generator.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 8) as f32 / (1_u32 << 23) as f32 - 1.0) * range
    };
    (0..batch * side * side * 3).map(|_| next()).collect()
}

/// Reads a safetensors file back.
pub(super) fn safetensors(bytes: &[u8], network: &Network) -> anyhow::Result<String> {
    let file = ::safetensors::SafeTensors::deserialize(bytes)?;
    ensure!(file.len() == network.tensors.len(), "it has {} parameters when read back", file.len());
    for tensor in &network.tensors {
        let view = file.tensor(tensor.name())?;
        let same = view.shape() == tensor.shape() && view.data() == tensor.to_le_bytes();
        ensure!(same, "{} differs when read back", tensor.name());
    }
    let (_, header) = ::safetensors::SafeTensors::read_metadata(bytes)?;
    let metadata = header.metadata().as_ref().context("it lacks its metadata when read back")?;
    for (key, value) in &network.metadata {
        ensure!(metadata.get(*key) == Some(value), "{key} differs when read back");
    }
    Ok(format!("read back, {} parameters the same", network.tensors.len()))
}

/// Reads a burnpack file back.
pub(super) fn burnpack(bytes: Vec<u8>, network: &Network) -> anyhow::Result<String> {
    let file = WeightsFile::from_bytes(bytes, network.name)?;
    for (key, value) in &network.metadata {
        ensure!(file.metadata(key)? == value, "{key} differs when read back");
    }
    for tensor in &network.tensors {
        let values = file.values(tensor.name())?;
        let values: Vec<u8> = values.into_iter().flat_map(f32::to_le_bytes).collect();
        ensure!(values == tensor.to_le_bytes(), "{} differs when read back", tensor.name());
    }
    Ok(format!("read back, {} parameters the same", network.tensors.len()))
}
