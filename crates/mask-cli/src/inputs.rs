//! From the arguments to the list of images.

use std::{
    io::{self, BufRead},
    path::{Path, PathBuf},
};

use anyhow::Context;
use image_input::images_in;

/// An image to work on, or a reason why an argument yields none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// A file that may be an image.
    Image {
        /// Where it is.
        path: PathBuf,
        /// Its place below the argument that named it, for a drawn image.
        relative: PathBuf,
    },
    /// An argument that names nothing.
    Failed {
        /// The argument.
        path: PathBuf,
        /// What is wrong with it.
        error: String,
    },
}

/// The images that the arguments name, in their order; folders are searched, but not `except`.
///
/// # Errors
/// If standard input cannot be read.
pub(crate) fn expand(arguments: &[PathBuf], except: Option<&Path>) -> anyhow::Result<Vec<Input>> {
    let mut inputs = Vec::new();
    for argument in arguments {
        if argument.as_os_str() == "-" {
            for path in stdin_paths()? {
                expand_one(&path, except, &mut inputs);
            }
        } else {
            expand_one(argument, except, &mut inputs);
        }
    }
    Ok(inputs)
}

fn expand_one(argument: &Path, except: Option<&Path>, inputs: &mut Vec<Input>) {
    let failed = |error: String| Input::Failed { path: argument.to_path_buf(), error };
    if argument.is_dir() {
        match images_in(argument, except) {
            Ok(images) if images.is_empty() => {
                inputs.push(failed("no images in this folder".to_owned()));
            }
            Ok(images) => inputs.extend(images.into_iter().map(|path| {
                let relative = path.strip_prefix(argument).unwrap_or(&path).to_path_buf();
                Input::Image { path, relative }
            })),
            Err(error) => inputs.push(failed(error.to_string())),
        }
        return;
    }
    match argument.to_str() {
        Some(pattern) if !argument.exists() && pattern.contains(['*', '?', '[']) => {
            expand_pattern(pattern, except, inputs, failed);
        }
        _ => inputs.push(image(argument.to_path_buf())),
    }
}

fn expand_pattern(
    pattern: &str,
    except: Option<&Path>,
    inputs: &mut Vec<Input>,
    failed: impl Fn(String) -> Input,
) {
    let paths = match glob::glob(pattern) {
        Ok(paths) => paths,
        Err(error) => return inputs.push(failed(format!("invalid pattern: {error}"))),
    };
    let before = inputs.len();
    for path in paths {
        match path {
            Ok(path) if path.is_dir() => expand_one(&path, except, inputs),
            Ok(path) => inputs.push(image(path)),
            Err(error) => inputs.push(failed(error.to_string())),
        }
    }
    if inputs.len() == before {
        inputs.push(failed("no file matches this pattern".to_owned()));
    }
}

fn image(path: PathBuf) -> Input {
    let relative = path.file_name().map_or_else(|| path.clone(), PathBuf::from);
    Input::Image { path, relative }
}

/// The paths on standard input, one per line.
fn stdin_paths() -> anyhow::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for line in io::stdin().lock().split(b'\n') {
        let mut line = line.context("cannot read the list of images on standard input")?;
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        if !line.is_empty() {
            paths.push(path_of(line));
        }
    }
    Ok(paths)
}

#[cfg(unix)]
fn path_of(bytes: Vec<u8>) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    std::ffi::OsString::from_vec(bytes).into()
}

#[cfg(not(unix))]
fn path_of(bytes: Vec<u8>) -> PathBuf {
    String::from_utf8_lossy(&bytes).into_owned().into()
}
