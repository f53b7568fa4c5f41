//! What a function says of how it went.

use std::{
    cell::RefCell,
    error::Error,
    ffi::{CString, c_char},
    panic::{AssertUnwindSafe, catch_unwind},
    ptr,
};

use mask_detector::error_line;

/// How a call went. `mask_last_error` has the words.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaskStatus {
    /// It was done.
    Ok = 0,
    /// An argument is not what it must be: a null pointer, text that is not UTF-8, no such device or size.
    InvalidArgument = 1,
    /// A file or an encoded image cannot be read, or is no image.
    Image = 2,
    /// A device, weights or a network cannot be used.
    Detector = 3,
    /// A fault of this library.
    Internal = 4,
}

/// Why a call failed.
pub(crate) struct Failure {
    status: MaskStatus,
    words: String,
}

impl Failure {
    pub(crate) fn argument(words: impl Into<String>) -> Self {
        Self { status: MaskStatus::InvalidArgument, words: words.into() }
    }

    pub(crate) fn of(status: MaskStatus, error: &dyn Error) -> Self {
        Self { status, words: error_line(error) }
    }
}

thread_local! {
    static LAST_ERROR: RefCell<CString> = RefCell::default();
}

/// Runs a call, keeps why it failed, and lets no panic reach C.
pub(crate) fn call(work: impl FnOnce() -> Result<(), Failure>) -> MaskStatus {
    let result = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let words = "a fault of this library; please report it".to_owned();
        Err(Failure { status: MaskStatus::Internal, words })
    });
    let (status, words) = match result {
        Ok(()) => (MaskStatus::Ok, String::new()),
        Err(Failure { status, words }) => (status, words),
    };
    let words = CString::new(words.replace('\0', " ")).unwrap_or_default();
    LAST_ERROR.with_borrow_mut(|last| *last = words);
    status
}

/// A value for C, which owns it from now on.
pub(crate) fn give<T>(to: *mut *mut T, value: T) {
    // Safety: the callers have checked that it is not null, and C says that it can be written.
    unsafe { to.write(Box::into_raw(Box::new(value))) };
}

/// Takes a value back from C, and ends it. Null is nothing.
///
/// # Safety
/// It must be of `give`, and not have been taken back before.
pub(crate) unsafe fn take<T>(value: *mut T) {
    if !value.is_null() {
        // Safety: the caller's duty.
        drop(unsafe { Box::from_raw(value) });
    }
}

/// Why the last call of this thread failed, in one line of UTF-8; empty if it did not. It is there until the thread's
/// next call that returns a status.
#[unsafe(no_mangle)]
pub extern "C" fn mask_last_error() -> *const c_char {
    LAST_ERROR.try_with(|last| last.borrow().as_ptr()).unwrap_or(ptr::null())
}
