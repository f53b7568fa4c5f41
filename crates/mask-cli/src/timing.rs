//! Times of the stages, for `--timing`.

use std::{fmt, ops::AddAssign, time::Duration};

/// Time spent in the stages.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct StageTimes {
    /// Reading and decoding.
    pub(crate) decode: Duration,
    /// Resizing, face network, decoding of boxes.
    pub(crate) faces: Duration,
    /// Resizing of crops, classifier.
    pub(crate) masks: Duration,
    /// Drawing, encoding, writing.
    pub(crate) draw: Duration,
}

impl AddAssign for StageTimes {
    fn add_assign(&mut self, other: Self) {
        self.decode += other.decode;
        self.faces += other.faces;
        self.masks += other.masks;
        self.draw += other.draw;
    }
}

/// Time spent in each stage over all images.
#[derive(Debug, Default)]
pub(crate) struct Timing {
    /// Opening the device and loading the networks.
    pub(crate) load: Duration,
    /// Of all workers together.
    pub(crate) stages: StageTimes,
    /// From the first to the last image. Less than the stages' sum where there are several workers.
    pub(crate) total: Duration,
    /// Images that were decoded.
    pub(crate) images: usize,
}

impl fmt::Display for Timing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        writeln!(f, "load   {:10.1} ms", milliseconds(self.load))?;
        let images = self.images.max(1) as f64;
        for (name, time) in [
            ("decode", self.stages.decode),
            ("faces", self.stages.faces),
            ("masks", self.stages.masks),
            ("draw", self.stages.draw),
            ("all", self.total),
        ] {
            let total = milliseconds(time);
            writeln!(f, "{name:6} {total:10.1} ms {:10.2} ms per image", total / images)?;
        }
        write!(f, "{} images", self.images)
    }
}
