//! `mask-cli detect`: every input through decoding, the networks, drawing and printing.

use std::{
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use image::RgbImage;
use mask_data::{DecodeLimits, decode_file};
use mask_detector::{
    Annotator, FaceDetectorConfig, MaskClassifierConfig, MaskDetector, MaskDetectorConfig,
    MaskedFace, OpenDevice, StageTimes, WeightsSource,
};

use crate::{
    args::{DetectArgs, Format},
    drawn,
    format::{Detected, Outcome, Printer, printer},
    inputs::{self, Input},
    interrupt::Interrupt,
    progress::Progress,
    timing::Timing,
};

/// Exit status where some pictures failed.
const SOME_FAILED: u8 = 1;
/// Exit status where nothing was there to do.
const NOTHING_TO_DO: u8 = 2;
/// Exit status after Ctrl-C: 128 and the signal's number, as shells count.
const INTERRUPTED: u8 = 130;

/// Runs the command.
///
/// # Errors
/// For what must be right before any work: arguments, output folder, device, weights.
pub(crate) fn run(args: &DetectArgs) -> anyhow::Result<ExitCode> {
    let inputs = inputs::expand(&args.inputs, args.output.as_deref())?;
    if inputs.is_empty() {
        bail!("no pictures given: the list on standard input is empty");
    }
    let targets = match &args.output {
        Some(folder) => drawn::plan(folder, &inputs)?,
        None => vec![None; inputs.len()],
    };
    if let Some(threads) = args.threads {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.into());
        pool.build_global().context("cannot start the threads")?;
    }
    let interrupt = Interrupt::listen().context("cannot listen for Ctrl-C")?;
    let progress = Progress::new(inputs.len())?;

    let start = Instant::now();
    let OpenDevice { device, name, fallback } = args.device.open()?;
    if let Some(reason) = fallback {
        progress.report(format_args!("running on the CPU: {reason}"));
    }
    let batch = args.batch.map_or(if name == "CPU" { 1 } else { 8 }, usize::from);
    let detector = MaskDetector::new(detector_config(args, batch), device)?;
    let load = start.elapsed();

    let default_format = if io::stdout().is_terminal() { Format::Table } else { Format::Ndjson };
    let format = args.format.unwrap_or(default_format);
    let limits = DecodeLimits { max_pixels: u64::from(args.max_megapixels) * 1_000_000 };
    let nothing_to_do = inputs.iter().all(|input| matches!(input, Input::Failed { .. }));

    let mut session = Session {
        annotator: Annotator::new(detector.classes())?,
        printer: match printer(format, detector.classes(), io::stdout().lock()) {
            Ok(printer) => printer,
            Err(error) => return output_failed(&error),
        },
        progress,
        timing: Timing { load, ..Timing::default() },
        failures: 0,
    };
    let start = Instant::now();
    let result = thread::scope(|scope| {
        // Pictures wait here while others are in the networks or drawn; more would only cost memory.
        let (to_networks, decoded) = sync_channel(batch);
        let (to_session, detected) = sync_channel(batch);
        let (detector, interrupt) = (&detector, &interrupt);
        scope.spawn(|| decode_all(inputs, targets, &limits, interrupt, to_networks));
        scope.spawn(move || detect_all(detector, &decoded, batch, interrupt, &to_session));
        session.finish_all(detected)
    });
    session.timing.total = start.elapsed();
    session.progress.finish();
    if let Err(error) = result {
        return output_failed(&error);
    }
    if args.timing {
        session.progress.report(format_args!("times on {name}\n{}", session.timing));
    }
    Ok(match session.failures {
        _ if interrupt.pressed() => ExitCode::from(INTERRUPTED),
        0 => ExitCode::SUCCESS,
        _ if nothing_to_do => ExitCode::from(NOTHING_TO_DO),
        _ => ExitCode::from(SOME_FAILED),
    })
}

/// A reader that went away is no error; anything else is.
fn output_failed(error: &io::Error) -> anyhow::Result<ExitCode> {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        _ => bail!("cannot write the results: {error}"),
    }
}

fn detector_config(args: &DetectArgs, batch: usize) -> MaskDetectorConfig {
    MaskDetectorConfig {
        faces: FaceDetectorConfig {
            input_size: args.input_size,
            prior_layout: args.prior_layout,
            min_confidence: args.min_confidence,
            max_batch: batch,
            weights: WeightsSource::from(args.face_weights.as_deref()),
            engine: args.engine,
            ..FaceDetectorConfig::default()
        },
        masks: MaskClassifierConfig {
            head: args.head.clone(),
            engine: args.engine,
            ..MaskClassifierConfig::default()
        },
    }
}

