//! Ctrl-C: finish what is under way, then end.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Whether Ctrl-C was pressed.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Starts listening.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        let pressed = Arc::clone(&flag);
        ctrlc::set_handler(move || pressed.store(true, Ordering::Relaxed))?;
        Ok(Self(flag))
    }

    /// Stops all who look.
    pub(crate) fn press(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether to stop.
    pub(crate) fn pressed(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
