//! `mask-cli watch`: a video, camera or stream, frame by frame.

pub(crate) mod args;
mod printers;
mod status;

use std::{
    io::{self, IsTerminal},
    path::Path,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use detection_schema::FrameRecord;
use mask_detector::{Annotator, BoundingBox, FaceDetection, MaskDetector, blur_faces};
use mask_stream::{
    Analysis, AnalysisConfig, Feed, FeedConfig, FeedEvent, Ffmpeg, Frame, FrameSelection,
    RawFormat, Source, VideoWriter,
};
use mask_track::TrackerConfig;

use crate::{font, interrupt::Interrupt, networks};
use args::{StreamFormat, WatchArgs};
use printers::FramePrinter;
use status::{Status, counts, present};

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
    let mut status = Status::new()?;

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
    let analysis =
        AnalysisConfig { detect_every: args.detect_every, tracker, ..AnalysisConfig::default() };
    let mut analysis = Analysis::new(&detector, analysis);

    let default_format = (!io::stdout().is_terminal()).then_some(StreamFormat::Ndjson);
    let format = args.format.or(default_format);
    let printer = format.map(|format| FramePrinter::new(format, classes, io::stdout().lock()));
    let mut printer = match printer.transpose() {
        Ok(printer) => printer,
        Err(error) => return output_failed(&error),
    };
    let mut video = Video::new(args, &source, ffmpeg.as_ref(), classes, &status)?;

    let feed = Feed::open(source.clone(), ffmpeg.clone(), feed_config(args));
    let name = source.to_string();
    let mut outcome = Ok(());
    while !interrupt.pressed() {
        match feed.next(PAUSE) {
            None => {}
            Some(FeedEvent::Frame(frame)) => {
                let faces = analysis.process(&frame.image, frame.time)?;
                let people = analysis.people();
                if let Some(printer) = &mut printer
                    && let Err(error) = printer.print(&record(&name, &frame, &faces))
                {
                    return output_failed(&error);
                }
                let (age, time) = (frame.arrived.elapsed(), frame.time);
                if let Some(video) = &mut video {
                    let blurred = if args.blur { analysis.regions() } else { Vec::new() };
                    let text = present(classes, &people);
                    video.write(frame, &faces, blurred, feed.rate(), &text)?;
                }
                let duration = feed.duration().filter(|_| !feed.is_live());
                let part = duration.map(|duration| (time / duration).clamp(0.0, 1.0));
                status.frame(part, feed.dropped(), age, || present(classes, &people));
            }
            Some(FeedEvent::Lost { reason, retry }) => {
                let seconds = retry.as_secs();
                status.report(format_args!("{name}: {reason}; trying again in {seconds} s"));
            }
            Some(FeedEvent::Back) => status.report(format_args!("{name}: back")),
            Some(FeedEvent::Frozen) => {
                status.report(format_args!(
                    "{name}: the picture has been the same for {} s",
                    args.stall
                ));
            }
            Some(FeedEvent::Moving) => {
                status.report(format_args!("{name}: the picture moves again"));
            }
            Some(FeedEvent::End(result)) => {
                outcome = result;
                break;
            }
        }
    }
    let dropped = feed.dropped();
    drop(feed);
    if let Some(video) = video {
        video.finish()?;
    }
    status.finish();
    if args.summary || io::stderr().is_terminal() {
        let people = counts(classes, &analysis.people().all(), "people");
        let (frames, rate, looks) = (status.frames, status.rate(), analysis.classified());
        let dropped = if dropped > 0 { format!(", {dropped} dropped") } else { String::new() };
        status.report(format_args!(
            "{people}, {frames} frames{dropped}, {rate:.1} frames/s, {looks} faces classified"
        ));
    }
    Ok(match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            status.report(format_args!("{name}: {error}"));
            ExitCode::from(SOURCE_FAILED)
        }
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

fn record(source: &str, frame: &Frame, faces: &[FaceDetection]) -> FrameRecord {
    let (width, height) = frame.image.dimensions();
    FrameRecord {
        source: source.to_owned(),
        frame: frame.index,
        time: frame.time,
        width,
        height,
        faces: faces.iter().map(FaceDetection::to_record).collect(),
    }
}

/// The video that is written.
struct Video<'a> {
    args: &'a WatchArgs,
    target: &'a Path,
    ffmpeg: &'a Ffmpeg,
    /// Whose sound it has.
    sound: Option<Source>,
    annotator: Annotator,
    writer: Option<VideoWriter>,
}

impl<'a> Video<'a> {
    /// The one that is asked for.
    fn new(
        args: &'a WatchArgs,
        source: &Source,
        ffmpeg: Option<&'a Ffmpeg>,
        classes: &[String],
        status: &Status,
    ) -> anyhow::Result<Option<Self>> {
        let (Some(target), Some(ffmpeg)) = (args.output.as_deref(), ffmpeg) else {
            return Ok(None);
        };
        let (annotator, remedy) = font::choose(Annotator::new(classes)?, None)?;
        if let Some(remedy) = remedy {
            status.report(remedy);
        }
        let is_file = matches!(source, Source::File(path) if !path.contains('%'));
        let sound = (is_file && !args.live).then(|| source.clone());
        Ok(Some(Self { args, target, ffmpeg, sound, annotator, writer: None }))
    }

    fn write(
        &mut self,
        frame: Frame,
        faces: &[FaceDetection],
        blurred: Vec<BoundingBox>,
        rate: Option<f64>,
        people: &str,
    ) -> anyhow::Result<()> {
        let Frame { mut image, time, .. } = frame;
        blur_faces(&mut image, blurred);
        self.annotator.draw(&mut image, faces);
        self.annotator.draw_caption(&mut image, &format!("{}  {people}", clock(time)));
        match &mut self.writer {
            Some(writer) => writer.write(&image, time)?,
            None => {
                let source = rate.unwrap_or(25.0) / f64::from(self.args.every);
                let rate = self.args.max_fps.map_or(source, |most| most.min(source)).min(60.0);
                let sound = self.sound.as_ref();
                let writer =
                    VideoWriter::create(self.ffmpeg, self.target, rate, &image, time, sound)?;
                self.writer = Some(writer);
            }
        }
        Ok(())
    }

    fn finish(self) -> anyhow::Result<()> {
        Ok(self.writer.map_or(Ok(()), VideoWriter::finish)?)
    }
}

/// A time of the source.
fn clock(seconds: f64) -> String {
    let tenths = (seconds * 10.0) as u64;
    let (seconds, minutes, hours) = (tenths / 10 % 60, tenths / 600 % 60, tenths / 36_000);
    format!("{hours}:{minutes:02}:{seconds:02}.{}", tenths % 10)
}
