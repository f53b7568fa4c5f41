//! `mask-cli watch`: a video, camera or stream, frame by frame.

mod actions;
pub(crate) mod args;
mod printers;
mod session;
mod status;
mod video;

use std::{
    fs,
    io::{self, IsTerminal, Write},
    ops::ControlFlow,
    path::Path,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use mask_detector::MaskDetector;
use mask_stream::{
    Analysis, AnalysisConfig, Database, Feed, FeedConfig, Ffmpeg, FrameSelection, Observer,
    RawFormat, Scene, Source,
};
use mask_track::TrackerConfig;

use crate::{interrupt::Interrupt, networks};
use actions::Actions;
use args::{StreamFormat, WatchArgs};
use printers::FramePrinter;
use session::{End, Session};
use status::Status;
use video::Video;

/// Exit status where the source could not be read to its end.
const SOURCE_FAILED: u8 = 1;
/// How long nobody looks whether Ctrl-C was pressed.
const PAUSE: Duration = Duration::from_millis(100);

/// Runs the command.
///
/// # Errors
/// For what must be right before any work: arguments, ffmpeg, device, weights; and if results cannot be
/// written.
pub(crate) fn run(args: &WatchArgs) -> anyhow::Result<ExitCode> {
    let source = match (&args.source, args.raw) {
        (_, Some(size)) => Source::Raw(RawFormat { size, rate: args.fps }),
        (Some(text), None) if text == "-" => {
            bail!("standard input has frames without a size; say --raw WIDTHxHEIGHT instead of -")
        }
        (Some(text), None) => text.parse()?,
        (None, None) => bail!("no source given"),
    };
    if let (Source::File(input), Some(output)) = (&source, &args.output) {
        let same = |a: &Path, b: &Path| {
            a.canonicalize().is_ok_and(|a| b.canonicalize().is_ok_and(|b| a == b))
        };
        ensure!(
            !same(Path::new(input), output),
            "{input} would be overwritten; give another --output"
        );
    }
    let needs_ffmpeg = !matches!(source, Source::Raw(_)) || args.output.is_some();
    let ffmpeg = needs_ffmpeg.then(|| Ffmpeg::find(args.ffmpeg.clone())).transpose()?;
    networks::start_threads(&args.detector)?;
    let interrupt = Interrupt::listen().context("cannot listen for Ctrl-C")?;
    let status = Status::new()?;

    let open = networks::open_device(&args.detector, |reason| status.report(reason))?;
    let tracker = TrackerConfig {
        sure: args.detector.min_confidence,
        begins: args.detector.min_confidence,
        doubtful: TrackerConfig::default().doubtful.min(args.detector.min_confidence),
        ..TrackerConfig::default()
    };
    let mut config = networks::config(&args.detector);
    config.faces.max_batch = 1;
    // What may not begin a track may continue one.
    config.faces.postprocess.score_threshold = tracker.doubtful;
    let detector = MaskDetector::new(config, &open.device)?;
    let classes = detector.classes();
    let name = source.to_string();
    let analysis =
        AnalysisConfig { detect_every: args.detect_every, tracker, ..AnalysisConfig::default() };
    let observer = Observer::new(&name, scene(args.scene.as_deref())?, classes);
    let observer = match &args.scene {
        Some(file) => observer.with_context(|| file.display().to_string())?,
        None => observer?,
    };
    let limit = Duration::from_secs_f64(args.event_limit);
    let default_format = (!io::stdout().is_terminal()).then_some(StreamFormat::Ndjson);
    let format = args.format.or(default_format);
    let printer = format.map(|format| FramePrinter::new(format, classes, io::stdout().lock()));
    let printer = match printer.transpose() {
        Ok(printer) => printer,
        Err(error) => return output_failed(&error),
    };
    let database = args.db.as_deref();
    let database = database.map(|file| Database::open(file, &name, classes, args.db_interval));
    let database = database.transpose().context("--db")?;
    let mut session = Session {
        classes,
        analysis: Analysis::new(&detector, analysis),
        observer,
        actions: args.on_event.as_deref().map(|command| Actions::new(command, limit)),
        printer,
        video: Video::new(args, &source, ffmpeg.as_ref(), classes, &status)?,
        database,
        database_fails: false,
        blur: args.blur,
        stall: Duration::from_secs_f64(args.stall),
        status,
        time: 0.0,
        name,
    };
    let feed = Feed::open(source, ffmpeg.clone(), feed_config(args));
    let mut end = End::Source(Ok(()));
    while !interrupt.pressed() {
        let Some(event) = feed.next(PAUSE) else { continue };
        if let ControlFlow::Break(how) = session.take(event, &feed)? {
            end = how;
            break;
        }
    }
    let (dropped, name) = (feed.dropped(), session.name.clone());
    drop(feed);
    session.finish(dropped, args.summary || io::stderr().is_terminal())?;
    match end {
        End::Source(Ok(())) => Ok(ExitCode::SUCCESS),
        End::Source(Err(error)) => {
            // Where even that line cannot be written, the status still tells.
            let _ = writeln!(io::stderr(), "mask-cli: {name}: {error}");
            Ok(ExitCode::from(SOURCE_FAILED))
        }
        End::Output(error) => output_failed(&error),
    }
}

/// What a file says of zones, lines and rules.
fn scene(file: Option<&Path>) -> anyhow::Result<Scene> {
    let Some(file) = file else { return Ok(Scene::default()) };
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    toml::from_str(&text).map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        anyhow::anyhow!("{}, line {line}: {}", file.display(), error.message())
    })
}

fn feed_config(args: &WatchArgs) -> FeedConfig {
    FeedConfig {
        selection: FrameSelection {
            every: args.every,
            max_rate: args.max_fps,
            start: args.start,
            duration: args.duration,
            size: args.size,
        },
        live: args.live.then_some(true),
        stall: Duration::from_secs_f64(args.stall),
        reconnect: !args.no_reconnect,
    }
}

/// A reader that went away is not an error; anything else is.
fn output_failed(error: &io::Error) -> anyhow::Result<ExitCode> {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        _ => bail!("cannot write the results: {error}"),
    }
}