/// An input after decoding.
struct Decoded {
    path: PathBuf,
    /// Where the drawn picture goes, if anywhere.
    target: Option<PathBuf>,
    picture: Result<RgbImage, String>,
    time: Duration,
}

/// Decodes the inputs in their order, ahead of the networks.
fn decode_all(
    inputs: Vec<Input>,
    targets: Vec<Option<PathBuf>>,
    limits: &DecodeLimits,
    interrupt: &Interrupt,
    sender: SyncSender<Decoded>,
) {
    for (input, target) in inputs.into_iter().zip(targets) {
        let start = Instant::now();
        let (path, picture) = match input {
            Input::Failed { path, error } => (path, Err(error)),
            Input::Picture { path, .. } => {
                let picture = decode_file(&path, limits).map_err(|error| error.problem.to_string());
                (path, picture)
            }
        };
        let decoded = Decoded { path, target, picture, time: start.elapsed() };
        if interrupt.pressed() || sender.send(decoded).is_err() {
            return;
        }
    }
}

/// An input after the networks.
struct Finished {
    path: PathBuf,
    target: Option<PathBuf>,
    /// The picture with its faces, or why there are none.
    result: Result<(RgbImage, Vec<MaskedFace>), String>,
    decode: Duration,
    /// Of its whole batch, at the batch's first input.
    stages: StageTimes,
}

/// Runs the networks on the decoded inputs, a batch at a time, until they end or Ctrl-C is pressed.
fn detect_all(
    detector: &MaskDetector,
    decoded: &Receiver<Decoded>,
    batch: usize,
    interrupt: &Interrupt,
    sender: &SyncSender<Finished>,
) {
    while !interrupt.pressed() {
        let batch: Vec<Decoded> = decoded.iter().take(batch).collect();
        if batch.is_empty() {
            return;
        }
        let pictures: Vec<&RgbImage> =
            batch.iter().filter_map(|decoded| decoded.picture.as_ref().ok()).collect();
        let mut stages = StageTimes::default();
        let mut faces = match detector.detect_timed(&pictures, &mut stages) {
            Ok(faces) => faces.into_iter().map(Ok).collect::<Vec<_>>().into_iter(),
            Err(error) => vec![Err(error.to_string()); pictures.len()].into_iter(),
        };
        for Decoded { path, target, picture, time } in batch {
            let result = picture.and_then(|picture| {
                let faces = faces.next().unwrap_or_else(|| Ok(Vec::new()))?;
                Ok((picture, faces))
            });
            let stages = std::mem::take(&mut stages);
            if sender.send(Finished { path, target, result, decode: time, stages }).is_err() {
                return;
            }
        }
    }
}

/// What lasts over all pictures.
struct Session<'a> {
    annotator: Annotator,
    printer: Box<dyn Printer + 'a>,
    progress: Progress,
    timing: Timing,
    failures: usize,
}

impl Session<'_> {
    /// Draws and prints what the networks have finished, in its order.
    ///
    /// # Errors
    /// If the results cannot be printed.
    fn finish_all(&mut self, finished: Receiver<Finished>) -> io::Result<()> {
        for Finished { path, target, result, decode, stages } in finished {
            self.timing.decode += decode;
            self.timing.stages += stages;
            self.timing.pictures += usize::from(result.is_ok());
            let result = result.and_then(|(picture, faces)| {
                let (width, height) = picture.dimensions();
                if let Some(target) = &target {
                    self.draw(picture, &faces, target).map_err(|error| format!("{error:#}"))?;
                }
                Ok((width, height, faces))
            });
            self.print(&path, &result)?;
            self.progress.advance(1);
        }
        Ok(())
    }

    fn draw(
        &mut self,
        mut picture: RgbImage,
        faces: &[MaskedFace],
        target: &Path,
    ) -> anyhow::Result<()> {
        let start = Instant::now();
        self.annotator.draw(&mut picture, faces);
        let result = drawn::write(&picture, target);
        self.timing.draw += start.elapsed();
        result
    }

    fn print(
        &mut self,
        path: &Path,
        result: &Result<(u32, u32, Vec<MaskedFace>), String>,
    ) -> io::Result<()> {
        let image = path.to_string_lossy();
        let result = match result {
            Ok((width, height, faces)) => Ok(Detected { width: *width, height: *height, faces }),
            Err(error) => {
                self.failures += 1;
                self.progress.report(format_args!("{image}: {error}"));
                Err(error.as_str())
            }
        };
        let outcome = Outcome { image: &image, result };
        let printer = &mut self.printer;
        self.progress.suspend(|| printer.print(&outcome))
    }
}
