//! A process that holds a network and runs it when told.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Seek, Write},
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
    standard_error: File,
}

impl Peer {
    /// Starts an engine with a network, from a file if it reads one, and waits until it has run once.
    pub(crate) fn start(
        tools: &Tools,
        engine: Engine,
        case: &Case,
        onnx: Option<&Path>,
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
        if let Some(onnx) = onnx {
            command.arg("--onnx").arg(onnx);
        }
        // TensorFlow alone says dozens of lines: only what one says before it ends is of interest.
        let standard_error = tempfile::tempfile()?;
        let mut child = command
            .args(["--engine", engine.name(), "--network", case.network.name()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(standard_error.try_clone()?)
            .spawn()
            .with_context(|| format!("cannot start {}", engine.name()))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("{} has no standard input and output", engine.name());
        };
        let output = BufReader::new(output);
        let mut peer = Self { engine, first: f64::NAN, child, input, output, standard_error };
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
            let mut said = String::new();
            self.standard_error.rewind()?;
            self.standard_error.read_to_string(&mut said)?;
            bail!("{} ended: {}", self.engine.name(), said.trim());
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
