//! The networks by themselves, in every engine.

use std::{path::PathBuf, process::Command, thread, time::Duration};

use crate::{
    peer::{Engine, Peer},
    report::{Measured, NetworkRow, median},
    run_command,
    setup::Tools,
};

/// Which network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Network {
    Backbone,
    Face,
}

impl Network {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Backbone => "backbone",
            Self::Face => "face",
        }
    }
}

/// A network with an input and a number of threads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) title: &'static str,
    pub(crate) network: Network,
    pub(crate) batch: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) threads: usize,
    /// Billions of multiplications and additions, of direct convolutions.
    pub(crate) gmac: f64,
}

/// The networks, for one thread.
#[rustfmt::skip]
const CASES: [Case; 4] = [
    Case { title: "MobileNetV2, one face", network: Network::Backbone, batch: 1, height: 224, width: 224, threads: 1, gmac: 0.30 },
    Case { title: "MobileNetV2, eight faces", network: Network::Backbone, batch: 8, height: 224, width: 224, threads: 1, gmac: 2.40 },
    Case { title: "res10, 300 x 300", network: Network::Face, batch: 1, height: 300, width: 300, threads: 1, gmac: 1.18 },
    Case { title: "res10, 480 x 640", network: Network::Face, batch: 1, height: 480, width: 640, threads: 1, gmac: 3.92 },
];

/// Numbers of threads, as far as a machine has so many cores.
const THREADS: [usize; 5] = [1, 2, 4, 8, 16];

/// All networks with all numbers of threads of a machine with so many cores.
pub(crate) fn cases(cores: usize) -> impl Iterator<Item = Case> {
    CASES.into_iter().flat_map(move |case| {
        let threads = THREADS.into_iter().filter(move |threads| *threads <= cores.max(1));
        threads.map(move |threads| Case { threads, ..case })
    })
}

/// Runs of an engine, one after another, before it is another's turn. The first, in which its caches
/// and threads come back, does not count.
const RUNS: usize = 6;
/// Before an engine's turn: onnxruntime's threads go on looking for work for some 50 ms after a run and
/// would share the cores with whoever comes next.
const PAUSE: Duration = Duration::from_millis(150);

const ENGINES: [Engine; 9] = [
    Engine::Rust("fused"),
    Engine::Python("onnxruntime"),
    Engine::Rust("fused-int8"),
    Engine::Python("onnxruntime-int8"),
    Engine::Python("opencv"),
    Engine::Python("tensorflow"),
    Engine::Rust("rten"),
    Engine::Rust("tract"),
    Engine::Rust("burn"),
];

/// Side of the matrices in `peers.py` that stand for the processor's peak.
const GEMM_SIDE: f64 = 2048.0;

/// Billions of floating-point operations a second in a large matrix product, on one thread.
pub(crate) fn gemm_peak(tools: &Tools, rounds: usize) -> anyhow::Result<f64> {
    let case = CASES[0];
    let mut peer = Peer::start(tools, Engine::Python("gemm"), &case, Some(&onnx(tools, &case)?))?;
    let times = (0..rounds).map(|_| peer.run()).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(2.0 * GEMM_SIDE.powi(3) / (median(&times) * 1e6))
}

/// Runs a case in every engine that has the network, in turn, `rounds` times [`RUNS`] less one.
pub(crate) fn measure(tools: &Tools, case: Case, rounds: usize) -> anyhow::Result<NetworkRow> {
    let onnx = onnx(tools, &case)?;
    let has = |engine: &Engine| case.network == Network::Backbone || engine.name() != "tensorflow";
    let mut peers = ENGINES
        .into_iter()
        .filter(has)
        .map(|engine| Peer::start(tools, engine, &case, Some(&onnx)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let mut times = vec![Vec::with_capacity(rounds * RUNS); peers.len()];
    for _ in 0..rounds {
        for (peer, times) in peers.iter_mut().zip(&mut times) {
            thread::sleep(PAUSE);
            peer.run()?;
            for _ in 1..RUNS {
                times.push(peer.run()?);
            }
        }
    }
    let engines = peers
        .iter()
        .zip(times)
        .map(|(peer, times)| {
            let (name, first) = (peer.engine.name().to_owned(), Some(peer.first));
            Measured { name, times, first }
        })
        .collect();
    Ok(NetworkRow { title: case.title.to_owned(), gmac: case.gmac, threads: case.threads, engines })
}

/// The case's network as ONNX; the face network is written for its size first.
fn onnx(tools: &Tools, case: &Case) -> anyhow::Result<PathBuf> {
    if case.network == Network::Backbone {
        return Ok("models/reference/mobilenet_v2.onnx".into());
    }
    let (height, width) = (case.height.to_string(), case.width.to_string());
    let file = tools.folder.join(format!("res10_{height}x{width}.onnx"));
    if !file.exists() {
        let size = ["export-face", "--height", &height, "--width", &width, "--output"];
        run_command(Command::new(&tools.mask_bench).args(size).arg(&file))?;
        // burn-onnx packs lists of integers, which rten does not read; ONNX's own library does not.
        let rewrite = "import onnx, sys; onnx.save(onnx.load(sys.argv[1]), sys.argv[1])";
        run_command(Command::new(&tools.python).args(["-c", rewrite]).arg(&file))?;
    }
    Ok(file)
}
