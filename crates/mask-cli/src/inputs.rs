//! From the arguments to the list of images.

use std::{
    borrow::Cow,
    io::{self, Read},
    path::{Component, Path, PathBuf},
};

use anyhow::{Context, bail};
use glob::Pattern;
use image_input::{FileKind, Skipped, images_in};

/// An image to work on, or a reason why an argument yields none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// A file that may be an image.
    Image {
        /// Where it is.
        path: PathBuf,
        /// The folder that was searched for it, or that holds it.
        folder: PathBuf,
    },
    /// An image on standard input.
    Bytes(Vec<u8>),
    /// An argument that names nothing.
    Failed {
        /// The argument.
        path: PathBuf,
        /// What is wrong with it.
        error: String,
    },
}

impl Input {
    /// What its result calls it.
    pub(crate) fn name(&self) -> Cow<'_, str> {
        match self {
            Self::Image { path, .. } | Self::Failed { path, .. } => path.to_string_lossy(),
            Self::Bytes(_) => STDIN_NAME.into(),
        }
    }
}

/// What an image on standard input is called.
pub(crate) const STDIN_NAME: &str = "-";

/// All that the arguments name.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    /// The images, in the order of the arguments.
    pub(crate) inputs: Vec<Input>,
    /// What was left out in folders.
    pub(crate) skipped: Skipped,
}

/// How arguments are read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading<'a> {
    /// Folders that are left out.
    pub(crate) except: &'a [&'a Path],
    /// Whether the list on standard input separates paths by zero bytes.
    pub(crate) null: bool,
}

impl Reading<'_> {
    /// The images that the arguments name, in their order; folders are searched.
    ///
    /// # Errors
    /// If standard input cannot be read, or is neither an image nor a list.
    pub(crate) fn expand(self, arguments: &[PathBuf]) -> anyhow::Result<Inputs> {
        let mut found = Inputs::default();
        for argument in arguments {
            if argument.as_os_str() == "-" {
                self.expand_stdin(&mut found)?;
            } else {
                self.expand_one(argument, &mut found);
            }
        }
        Ok(found)
    }

    fn expand_stdin(self, found: &mut Inputs) -> anyhow::Result<()> {
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes).context("cannot read standard input")?;
        if FileKind::of(&bytes, None) != FileKind::Unknown {
            found.inputs.push(Input::Bytes(bytes));
            return Ok(());
        }
        if !self.null && bytes.contains(&0) {
            bail!(
                "standard input is neither an image nor a list of paths, one per line; with `find \
                 -print0`, give -0"
            );
        }
        for path in listed_paths(&bytes, self.null) {
            self.expand_one(&path, found);
        }
        Ok(())
    }

    fn expand_one(self, argument: &Path, found: &mut Inputs) {
        if argument.is_dir() {
            return self.expand_folder(argument, found);
        }
        match argument.to_str() {
            Some(pattern) if !argument.exists() && pattern.contains(['*', '?', '[']) => {
                self.expand_pattern(argument, found);
            }
            Some(text) if !argument.exists() => match stream_remedy(text) {
                Some(remedy) => {
                    let (path, error) = (argument.to_path_buf(), format!("not an image; {remedy}"));
                    found.inputs.push(Input::Failed { path, error });
                }
                None => found.inputs.push(image(argument.to_path_buf())),
            },
            _ => found.inputs.push(image(argument.to_path_buf())),
        }
    }

    fn expand_folder(self, folder: &Path, found: &mut Inputs) {
        let contents = images_in(folder, self.except);
        let empty = contents.entries.is_empty();
        for entry in contents.entries {
            found.inputs.push(match entry {
                Ok(path) => Input::Image { path, folder: folder.to_path_buf() },
                Err(error) => Input::Failed { path: error.path, error: error.reason },
            });
        }
        found.skipped.add(contents.skipped);
        if empty {
            let (path, error) = (folder.to_path_buf(), "no images in this folder".to_owned());
            found.inputs.push(Input::Failed { path, error });
        }
    }

    fn expand_pattern(self, argument: &Path, found: &mut Inputs) {
        let failed = |error: String| Input::Failed { path: argument.to_path_buf(), error };
        let paths = match glob::glob(&pattern(argument)) {
            Ok(paths) => paths,
            Err(error) => return found.inputs.push(failed(format!("invalid pattern: {error}"))),
        };
        let before = found.inputs.len();
        for path in paths {
            match path {
                Ok(path) if path.is_dir() => self.expand_folder(&path, found),
                Ok(path) => found.inputs.push(image(path)),
                Err(error) => found.inputs.push(failed(error.to_string())),
            }
        }
        if found.inputs.len() == before {
            found.inputs.push(failed("no file matches this pattern".to_owned()));
        }
    }
}

/// A pattern as people mean it: folders that exist are taken literally, brackets and all, and the
/// extension in either case.
fn pattern(argument: &Path) -> String {
    let (mut literal, mut pattern) = (PathBuf::new(), PathBuf::new());
    for component in argument.components() {
        literal.push(component);
        match component {
            Component::Normal(name) if literal.exists() => {
                pattern.push(Pattern::escape(&name.to_string_lossy()));
            }
            other => pattern.push(other),
        }
    }
    let pattern = pattern.to_string_lossy().into_owned();
    let Some((stem, extension)) = pattern.rsplit_once('.') else { return pattern };
    if !extension.chars().all(|letter| letter.is_ascii_alphanumeric()) {
        return pattern;
    }
    let either = |letter: char| match letter.is_ascii_alphabetic() {
        true => format!("[{}{}]", letter.to_ascii_lowercase(), letter.to_ascii_uppercase()),
        false => letter.to_string(),
    };
    format!("{stem}.{}", extension.chars().map(either).collect::<String>())
}

/// What helps who names a stream, a page or a camera where an image should be.
fn stream_remedy(argument: &str) -> Option<String> {
    if let Some((scheme, _)) = argument.split_once("://") {
        return Some(match scheme {
            "http" | "https" => format!(
                "fetch it first: `curl -sL '{argument}' | mask-cli detect -`, or save it and give the file"
            ),
            "file" => "give the path without `file://`".to_owned(),
            _ => format!("streams are watched: `mask-cli watch '{argument}'`"),
        });
    }
    let is_camera = !argument.is_empty() && argument.chars().all(|digit| digit.is_ascii_digit());
    is_camera.then(|| {
        format!(
            "a camera is watched: `mask-cli watch {argument}`; a photograph is taken with `ffmpeg -f v4l2 -i \
             /dev/video{argument} -frames:v 1 photo.jpg`"
        )
    })
}

fn image(path: PathBuf) -> Input {
    let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
    Input::Image { path, folder }
}

/// The paths of a list, one per line or, if `null`, separated by zero bytes.
fn listed_paths(bytes: &[u8], null: bool) -> Vec<PathBuf> {
    let separator = if null { 0 } else { b'\n' };
    let lines = bytes.split(|byte| *byte == separator);
    let lines = lines.map(|line| match line {
        [line @ .., b'\r'] if !null => line,
        line => line,
    });
    lines.filter(|line| !line.is_empty()).map(path_of).collect()
}

#[cfg(unix)]
fn path_of(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::OsStr::from_bytes(bytes).into()
}

#[cfg(not(unix))]
fn path_of(bytes: &[u8]) -> PathBuf {
    String::from_utf8_lossy(bytes).into_owned().into()
}
