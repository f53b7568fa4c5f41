//! `mask-cli detect`: every input through decoding, the networks, drawing and printing.

use std::{
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use annotations::{AnnotatedImage, AnnotatedObject};
use anyhow::{Context, bail, ensure};
use detection_schema::{ImageRecord, Outcome};
use image::RgbImage;
use image_input::{DecodeError, DecodeOptions, ImageView, decode, decode_file};
use mask_detector::{
    Annotator, FaceDetection, MaskDetector, MaskDetectorConfig, PostprocessConfig, PriorLayout,
    WeightsSource,
};

use crate::{
    args::{DetectArgs, Format},
    font,
    format::{Printer, printer},
    inputs::{Input, Inputs, Reading, STDIN_NAME},
    interrupt::Interrupt,
    output_images,
    progress::Progress,
    selection::Selection,
    timing::{StageTimes, Timing},
    totals::Totals,
    watch::Watch,
};

/// Exit status where some images failed.
const SOME_FAILED: u8 = 1;
/// Exit status where nothing was there to do.
const NOTHING_TO_DO: u8 = 2;
/// Exit status where a face of a class was found that `--fail-on` names.
const FOUND: u8 = 3;
/// Exit status after Ctrl-C: 128 and the signal's number, as shells count.
const INTERRUPTED: u8 = 130;

/// Runs the command.
///
/// # Errors
/// For what must be right before any work: arguments, output folder, device, weights.
pub(crate) fn run(args: &DetectArgs) -> anyhow::Result<ExitCode> {
    let written: Vec<&Path> =
        [&args.output, &args.crops].into_iter().flatten().map(PathBuf::as_path).collect();
    let reading = Reading { except: &written, null: args.null };
    let Inputs { inputs, skipped } = reading.expand(&args.inputs)?;
    if inputs.is_empty() && args.watch.is_none() {
        bail!("no images given: the list on standard input is empty");
    }
    // Names are wanted where images are written.
    let names = match written.is_empty() {
        true => vec![None; inputs.len()],
        false => output_images::names(&inputs),
    };
    if let Some(folder) = &args.output {
        output_images::prepare_drawn(folder, &names, &inputs)?;
    }
    if let Some(folder) = &args.crops {
        output_images::prepare_crops(folder, &inputs)?;
    }
    if let Some(threads) = args.threads {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.into());
        pool.build_global().context("cannot start the threads")?;
    }
    let interrupt = Interrupt::listen().context("cannot listen for Ctrl-C")?;
    let progress = Progress::new(inputs.len())?;

    let start = Instant::now();
    let open = args
        .device
        .open()
        .map_err(|error| anyhow::anyhow!("{error}; try another --device, such as cpu"))?;
    if let Some(reason) = &open.fallback {
        progress.report(format_args!("running on the CPU: {reason}"));
    }
    // New files do not wait for each other.
    let one_by_one = open.is_cpu() || args.watch.is_some();
    let batch = args.batch.map_or(if one_by_one { 1 } else { 8 }, usize::from);
    let detector = MaskDetector::new(detector_config(args, batch), &open.device)?;
    let name = open.name;
    let load = start.elapsed();

    let default_format = if io::stdout().is_terminal() { Format::Table } else { Format::Ndjson };
    let format = args.format.unwrap_or(default_format);
    let options = DecodeOptions {
        max_pixels: u64::from(args.max_megapixels) * 1_000_000,
        strict: args.strict,
    };
    let count = inputs.len();
    let nothing_to_do =
        args.watch.is_none() && inputs.iter().all(|input| matches!(input, Input::Failed { .. }));

    if let Some((_, folder)) = &args.save_labels {
        ensure!(
            !folder.exists(),
            "--save-labels: {} exists already; give a new folder",
            folder.display()
        );
    }
    let mut annotator = Annotator::new(detector.classes())?.with_labels(args.labels.into());
    if let Some(pixels) = args.line_width {
        annotator = annotator.with_line_width(pixels);
    }
    if args.output.is_some() {
        let (with_font, remedy) = font::choose(annotator, args.font.as_deref())?;
        annotator = with_font;
        if let Some(remedy) = remedy {
            progress.report(remedy);
        }
    }
    let mut session = Session {
        annotator,
        selection: Selection::new(args, detector.classes())?,
        drawn: args.output.as_deref(),
        crops: args.crops.as_deref(),
        printer: match printer(format, detector.classes(), io::stdout().lock()) {
            Ok(printer) => printer,
            Err(error) => return output_failed(&error),
        },
        progress,
        timing: Timing { load, ..Timing::default() },
        totals: Totals::new(detector.classes()),
        labels: args.save_labels.is_some().then(Vec::new),
        found: false,
    };
    let (start, over) = (Instant::now(), AtomicBool::new(false));
    let end = || interrupt.pressed() || over.load(Ordering::Relaxed);
    let watch = args.watch.as_deref().map(|folder| Watch::start(folder, &written, &end));
    let watch = watch.transpose()?.into_iter().flatten().map(|input| {
        let name = output_images::names(std::slice::from_ref(&input)).pop().flatten();
        (input, name)
    });
    let inputs = inputs.into_iter().zip(names).chain(watch);
    let result = thread::scope(|scope| {
        // Images wait here while others are in the networks or drawn; more would only cost memory.
        let (to_networks, decoded) = sync_channel(batch);
        let (to_session, detected) = sync_channel(batch);
        let (detector, interrupt) = (&detector, &interrupt);
        scope.spawn(|| decode_all(inputs, &options, interrupt, to_networks));
        scope.spawn(move || detect_all(detector, &decoded, batch, interrupt, &to_session));
        let result = session.finish_all(detected);
        // A reader may have gone while no file comes.
        over.store(true, Ordering::Relaxed);
        result
    });
    session.timing.total = start.elapsed();
    session.totals.time = session.timing.total;
    session.progress.finish();
    if !skipped.is_empty() {
        session.progress.report(format_args!("left out: {skipped}"));
    }
    if args.summary || (io::stderr().is_terminal() && count > 1) {
        session.progress.report(format_args!("{}", session.totals));
    }
    if let Err(error) = result {
        return output_failed(&error);
    }
    if let (Some((form, folder)), Some(images)) = (&args.save_labels, &session.labels) {
        annotations::write(images, *form, folder).context("cannot save the labels")?;
    }
    if args.timing {
        session.progress.report(format_args!("times on {name}\n{}", session.timing));
    }
    Ok(match session.totals.failed {
        _ if interrupt.pressed() && args.watch.is_none() => ExitCode::from(INTERRUPTED),
        _ if session.found => ExitCode::from(FOUND),
        0 => ExitCode::SUCCESS,
        _ if nothing_to_do => ExitCode::from(NOTHING_TO_DO),
        _ => ExitCode::from(SOME_FAILED),
    })
}

