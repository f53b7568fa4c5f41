//! Streams side by side, each on a thread of its own with the same networks.

use std::{
    io::{self, IsTerminal},
    ops::ControlFlow,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, ScopedJoinHandle},
    time::Duration,
};

use mask_detector::MaskDetector;
use mask_server::Cameras;
use mask_stream::{Feed, FeedConfig, Ffmpeg, FrameSelection, Source};
use mask_track::TrackerConfig;

use super::{
    args::{RecordArgs, StreamArgs},
    event_folder::EventFolder,
    plan::Plan,
    printers::FramePrinter,
    session::{End, Session},
    status::Status,
};
use crate::interrupt::Interrupt;

/// How long nobody looks whether Ctrl-C was pressed.
const PAUSE: Duration = Duration::from_millis(100);

/// What all streams have in common.
pub(crate) struct Streams<'a> {
    pub(super) records: &'a RecordArgs,
    pub(super) detector: &'a MaskDetector,
    pub(super) tracker: TrackerConfig,
    pub(super) ffmpeg: Option<Ffmpeg>,
    pub(super) saved: Option<EventFolder>,
    pub(super) printer: Option<Mutex<FramePrinter<io::Stdout>>>,
    pub(super) cameras: Option<&'a Cameras>,
    pub(super) status: Status,
    interrupt: Interrupt,
    /// Whether the end of a stream tells what there was.
    summary: bool,
}

/// The ffmpeg that the streams need, if they do.
///
/// # Errors
/// If it is not there.
pub(crate) fn find_ffmpeg(plans: &[Plan], records: &RecordArgs) -> anyhow::Result<Option<Ffmpeg>> {
    let needs_ffmpeg = |plan: &Plan| {
        let writes = plan.settings.output.is_some() || records.clips.is_some();
        writes || !matches!(plan.source, Source::Raw(_))
    };
    let needed = plans.iter().any(needs_ffmpeg).then(|| Ffmpeg::find(records.ffmpeg.clone()));
    Ok(needed.transpose()?)
}

impl<'a> Streams<'a> {
    /// Nothing is printed of frames, and nobody is told, unless that is set, too.
    ///
    /// # Errors
    /// If the folder of events cannot be written into.
    pub(crate) fn new(
        records: &'a RecordArgs,
        detector: &'a MaskDetector,
        tracker: TrackerConfig,
        ffmpeg: Option<Ffmpeg>,
        status: Status,
        interrupt: Interrupt,
    ) -> anyhow::Result<Self> {
        let days = Duration::from_secs_f64(records.keep_days * 24.0 * 3600.0);
        let bytes = u64::from(records.keep_megabytes) * 1_000_000;
        let folder = |folder| EventFolder::new(folder, bytes, days);
        let saved = records.save_events.as_deref().map(folder).transpose()?;
        let (printer, cameras, summary) = (None, None, false);
        let streams = Self {
            records,
            detector,
            tracker,
            ffmpeg,
            saved,
            printer,
            cameras,
            status,
            interrupt,
            summary,
        };
        Ok(streams)
    }

    /// Prints every frame, and with `summary` at the end what there was.
    pub(super) fn printing(self, printer: Option<FramePrinter<io::Stdout>>, summary: bool) -> Self {
        Self { printer: printer.map(Mutex::new), summary, ..self }
    }

    /// Tells a server of every frame.
    pub(crate) fn shown_by(self, cameras: &'a Cameras) -> Self {
        Self { cameras: Some(cameras), ..self }
    }

    /// Prepares for all, so that what must be right is looked at before any begins.
    ///
    /// # Errors
    /// If a scene, a database or a font cannot be used.
    pub(crate) fn prepare(&'a self, plans: &'a [Plan]) -> anyhow::Result<Vec<Session<'a>>> {
        plans.iter().map(|plan| Session::new(plan, self)).collect()
    }

    /// Watches all to their ends.
    pub(crate) fn watch(
        &self,
        plans: &[Plan],
        sessions: Vec<Session<'_>>,
    ) -> Vec<anyhow::Result<End>> {
        let stop = AtomicBool::new(false);
        let ends = thread::scope(|scope| {
            let watch = |(plan, session)| {
                let stop = &stop;
                scope.spawn(move || {
                    let end = session_of(plan, session, self, stop);
                    if let Err(error) = &end {
                        self.status.report(format_args!("{}: {error:#}", plan.name));
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
        self.status.finish();
        ends
    }
}

/// Watches a stream to its end, or until all are to end.
fn session_of(
    plan: &Plan,
    mut session: Session<'_>,
    streams: &Streams<'_>,
    stop: &AtomicBool,
) -> anyhow::Result<End> {
    let feed = Feed::open(plan.source.clone(), streams.ffmpeg.clone(), feed_config(&plan.settings));
    let mut end = Ok(End::Source(Ok(())));
    while !streams.interrupt.pressed() && !stop.load(Ordering::Relaxed) {
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
    let finished = session.finish(dropped, streams.summary || io::stderr().is_terminal());
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
