//! End-to-end runs of the tasks on small made-up images.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod calibrate;
mod data_sets;
mod embed;
mod evaluate;
mod export;
mod train;
mod train_classifier;
mod train_face;

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use image::{Rgb, RgbImage};

/// The program, in a folder of the test's own.
fn xtask(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.current_dir(folder).args(arguments);
    command
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    xtask(folder, arguments).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn succeed(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Expects failure with a message that contains `part`.
fn fail(folder: &Path, arguments: &[&str], part: &str) {
    let output = run(folder, arguments);
    let message = stderr(&output);
    assert!(!output.status.success() && message.contains(part), "{arguments:?}: {message}");
    assert!(!message.contains("panicked"), "{message}");
}

/// Two classes that are easy to tell apart, no image like another: stripes and discs.
fn write_dataset(root: &Path, each: u32) {
    for class in ["discs", "stripes"] {
        fs::create_dir_all(root.join(class)).unwrap();
        for number in 0..each {
            let mut state = number.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
            let mut next = |most: u32| {
                state = state.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
                (state >> 16) % most
            };
            let (dark, light) =
                ([0; 3].map(|_| next(90) as u8), [0; 3].map(|_| 150 + next(100) as u8));
            let (x0, y0, size, slope) = (next(50) + 25, next(40) + 20, next(18) + 12, next(9));
            let image = RgbImage::from_fn(100, 80, |x, y| {
                let on = if class == "discs" {
                    (x.abs_diff(x0)).pow(2) + (y.abs_diff(y0)).pow(2) < size * size
                } else {
                    (x * slope + y * (9 - slope) + 10 * x0) / (4 * size) % 2 == 0
                };
                Rgb(if on { light } else { dark })
            });
            image.save(root.join(class).join(format!("{number}.png"))).unwrap();
        }
    }
}
