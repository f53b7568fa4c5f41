//! The targets on their seeds and on everything that a fuzzer ever found.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{alloc::System, fs, panic, path::Path};

use cap::Cap;
use mask_fuzz::TARGETS;

/// No input of a few kilobytes may take more: what asks for it is aborted.
#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, 1 << 30);

#[test]
fn seeds_and_findings_hold() {
    for target in TARGETS {
        let mut inputs: Vec<(String, Vec<u8>)> = (target.seeds)()
            .into_iter()
            .enumerate()
            .map(|(n, s)| (format!("seed {n}"), s))
            .collect();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("findings").join(target.name);
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            inputs.push((path.display().to_string(), fs::read(path).unwrap()));
        }
        assert!(!inputs.is_empty());
        for (name, bytes) in inputs {
            let outcome = panic::catch_unwind(|| (target.run)(&bytes));
            assert!(outcome.is_ok(), "{}: {name}", target.name);
        }
    }
}
