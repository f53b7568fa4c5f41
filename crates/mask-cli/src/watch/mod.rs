//! `mask-cli watch`: videos, cameras and streams, frame by frame, each on a thread of its own with the same
//! networks.

mod actions;
pub(crate) mod args;
mod clips;
mod event_folder;
mod picture;
mod plan;
mod printers;
mod session;
mod status;
mod video;

use std::{
    io::{self, IsTerminal},
    ops::ControlFlow,
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, ScopedJoinHandle},
    time::Duration,
};

use anyhow::Context;
use mask_detector::MaskDetector;
use mask_stream::{Feed, FeedConfig, Ffmpeg, FrameSelection, Source};
use mask_track::TrackerConfig;

use crate::{format::output_failed, interrupt::Interrupt, networks};
use args::{StreamArgs, StreamFormat, WatchArgs};
use event_folder::EventFolder;
use plan::Plan;
use printers::FramePrinter;
use session::{End, Session};
use status::Status;

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
    let plans = Plan::of(args)?;
    let needs_ffmpeg = |plan: &Plan| {
        let writes = plan.settings.output.is_some() || args.clips.is_some();
        writes || !matches!(plan.source, Source::Raw(_))
    };
    let ffmpeg = plans.iter().any(needs_ffmpeg).then(|| Ffmpeg::find(args.ffmpeg.clone()));
    let ffmpeg = ffmpeg.transpose()?;
    networks::start_threads(&args.detector)?;
    let interrupt = Interrupt::listen().context("cannot listen for Ctrl-C")?;
    let status = Status::new(plans.len())?;

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
    let default_format = (!io::stdout().is_terminal()).then_some(StreamFormat::Ndjson);
    let format = args.format.or(default_format);
    let printer = format.map(|format| FramePrinter::new(format, detector.classes(), io::stdout()));
    let printer = match printer.transpose() {
        Ok(printer) => printer.map(Mutex::new),
        Err(error) => return output_failed(&error),
    };
    let days = Duration::from_secs_f64(args.keep_days * 24.0 * 3600.0);
    let bytes = u64::from(args.keep_megabytes) * 1_000_000;
    let saved = args.save_events.as_deref().map(|folder| EventFolder::new(folder, bytes, days));
    let saved = saved.transpose()?;
    let shared =
        Shared { args, saved, detector: &detector, tracker, ffmpeg, printer, status, interrupt };
    // All that must be right is looked at before any stream begins.
    let sessions: anyhow::Result<Vec<Session<'_>>> =
        plans.iter().map(|plan| Session::new(plan, &shared)).collect();
    let sessions = sessions?;
    let stop = AtomicBool::new(false);
    let ends: Vec<anyhow::Result<End>> = thread::scope(|scope| {
        let watch = |(plan, session)| {
            let (shared, stop) = (&shared, &stop);
            scope.spawn(move || {
                let end = session_of(plan, session, shared, stop);
                if let Err(error) = &end {
                    shared.status.report(format_args!("{}: {error:#}", plan.name));
                }
                end
            })
        };
        let threads: Vec<_> = plans.iter().zip(sessions).map(watch).collect();
        let ended = |thread: ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a stream's thread panicked")))
        };
        threads.into_iter().map(ended).collect()
    });
    shared.status.finish();
    let mut code = ExitCode::SUCCESS;
    for end in ends {
        match end {
            Ok(End::Source(Ok(()))) => {}
            // It has had its line.
            Ok(End::Source(Err(_))) | Err(_) => code = ExitCode::from(SOURCE_FAILED),
            Ok(End::Output(error)) => return output_failed(&error),
        }
    }
    Ok(code)
}

/// What all streams have in common.
struct Shared<'a> {
    args: &'a WatchArgs,
    detector: &'a MaskDetector,
    tracker: TrackerConfig,
    ffmpeg: Option<Ffmpeg>,
    saved: Option<EventFolder>,
    printer: Option<Mutex<FramePrinter<io::Stdout>>>,
    status: Status,
    interrupt: Interrupt,
}

/// Watches a stream to its end, or until all are to end.
fn session_of(
    plan: &Plan,
    mut session: Session<'_>,
    shared: &Shared<'_>,
    stop: &AtomicBool,
) -> anyhow::Result<End> {
    let feed = Feed::open(plan.source.clone(), shared.ffmpeg.clone(), feed_config(&plan.settings));
    let mut end = Ok(End::Source(Ok(())));
    while !shared.interrupt.pressed() && !stop.load(Ordering::Relaxed) {
        let Some(event) = feed.next(PAUSE) else { continue };
        match session.take(event, &feed) {
            Ok(ControlFlow::Continue(())) => continue,
            Ok(ControlFlow::Break(how)) => end = Ok(how),
            Err(error) => end = Err(error),
        }
        break;
    }
    if matches!(end, Ok(End::Output(_))) {
        // Nobody takes the others' results either.
        stop.store(true, Ordering::Relaxed);
    }
    let dropped = feed.dropped();
    drop(feed);
    if let Ok(End::Source(Err(error))) = &end {
        session.report(&error.to_string());
    }
    // Whatever happened, what was seen until then is recorded.
    let finished = session.finish(dropped, shared.args.summary || io::stderr().is_terminal());
    end.and_then(|end| finished.map(|()| end))
}

fn feed_config(settings: &StreamArgs) -> FeedConfig {
    FeedConfig {
        selection: FrameSelection {
            every: settings.every,
            max_rate: settings.max_fps,
            start: settings.start,
            duration: settings.duration,
            size: settings.size,
        },
        live: settings.live.then_some(true),
        stall: Duration::from_secs_f64(settings.stall),
        reconnect: !settings.no_reconnect,
    }
}
