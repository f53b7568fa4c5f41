//! The ffmpeg program.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use crate::StreamError;

/// An ffmpeg that can be run.
#[derive(Debug, Clone)]
pub struct Ffmpeg {
    program: PathBuf,
    /// Major and minor version; builds from its repository count as the newest.
    version: (u32, u32),
}

impl Ffmpeg {
    /// The given program, or the one on the PATH.
    ///
    /// # Errors
    /// If it cannot be run or is not ffmpeg.
    pub fn find(program: Option<PathBuf>) -> Result<Self, StreamError> {
        let program = program.unwrap_or_else(|| PathBuf::from("ffmpeg"));
        let output = Command::new(&program)
            .args(["-hide_banner", "-version"])
            .stdin(Stdio::null())
            .output()
            .map_err(|reason| StreamError::NoFfmpeg {
                program: program.display().to_string(),
                reason,
            })?;
        let text = String::from_utf8_lossy(&output.stdout);
        let Some(rest) = text.strip_prefix("ffmpeg version ") else {
            return Err(StreamError::Ffmpeg(format!("{} is not ffmpeg", program.display())));
        };
        let mut numbers = rest.split(|letter: char| !letter.is_ascii_digit());
        let mut number = || numbers.next().and_then(|digits| digits.parse().ok());
        let version = match (number(), number()) {
            (Some(major), Some(minor)) => (major, minor),
            _ => (u32::MAX, 0),
        };
        Ok(Self { program, version })
    }

    /// The program, ready for arguments, in a process group of its own: Ctrl-C is for the parent, which
    /// ends its children in order.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.args(["-nostdin", "-hide_banner", "-nostats"]);
        command
    }

    /// Arguments that pass frames on as they come, whatever their times and sizes.
    pub(crate) fn pass_through(&self) -> Vec<&'static str> {
        let mut arguments = match self.version {
            version if version >= (5, 1) => vec!["-fps_mode", "passthrough"],
            _ => vec!["-vsync", "passthrough"],
        };
        if !self.scales_to_first() {
            arguments.extend(["-autoscale", "0"]);
        }
        arguments
    }

    /// Whether frames of another size are always scaled to the first one's.
    pub(crate) fn scales_to_first(&self) -> bool {
        self.version < (4, 4)
    }
}

/// The words of a line at `-loglevel level+info`, if it tells of an error.
pub(crate) fn error_of(line: &str) -> Option<&str> {
    let (_, words) = line.split_once("[error] ").or_else(|| line.split_once("[fatal] "))?;
    Some(words.trim())
}