/// A reader that went away is not an error; anything else is.
fn output_failed(error: &io::Error) -> anyhow::Result<ExitCode> {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        _ => bail!("cannot write the results: {error}"),
    }
}

fn detector_config(args: &DetectArgs, batch: usize) -> MaskDetectorConfig {
    let mut config = MaskDetectorConfig::default();
    config.faces.input_size = args.input_size;
    config.faces.prior_layout = args.prior_layout;
    config.faces.postprocess.score_threshold = args.min_confidence;
    config.faces.postprocess.iou_threshold = args.max_iou;
    config.faces.postprocess.overlap_threshold = args.max_overlap;
    if args.prior_layout == Some(PriorLayout::Caffe) {
        // As OpenCV has it.
        config.faces.postprocess.voting_iou = PostprocessConfig::CAFFE.voting_iou;
    }
    config.faces.tiles = args.tiles;
    config.faces.max_batch = batch;
    config.faces.weights = WeightsSource::from(args.face_weights.as_deref());
    config.faces.engine = args.engine;
    config.masks.head = WeightsSource::from(args.head.as_deref());
    config.masks.engine = args.engine;
    config
}

/// An input after decoding.
struct Decoded {
    path: PathBuf,
    /// The name of its drawn image.
    name: Option<PathBuf>,
    image: Result<RgbImage, String>,
    /// What was repaired.
    warning: Option<String>,
    time: Duration,
}

/// Decodes the inputs in their order, ahead of the networks.
fn decode_all(
    inputs: impl Iterator<Item = (Input, Option<PathBuf>)>,
    options: &DecodeOptions,
    interrupt: &Interrupt,
    sender: SyncSender<Decoded>,
) {
    for (input, name) in inputs {
        let start = Instant::now();
        let (path, image) = match input {
            Input::Failed { path, error } => (path, Err(error)),
            Input::Image { path, .. } => {
                let image = decode_file(&path, options);
                (path, image.map_err(|error| decode_error(&error.problem)))
            }
            Input::Bytes(bytes) => {
                let image = decode(&bytes, None, options).map_err(|error| decode_error(&error));
                (STDIN_NAME.into(), image)
            }
        };
        let (image, warning) = match image {
            Ok(decoded) => (Ok(decoded.image), decoded.warning),
            Err(error) => (Err(error), None),
        };
        let decoded = Decoded { path, name, image, warning, time: start.elapsed() };
        if interrupt.pressed() || sender.send(decoded).is_err() {
            return;
        }
    }
}

/// What is wrong with an image, with the flag that helps.
fn decode_error(error: &DecodeError) -> String {
    match error {
        DecodeError::TooLarge { .. } => format!("{error} (--max-megapixels)"),
        _ => error.to_string(),
    }
}

