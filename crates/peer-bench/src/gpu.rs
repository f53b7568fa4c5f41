//! The networks on a GPU, beside the fused plans on the same machine's cores.

use std::fmt::Write as _;

use crate::{
    networks::{Case, Network},
    peer::{Engine, Peer},
    report::median,
    setup,
};

/// Images that enter at once.
pub const BATCHES: [usize; 4] = [1, 8, 32, 128];

/// The networks' inputs: height and width, and billions of multiplications and additions.
const NETWORKS: [(&str, Network, [usize; 2], f64); 3] = [
    ("MobileNetV2", Network::Backbone, [224, 224], 0.30),
    ("res10, 300 x 300", Network::Face, [300, 300], 1.18),
    ("res10, 480 x 640", Network::Face, [480, 640], 3.92),
];

/// Runs every network on the GPU that wgpu finds, or its software in place of one, and on all cores, each
/// `rounds` times after a first run, which counts apart: shaders are compiled and tuned in it. The table.
///
/// # Errors
/// If the engines cannot be built, or there is no adapter.
pub fn measure_gpu(batches: &[usize], rounds: usize) -> anyhow::Result<String> {
    let tools = setup::with_gpu()?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut table = format!(
        "| network | batch | first run, ms | ms | images/s | {threads} cores, images/s |\n\
         |---|---|---|---|---|---|\n"
    );
    for (title, network, [height, width], gmac) in NETWORKS {
        for &batch in batches {
            let case = Case { title, network, batch, height, width, threads, gmac };
            let mut rates = Vec::new();
            let mut first = f64::NAN;
            for engine in ["wgpu", "fused"] {
                // Neither of them reads a file.
                let mut peer = Peer::start(&tools, Engine::Rust(engine), &case, None)?;
                let times = (0..rounds).map(|_| peer.run()).collect::<anyhow::Result<Vec<_>>>()?;
                if engine == "wgpu" {
                    first = peer.first;
                }
                rates.push(median(&times));
            }
            let [gpu, cores] = [rates[0], rates[1]];
            let per_second = |ms: f64| 1e3 * batch as f64 / ms;
            writeln!(
                table,
                "| {title} | {batch} | {first:.0} | {gpu:.1} | {:.1} | {:.1} |",
                per_second(gpu),
                per_second(cores)
            )?;
        }
    }
    Ok(table)
}
