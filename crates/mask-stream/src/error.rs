//! What can go wrong with streams.

use std::io;

/// A source that cannot be read, or a video that cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// There is no ffmpeg.
    #[error(
        "cannot run {program}: {reason}; install ffmpeg (Debian and Ubuntu: apt install ffmpeg; macOS: brew \
         install ffmpeg) or say where it is with --ffmpeg"
    )]
    NoFfmpeg {
        /// What was tried.
        program: String,
        /// Why it cannot be run.
        reason: io::Error,
    },
    /// ffmpeg gave up.
    #[error("{0}")]
    Ffmpeg(String),
    /// A pipe failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The source cannot be understood.
    #[error("{0}")]
    Source(String),
    /// The networks failed.
    #[error(transparent)]
    Detect(#[from] mask_detector::DetectError),
}