/// An input after the networks.
struct Finished {
    path: PathBuf,
    name: Option<PathBuf>,
    /// The image with its faces, or why there are none.
    result: Result<(RgbImage, Vec<FaceDetection>), String>,
    /// What was repaired.
    warning: Option<String>,
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
        let images: Vec<ImageView<'_>> = batch
            .iter()
            .filter_map(|decoded| decoded.image.as_ref().ok())
            .map(ImageView::from)
            .collect();
        let start = Instant::now();
        let found = detector.find_faces(&images);
        let faces_time = start.elapsed();
        let classified = found.and_then(|faces| detector.classify_faces(&images, &faces));
        let mut stages = StageTimes { faces: faces_time, masks: start.elapsed() - faces_time };
        let mut faces = match classified {
            Ok(faces) => faces.into_iter().map(Ok).collect::<Vec<_>>().into_iter(),
            Err(error) => vec![Err(error.to_string()); images.len()].into_iter(),
        };
        for Decoded { path, name, image, warning, time } in batch {
            let result = image.and_then(|image| {
                let faces = faces.next().unwrap_or_else(|| Ok(Vec::new()))?;
                Ok((image, faces))
            });
            let stages = std::mem::take(&mut stages);
            let finished = Finished { path, name, result, warning, decode: time, stages };
            if sender.send(finished).is_err() {
                return;
            }
        }
    }
}

/// An image's faces as annotations. What came on standard input has no file to be copied.
fn annotated(path: &Path, faces: &[FaceDetection]) -> AnnotatedImage {
    let object = |face: &FaceDetection| AnnotatedObject {
        class: face.label().to_owned(),
        bbox: face.bbox,
        difficult: false,
    };
    AnnotatedImage {
        annotation: PathBuf::new(),
        image: (path != Path::new(STDIN_NAME)).then(|| path.to_path_buf()),
        objects: faces.iter().map(object).collect(),
    }
}

/// What lasts over all images.
struct Session<'a> {
    annotator: Annotator,
    selection: Selection,
    /// Where drawn images go.
    drawn: Option<&'a Path>,
    /// Where faces go.
    crops: Option<&'a Path>,
    printer: Box<dyn Printer + 'a>,
    progress: Progress,
    timing: Timing,
    totals: Totals,
    /// What `--save-labels` writes.
    labels: Option<Vec<AnnotatedImage>>,
    /// Whether a face of a class was found that `--fail-on` names.
    found: bool,
}

impl Session<'_> {
    /// Draws and prints what the networks have finished, in its order.
    ///
    /// # Errors
    /// If the results cannot be printed.
    fn finish_all(&mut self, finished: Receiver<Finished>) -> io::Result<()> {
        for Finished { path, name, result, warning, decode, stages } in finished {
            self.timing.decode += decode;
            self.timing.stages += stages;
            self.timing.images += usize::from(result.is_ok());
            let result = result.and_then(|(image, mut faces)| {
                self.found |= self.selection.apply(&mut faces);
                let (width, height) = image.dimensions();
                let drawn = match &name {
                    Some(name) => self.write(image, &faces, name),
                    None => Ok(None),
                };
                let drawn = drawn.map_err(|error| format!("{error:#}"))?;
                self.totals.add(&faces);
                if let Some(labels) = &mut self.labels {
                    labels.push(annotated(&path, &faces));
                }
                Ok(Outcome::Faces {
                    width,
                    height,
                    faces: faces.iter().map(FaceDetection::to_record).collect(),
                    warning: warning.clone(),
                    drawn: drawn.map(|path| path.to_string_lossy().into_owned()),
                })
            });
            if let Some(warning) = &warning {
                self.progress.report(format_args!("{}: {warning}", path.display()));
            }
            self.print(&path, result)?;
            self.progress.advance(1);
        }
        Ok(())
    }

    /// Writes the faces and the drawn image, where that is asked for; where the latter is.
    fn write(
        &mut self,
        mut image: RgbImage,
        faces: &[FaceDetection],
        name: &Path,
    ) -> anyhow::Result<Option<PathBuf>> {
        let start = Instant::now();
        if let Some(folder) = self.crops {
            output_images::write_crops(&image, faces, folder, name)?;
        }
        let drawn = self.drawn.map(|folder| folder.join(name));
        if let Some(target) = &drawn {
            self.annotator.draw(&mut image, faces);
            output_images::write(&image, target)?;
        }
        self.timing.draw += start.elapsed();
        Ok(drawn)
    }

    fn print(&mut self, path: &Path, result: Result<Outcome, String>) -> io::Result<()> {
        let image = path.to_string_lossy().into_owned();
        let outcome = result.unwrap_or_else(|error| {
            self.totals.failed += 1;
            self.progress.report(format_args!("{image}: {error}"));
            Outcome::Failed { error }
        });
        let record = ImageRecord { image, outcome };
        let printer = &mut self.printer;
        self.progress.suspend(|| printer.print(&record))
    }
}
