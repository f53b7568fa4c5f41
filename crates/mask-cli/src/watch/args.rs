//! The arguments of `watch`.

use std::path::PathBuf;

use clap::{Args, FromArgMatches, ValueEnum};
use mask_detector::ImageSize;

use crate::args::DetectorArgs;

pub(crate) const NOTES: &str = "\
Exit status: 0 at the end of the source or after Ctrl-C, 1 if the source cannot be read, 2 for wrong \
arguments.

Examples:
  mask-cli watch 0
  mask-cli watch rtsp://user:password@camera/stream1 --format ndjson
  mask-cli watch film.mp4 --output drawn.mp4 --blur
  some-program | mask-cli watch --raw 640x480 --fps 25
  mask-cli watch --config streams.toml --db shop.sqlite";

/// Arguments of `watch`.
#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// A video file, a camera (0, /dev/video0), a stream (rtsp://, rtmp://, http://, ...), or numbered
    /// images (frames/%04d.jpg).
    #[arg(required_unless_present_any = ["raw", "config"])]
    pub(crate) source: Option<String>,

    /// Watch all streams of this TOML file at once, with the same networks.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["source", "raw", "output", "start", "duration"])]
    pub(crate) config: Option<PathBuf>,

    /// Read frames from standard input: rows of RGB pixels, eight bits a channel, of this size.
    #[arg(long, value_name = "WIDTHxHEIGHT", value_parser = size, conflicts_with_all = ["source", "size", "start"])]
    pub(crate) raw: Option<ImageSize>,

    /// Frames a second on standard input.
    #[arg(long, value_name = "N", default_value_t = 25.0, requires = "raw", value_parser = positive)]
    pub(crate) fps: f64,

    /// Form of the results on standard output, a frame at a time [default: none on a terminal, else
    /// ndjson].
    #[arg(short, long, value_enum)]
    pub(crate) format: Option<StreamFormat>,

    /// Say at the end on standard error how many people there were, as on a terminal.
    #[arg(long)]
    pub(crate) summary: bool,

    #[command(flatten)]
    pub(crate) stream: StreamArgs,

    #[command(flatten)]
    pub(crate) records: RecordArgs,

    #[command(flatten)]
    pub(crate) detector: DetectorArgs,
}

/// What decodes streams, and what is kept of them.
#[derive(Debug, Args)]
pub(crate) struct RecordArgs {
    /// The ffmpeg program [default: the one on the PATH].
    #[arg(long, value_name = "FILE")]
    pub(crate) ffmpeg: Option<PathBuf>,

    /// Record sessions, people, counts and events in this SQLite file, which may hold others already.
    #[arg(long, value_name = "FILE")]
    pub(crate) db: Option<PathBuf>,

    /// Seconds over which people are counted in the database.
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0, requires = "db", value_parser = positive)]
    pub(crate) db_interval: f64,

    /// Save a picture of every event into this folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) save_events: Option<PathBuf>,

    /// Also save a clip of every event, from so many seconds before it to so many after.
    #[arg(long, value_name = "SECONDS", requires = "save_events", value_parser = clip_seconds)]
    pub(crate) clips: Option<f64>,

    /// Remove the oldest pictures and clips of events where they take more.
    #[arg(long, value_name = "MEGABYTES", default_value_t = 1000, requires = "save_events")]
    pub(crate) keep_megabytes: u32,

    /// Remove pictures and clips of events that are older.
    #[arg(long, value_name = "DAYS", default_value_t = 30.0, requires = "save_events", value_parser = positive)]
    pub(crate) keep_days: f64,
}

/// What each stream has its own of, where there are several.
#[derive(Debug, Clone, Args)]
pub(crate) struct StreamArgs {
    /// Only look at every so many-th frame.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) every: u32,

    /// Look at no more than so many frames a second.
    #[arg(long, value_name = "N", value_parser = positive)]
    pub(crate) max_fps: Option<f64>,

    /// Begin so many seconds after the source's beginning.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0, value_parser = not_negative)]
    pub(crate) start: f64,

    /// End after so many seconds of the source.
    #[arg(long, value_name = "SECONDS", value_parser = positive)]
    pub(crate) duration: Option<f64>,

    /// Scale frames to this size first.
    #[arg(long, value_name = "WIDTHxHEIGHT", value_parser = size)]
    pub(crate) size: Option<ImageSize>,

    /// Take the newest frame and drop the others, as of cameras and streams, whatever the source is.
    #[arg(long)]
    pub(crate) live: bool,

    /// After so many seconds without a new frame a stream is begun anew.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = positive)]
    pub(crate) stall: f64,

    /// End when a camera or stream is lost, instead of looking for it again.
    #[arg(long)]
    pub(crate) no_reconnect: bool,

    /// Look for faces in every so many-th frame, and predict where they are between.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) detect_every: u32,

    /// Zones, lines and rules for events, a TOML file.
    #[arg(long, value_name = "FILE")]
    pub(crate) scene: Option<PathBuf>,

    /// Run this command for every event, with the event as JSON on its standard input.
    #[arg(long, value_name = "COMMAND", requires = "scene")]
    pub(crate) on_event: Option<String>,

    /// Send every event as JSON to this address, http:// or https://, by POST.
    #[arg(long, value_name = "URL", requires = "scene")]
    pub(crate) webhook: Option<String>,

    /// Publish every event as JSON on this topic of a broker: mqtt://HOST/TOPIC, with a user as
    /// mqtt://USER:PASSWORD@HOST:PORT/TOPIC, over TLS as mqtts://.
    #[arg(long, value_name = "URL", requires = "scene")]
    pub(crate) mqtt: Option<String>,

    /// Seconds that the command of an event or an answer to it may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, requires = "scene", value_parser = positive)]
    pub(crate) event_limit: f64,

    /// Write a video with boxes, labels, counts and clock; the sound of a file is kept.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Make faces unrecognisable in what is written.
    #[arg(long)]
    pub(crate) blur: bool,
}

impl StreamArgs {
    /// What holds where no argument says otherwise.
    pub(crate) fn defaults() -> anyhow::Result<Self> {
        let command = Self::augment_args(clap::Command::new("defaults"));
        Ok(Self::from_arg_matches(&command.try_get_matches_from([""])?)?)
    }
}

/// Form of the results of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StreamFormat {
    /// One JSON object per frame, one per line.
    Ndjson,
    /// One row per face and frame, with a header.
    Csv,
}

/// A width and height in pixels.
pub(super) fn size(text: &str) -> Result<ImageSize, String> {
    let sides = text.split_once('x').map(|(width, height)| (width.parse(), height.parse()));
    match sides {
        Some((Ok(width @ 1..=16384), Ok(height @ 1..=16384))) => Ok(ImageSize { width, height }),
        _ => Err("give WIDTHxHEIGHT, such as 640x480".to_owned()),
    }
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value.is_finite() => Ok(value),
        _ => Err("give a number above 0".to_owned()),
    }
}

/// The last seconds are kept in memory.
fn clip_seconds(text: &str) -> Result<f64, String> {
    match positive(text) {
        Ok(seconds) if seconds <= 60.0 => Ok(seconds),
        _ => Err("give a number above 0, and no more than 60".to_owned()),
    }
}

fn not_negative(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value >= 0.0 && value.is_finite() => Ok(value),
        _ => Err("give 0 or a number above it".to_owned()),
    }
}
