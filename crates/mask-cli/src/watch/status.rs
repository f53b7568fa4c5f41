//! The line on a terminal while a source is watched.

use std::{
    fmt::{Display, Write as _},
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use mask_stream::People;

/// How often the line changes.
const INTERVAL: Duration = Duration::from_millis(250);

/// Frames, people, and how far a file is; silent where standard error is no terminal.
pub(super) struct Status {
    bar: ProgressBar,
    started: Instant,
    shown: Option<Instant>,
    /// Frames so far.
    pub(super) frames: u64,
}

impl Status {
    pub(super) fn new() -> anyhow::Result<Self> {
        let bar = match io::stderr().is_terminal() {
            true => ProgressBar::new_spinner(),
            false => ProgressBar::hidden(),
        };
        bar.set_style(ProgressStyle::with_template("{msg}")?);
        Ok(Self { bar, started: Instant::now(), shown: None, frames: 0 })
    }

    /// Counts a frame, and shows it if it is time to. `part` is how much of a file is done.
    pub(super) fn frame(
        &mut self,
        part: Option<f64>,
        dropped: u64,
        age: Duration,
        people: impl FnOnce() -> String,
    ) {
        self.frames += 1;
        if self.bar.is_hidden() || self.shown.is_some_and(|shown| shown.elapsed() < INTERVAL) {
            return;
        }
        self.shown = Some(Instant::now());
        let mut text = format!("{} frames, {:.1}/s", self.frames, self.rate());
        // Writing to a string cannot fail.
        match part {
            Some(part) => {
                let spent = self.started.elapsed().as_secs_f64();
                let left = spent * (1.0 - part) / part.max(1e-6);
                let _ = write!(text, ", {:.0} %, {left:.0} s left", 100.0 * part);
            }
            None => {
                let _ = write!(text, ", {dropped} dropped, {} ms old", age.as_millis());
            }
        }
        self.bar.set_message(format!("{text}; {}", people()));
        self.bar.tick();
    }

    /// Frames a second.
    pub(super) fn rate(&self) -> f64 {
        self.frames as f64 / self.started.elapsed().as_secs_f64().max(1e-9)
    }

    /// Prints a line on standard error, above the status.
    pub(super) fn report(&self, line: impl Display) {
        self.bar.suspend(|| {
            // Without a standard error there is nobody to tell.
            let _ = writeln!(io::stderr(), "mask-cli: {line}");
        });
    }

    /// Removes the line.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Who is there now, in words.
pub(super) fn present(classes: &[String], people: &People) -> String {
    counts(classes, &people.present, "present")
}

/// `3 people (2 with_mask, 1 without_mask)`.
pub(super) fn counts(classes: &[String], of_classes: &[u64], what: &str) -> String {
    let all: u64 = of_classes.iter().sum();
    let named = classes.iter().zip(of_classes);
    let named: Vec<_> = named.map(|(class, count)| format!("{count} {class}")).collect();
    format!("{all} {what} ({})", named.join(", "))
}
