//! The target of its name as libFuzzer's program.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mask_fuzz::weights::run(bytes));

#[cfg(not(fuzzing))]
fn main() {}
