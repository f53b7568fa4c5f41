//! Where images lie in memory, and checked access to it.
#![allow(unsafe_code, reason = "threads write disjoint parts of one arena; see `Arena`")]

/// Where an image lies, in floats. Channels are innermost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct View {
    /// The first channel of the upper left pixel.
    pub(crate) origin: usize,
    /// From row to row.
    pub(crate) row: usize,
    /// From pixel to pixel.
    pub(crate) pixel: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) channels: usize,
}

impl View {
    /// The offset of a pixel's first channel.
    pub(crate) fn at(&self, y: usize, x: usize) -> usize {
        self.origin + y * self.row + x * self.pixel
    }

    /// Floats of the image, if nothing lies between its pixels.
    pub(crate) fn floats(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// The view moved to begin `rows` and `columns` earlier, in its halo.
    pub(crate) fn with_border(&self, rows: usize, columns: usize) -> Self {
        Self { origin: self.origin - rows * self.row - columns * self.pixel, ..*self }
    }

    /// Floats from the first to the last of a row.
    pub(crate) fn row_span(&self) -> usize {
        self.width.saturating_sub(1) * self.pixel + self.channels
    }
}

/// The memory that the values of one image lie in, for the tasks of a step.
///
/// Steps run one after another. Within one, a task writes only the pixels that are its own and
/// reads only values that are complete; the layout gives values that are alive at the same time
/// places apart. Access is checked against the length; that tasks are disjoint is their duty.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arena {
    start: *mut f32,
    len: usize,
}

// Safety: see the type.
unsafe impl Send for Arena {}
unsafe impl Sync for Arena {}

impl Arena {
    pub(crate) fn new(floats: &mut [f32]) -> Self {
        Self { start: floats.as_mut_ptr(), len: floats.len() }
    }

    /// A pointer to `floats` floats from `offset` on.
    ///
    /// # Panics
    /// If they do not lie in the arena.
    #[inline(always)]
    pub(crate) fn at(&self, offset: usize, floats: usize) -> *mut f32 {
        check(offset, floats, self.len);
        // Safety: just checked.
        unsafe { self.start.add(offset) }
    }

    /// `floats` floats from `offset` on.
    ///
    /// # Safety
    /// No other thread may read or write them while the slice lives.
    #[inline(always)]
    #[allow(clippy::mut_from_ref, reason = "disjointness is the tasks' duty")]
    pub(crate) unsafe fn slice(&self, offset: usize, floats: usize) -> &mut [f32] {
        unsafe { std::slice::from_raw_parts_mut(self.at(offset, floats), floats) }
    }

    /// The same memory, for reading.
    pub(crate) fn source(&self) -> Source {
        Source { start: self.start, len: self.len }
    }
}

/// Memory that a step reads: the arena, or the caller's image.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source {
    start: *const f32,
    len: usize,
}

// Safety: as `Arena`; the caller's image is borrowed and never written.
unsafe impl Send for Source {}
unsafe impl Sync for Source {}

impl Source {
    pub(crate) fn new(floats: &[f32]) -> Self {
        Self { start: floats.as_ptr(), len: floats.len() }
    }

    /// A pointer to `floats` floats from `offset` on.
    ///
    /// # Panics
    /// If they do not lie in the memory.
    #[inline(always)]
    pub(crate) fn at(&self, offset: usize, floats: usize) -> *const f32 {
        check(offset, floats, self.len);
        // Safety: just checked.
        unsafe { self.start.add(offset) }
    }
}

#[inline(always)]
fn check(offset: usize, floats: usize, len: usize) {
    assert!(
        offset.checked_add(floats).is_some_and(|end| end <= len),
        "access beyond the memory of a plan"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_beyond_the_end_panics() {
        let mut floats = [0.0; 8];
        let arena = Arena::new(&mut floats);
        arena.at(4, 4);
        for (offset, length) in [(5, 4), (9, 0), (usize::MAX, 2)] {
            let source = arena.source();
            assert!(std::panic::catch_unwind(|| arena.at(offset, length)).is_err());
            assert!(std::panic::catch_unwind(|| source.at(offset, length)).is_err());
        }
    }
}
