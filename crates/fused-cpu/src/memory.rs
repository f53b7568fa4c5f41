//! Memory for weights and values, in large pages where the system has them.
//!
//! A plan's weights and values are some tens of megabytes that every run passes through. In pages of
//! four kilobytes they are more than a processor's tables of addresses hold.
#![allow(unsafe_code, reason = "memory of its own alignment")]

use std::{
    alloc::{Layout, alloc, dealloc},
    ops::{Deref, DerefMut},
    ptr::NonNull,
};

/// Size of a large page on x86-64 and, with pages of four kilobytes, on AArch64.
const LARGE_PAGE: usize = 1 << 21;
/// A cache line.
const LINE: usize = 64;

/// Floats at a fixed place.
pub(crate) struct Floats {
    start: NonNull<f32>,
    len: usize,
}

// Safety: the memory belongs to this value alone, as a vector's.
unsafe impl Send for Floats {}
unsafe impl Sync for Floats {}

impl Floats {
    /// So many zeros; none if there is not the memory.
    pub(crate) fn zeros(len: usize) -> Option<Self> {
        // Safety: zeros are written to all of it.
        unsafe { Self::filled(len, |start| start.write_bytes(0, len)) }
    }

    /// Copies of several slices, one after another; none if there is not the memory.
    pub(crate) fn joined(slices: &[&[f32]]) -> Option<Self> {
        let len = slices.iter().map(|slice| slice.len()).sum();
        // Safety: the slices fill all of it.
        unsafe {
            Self::filled(len, |mut to| {
                for slice in slices {
                    to.copy_from_nonoverlapping(slice.as_ptr(), slice.len());
                    to = to.add(slice.len());
                }
            })
        }
    }

    /// # Safety
    /// `fill` is given the first of `len` floats and must write all of them.
    unsafe fn filled(len: usize, fill: impl FnOnce(*mut f32)) -> Option<Self> {
        if len == 0 {
            return Some(Self::default());
        }
        let layout = Self::layout(len)?;
        // Safety: the layout is not empty.
        unsafe {
            let start = NonNull::new(alloc(layout).cast::<f32>())?;
            // Before the first access, which decides about the page.
            ask_for_large_pages(start.as_ptr().cast(), layout.size());
            fill(start.as_ptr());
            Some(Self { start, len })
        }
    }

    /// None if the machine cannot address so many.
    fn layout(len: usize) -> Option<Layout> {
        let bytes = len.checked_mul(size_of::<f32>())?;
        let align = if bytes < LARGE_PAGE { LINE } else { LARGE_PAGE };
        Layout::from_size_align(bytes, align).ok()
    }
}

/// Asks the system to use large pages; it may not have them, and nothing depends on it.
#[cfg(all(target_os = "linux", not(miri)))]
unsafe fn ask_for_large_pages(start: *mut libc::c_void, bytes: usize) {
    // Whole pages only: what lies around the memory is not asked for.
    let whole = bytes / LARGE_PAGE * LARGE_PAGE;
    if whole > 0 {
        // Safety: the range is memory of this process, and the advice does not change its content.
        unsafe { libc::madvise(start, whole, libc::MADV_HUGEPAGE) };
    }
}

#[cfg(not(all(target_os = "linux", not(miri))))]
unsafe fn ask_for_large_pages(_start: *mut std::ffi::c_void, _bytes: usize) {}

impl Default for Floats {
    fn default() -> Self {
        Self { start: NonNull::dangling(), len: 0 }
    }
}

impl Drop for Floats {
    fn drop(&mut self) {
        if let Some(layout) = Self::layout(self.len).filter(|layout| layout.size() > 0) {
            // Safety: allocated with this layout.
            unsafe { dealloc(self.start.as_ptr().cast(), layout) };
        }
    }
}

impl Deref for Floats {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // Safety: so many floats were initialised.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl DerefMut for Floats {
    fn deref_mut(&mut self) -> &mut [f32] {
        // Safety: as above, and borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl std::fmt::Debug for Floats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} floats", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_of_every_size_begins_with_zeros_and_can_be_written() {
        let page = LARGE_PAGE / size_of::<f32>();
        for len in [0, 1, 1000, page - 1, page, 2 * page + 7] {
            let mut floats = Floats::zeros(len).unwrap();
            assert_eq!(floats.len(), len);
            assert!(floats.iter().all(|value| *value == 0.0));
            if let Some(last) = floats.last_mut() {
                *last = 1.0;
            }
            assert_eq!(floats.iter().sum::<f32>(), if len == 0 { 0.0 } else { 1.0 });
        }
        assert!(Floats::zeros(usize::MAX / 2).is_none());
    }

    #[test]
    fn slices_are_joined_in_their_order() {
        let joined = Floats::joined(&[&[1.0, 2.0], &[], &[3.0]]).unwrap();
        assert_eq!(joined[..], [1.0, 2.0, 3.0]);
        assert!(Floats::joined(&[]).unwrap().is_empty());
    }
}
