//! A process that holds a network and runs it when told.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context, bail};

use crate::{networks::Case, setup::Tools};

/// An engine that can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Rust(&'static str),
    Python(&'static str),
}

impl Engine {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rust(name) | Self::Python(name) => name,
        }
    }
}

/// A running peer; it ends when it is dropped.
pub(crate) struct Peer {
    pub(crate) engine: Engine,
    /// Milliseconds of the first run.
    pub(crate) first: f64,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts an engine with a network and waits until it has run once.
    pub(crate) fn start(
        tools: &Tools,
        engine: Engine,
        case: &Case,
        onnx: &Path,
    ) -> anyhow::Result<Self> {
        let mut command = match engine {
            Engine::Rust(_) => {
                let mut command = Command::new(&tools.mask_bench);
                command.arg("serve");
                command
            }
            Engine::Python(_) => {
                let mut command = Command::new(&tools.python);
                command.args(["bench/peers.py", "--models"]).arg(&tools.models);
                command
            }
        };
        let numbers = [
            ("--batch", case.batch),
            ("--height", case.height),
            ("--width", case.width),
            ("--threads", case.threads),
        ];
        for (name, number) in numbers {
            command.args([name, &number.to_string()]);
        }
        let mut child = command
            .args(["--engine", engine.name(), "--network", case.network.name(), "--onnx"])
            .arg(onnx)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", engine.name()))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("{} has no standard input and output", engine.name());
        };
        let output = BufReader::new(output);
        let mut peer = Self { engine, first: f64::NAN, child, input, output };
        let answer = peer.answer()?;
        match answer.strip_prefix("ready ") {
            Some(first) => peer.first = first.parse()?,
            None => bail!("{} is not ready: {answer}", engine.name()),
        }
        Ok(peer)
    }

    /// Runs the network once and returns the milliseconds.
    pub(crate) fn run(&mut self) -> anyhow::Result<f64> {
        writeln!(self.input).with_context(|| format!("{} is gone", self.engine.name()))?;
        Ok(self.answer()?.parse()?)
    }

    fn answer(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            bail!("{} ended", self.engine.name());
        }
        Ok(line.trim().to_owned())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Whether it had ended by itself does not matter.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
