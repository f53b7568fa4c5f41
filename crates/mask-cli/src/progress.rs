//! The progress bar on standard error.

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
};

use indicatif::{ProgressBar, ProgressStyle};

/// Progress over the images; silent where standard error is no terminal.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// A bar for so many images.
    pub(crate) fn new(images: usize) -> anyhow::Result<Self> {
        if images < 2 || !io::stderr().is_terminal() {
            return Ok(Self(ProgressBar::hidden()));
        }
        let style = "{bar:30} {pos}/{len} images, {per_sec}, {eta} left";
        let bar = ProgressBar::new(images as u64);
        bar.set_style(ProgressStyle::with_template(style)?);
        Ok(Self(bar))
    }

    /// Counts finished images.
    pub(crate) fn advance(&self, images: usize) {
        self.0.inc(images as u64);
    }

    /// Prints a line on standard error, above the bar.
    pub(crate) fn report(&self, line: impl Display) {
        self.0.suspend(|| {
            // Without a standard error there is nobody to tell.
            let _ = writeln!(io::stderr(), "mask-cli: {line}");
        });
    }

    /// Runs `print` with the bar out of the way of standard output.
    pub(crate) fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        self.0.suspend(print)
    }

    /// Removes the bar.
    pub(crate) fn finish(&self) {
        self.0.finish_and_clear();
    }
}
