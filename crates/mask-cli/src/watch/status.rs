//! The line on a terminal while a source is watched.

use std::{
    fmt::{Display, Write as _},
    io::{self, IsTerminal, Write},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use mask_stream::People;

/// How often the line changes.
const INTERVAL: Duration = Duration::from_millis(250);

/// Frames, people, and how far a file is; silent where standard error is no terminal.
pub(crate) struct Status {
    bar: ProgressBar,
    started: Instant,
    streams: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    shown: Option<Instant>,
    frames: u64,
}

impl Status {
    /// Of so many streams.
    pub(crate) fn new(streams: usize) -> anyhow::Result<Self> {
        let bar = match io::stderr().is_terminal() {
            true => ProgressBar::new_spinner(),
            false => ProgressBar::hidden(),
        };
        bar.set_style(ProgressStyle::with_template("{msg}")?);
        Ok(Self { bar, started: Instant::now(), streams, state: Mutex::default() })
    }

    /// Counts a frame of a stream, and shows it if it is time to. `part` is how much of a file is done, `age` how
    /// old the frame of a live source is.
    pub(super) fn frame(
        &self,
        name: &str,
        part: Option<f64>,
        dropped: u64,
        age: Option<Duration>,
        people: impl FnOnce() -> String,
    ) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.frames += 1;
        if self.bar.is_hidden() || state.shown.is_some_and(|shown| shown.elapsed() < INTERVAL) {
            return;
        }
        state.shown = Some(Instant::now());
        let (frames, spent) = (state.frames, self.started.elapsed().as_secs_f64());
        let mut text = format!("{frames} frames, {:.1}/s", frames as f64 / spent.max(1e-9));
        // Writing to a string cannot fail.
        if self.streams > 1 {
            let _ = write!(text, " of {} streams; {name}", self.streams);
        }
        if let Some(part) = part {
            let left = spent * (1.0 - part) / part.max(1e-6);
            let _ = write!(text, ", {:.0} %, {left:.0} s left", 100.0 * part);
        }
        if let Some(age) = age {
            let _ = write!(text, ", {dropped} dropped, {} ms old", age.as_millis());
        }
        self.bar.set_message(format!("{text}; {}", people()));
        self.bar.tick();
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
