//! End-to-end runs of the real binary.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod bad_input;
mod damaged;
mod detect;
mod inputs;
mod results;
mod selection;
#[cfg(unix)]
mod serve;
mod streams;
mod support;
mod watch;
