//! What may be fed to the project from outside, fed with anything: each module is a target, whose
//! `run` must neither panic nor break the property that it names, and whose `seeds` are where a
//! fuzzer begins. `docs/testing.md` says how long each ran and what it found.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a target fails by panicking")]

pub mod annotations;
pub mod checkpoint;
pub mod exif;
pub mod graph;
pub mod image;
pub mod weights;

#[path = "../../crates/fused-cpu/tests/naive/mod.rs"]
mod naive;

/// A target, by name.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The name of its module and program.
    pub name: &'static str,
    /// Takes an input.
    pub run: fn(&[u8]),
    /// Inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All targets.
pub const TARGETS: [Target; 6] = [
    Target { name: "image", run: image::run, seeds: image::seeds },
    Target { name: "exif", run: exif::run, seeds: exif::seeds },
    Target { name: "annotations", run: annotations::run, seeds: annotations::seeds },
    Target { name: "weights", run: weights::run, seeds: weights::seeds },
    Target { name: "checkpoint", run: checkpoint::run, seeds: checkpoint::seeds },
    Target { name: "graph", run: graph::run, seeds: graph::seeds },
];
