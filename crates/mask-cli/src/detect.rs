//! `mask-cli detect`: set up, every input through the stages, and how it ended.

use std::{
    collections::HashSet,
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use anyhow::{Context, bail, ensure};
use image_input::DecodeOptions;
use mask_detector::{Annotator, MaskDetector, OpenDevice};
use mask_track::TrackerConfig;

use crate::{
    args::{DataFormat, DetectArgs, Format},
    font,
    format::{Printer, on_stdout, output_failed},
    image_work::{ImageWork, NamedInput},
    inputs::{Input, Inputs, Reading},
    interrupt::Interrupt,
    networks,
    new_files::Watch,
    output_images,
    pipeline::{self, Workers},
    progress::Progress,
    results::{Results, Shard},
    selection::Selection,
    session::Session,
    timing::Timing,
    totals::Totals,
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
    let names = prepare_folders(args, &inputs)?;
    let mut inputs: Vec<NamedInput> = inputs.into_iter().zip(names).collect();
    let shard = args.shard.unwrap_or(Shard::ALL);
    inputs.retain(|(input, _)| shard.holds(&input.name()));
    let results = open_results(args, shard)?;
    let results = results.map(|(results, mut done)| {
        // Not twice either what is named twice.
        inputs.retain(|(input, _)| done.insert(input.name().into_owned()));
        results
    });
    networks::start_threads(&args.detector)?;
    let interrupt = Interrupt::listen().context("cannot listen for Ctrl-C")?;
    let progress = Progress::new(inputs.len())?;
    let count = inputs.len();
    let nothing_to_do = args.watch.is_none()
        && inputs.iter().all(|(input, _)| matches!(input, Input::Failed { .. }));

    let loading = Instant::now();
    let open = networks::open_device(&args.detector, |reason| progress.report(reason))?;
    let workers = workers(args, &open, count);
    let mut config = networks::config(&args.detector);
    config.faces.max_batch = workers.batch;
    let min_confidence = args.detector.min_confidence;
    if args.blur {
        // Nobody is to be recognised, whether the network is sure or not.
        config.faces.postprocess.score_threshold =
            TrackerConfig::from_confidence(min_confidence).doubtful;
    }
    let detector = networks::load(&args.detector, config, &open)?;
    let load = loading.elapsed();
    let work = ImageWork {
        detector: &detector,
        options: DecodeOptions {
            max_pixels: u64::from(args.max_megapixels) * 1_000_000,
            strict: args.strict,
        },
        min_confidence,
        selection: Selection::new(args, detector.classes())?,
        annotator: annotator(args, &detector, &progress)?,
        blur: args.blur,
        drawn: args.output.as_deref(),
        crops: args.crops.as_deref(),
        device: (!open.is_cpu()).then(Mutex::default),
        large: Mutex::default(),
    };
    let mut session = match session(args, results, &detector, progress) {
        Ok(session) => session,
        Err(error) => return output_failed(&error),
    };
    session.timing.load = load;

    let (start, over) = (Instant::now(), AtomicBool::new(false));
    let end = || interrupt.pressed() || over.load(Ordering::Relaxed);
    let watch = args.watch.as_deref().map(|folder| Watch::start(folder, &written, &end));
    let watch = watch.transpose()?.into_iter().flatten().map(|input| {
        let name = output_images::names(std::slice::from_ref(&input)).pop().flatten();
        (input, name)
    });
    let inputs = inputs.into_iter().chain(watch);
    let result = pipeline::run(
        inputs,
        workers,
        &end,
        |inputs, hand_over| work.run(inputs, hand_over),
        |finished| {
            session.add(finished).inspect_err(|_| {
                // A reader may have gone while no file comes.
                over.store(true, Ordering::Relaxed);
            })
        },
    );
    let result = result.and_then(|()| session.printer.finish());
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
        session.progress.report(format_args!("times on {}\n{}", open.name, session.timing));
    }
    Ok(match session.totals.failed {
        _ if interrupt.pressed() && args.watch.is_none() => ExitCode::from(INTERRUPTED),
        _ if session.found => ExitCode::from(FOUND),
        0 => ExitCode::SUCCESS,
        _ if nothing_to_do => ExitCode::from(NOTHING_TO_DO),
        _ => ExitCode::from(SOME_FAILED),
    })
}

/// Makes the folders that are written into; the names of the inputs' images there.
///
/// # Errors
/// If a folder cannot be written into, or something would be overwritten.
fn prepare_folders(args: &DetectArgs, inputs: &[Input]) -> anyhow::Result<Vec<Option<PathBuf>>> {
    if let Some((_, folder)) = &args.save_labels {
        ensure!(
            !folder.exists(),
            "--save-labels: {} exists already; give a new folder",
            folder.display()
        );
    }
    // Names are wanted where images are written.
    let names = match args.output.is_some() || args.crops.is_some() {
        false => vec![None; inputs.len()],
        true => output_images::names(inputs),
    };
    if let Some(folder) = &args.output {
        output_images::prepare_drawn(folder, &names, inputs)?;
    }
    if let Some(folder) = &args.crops {
        output_images::prepare_crops(folder, inputs)?;
    }
    // What is written there would come again as a new file, or nothing would ever come.
    if let Some(watched) = args.watch.as_ref().and_then(|folder| folder.canonicalize().ok()) {
        for (flag, folder) in [("--output", &args.output), ("--crops", &args.crops)] {
            let holds =
                |folder: &PathBuf| folder.canonicalize().is_ok_and(|f| watched.starts_with(f));
            ensure!(
                !folder.as_ref().is_some_and(holds),
                "{flag} holds the folder that is watched; give a folder in it or elsewhere"
            );
        }
    }
    Ok(names)
}

/// How the inputs are divided.
fn workers(args: &DetectArgs, open: &OpenDevice, inputs: usize) -> Workers {
    let threads = rayon::current_num_threads();
    let batch = args.batch.map(usize::from);
    // New files do not wait for each other.
    let one = open.is_cpu() || args.watch.is_some();
    let batch = batch.unwrap_or(if one { 1 } else { networks::GPU_BATCH });
    if open.is_cpu() {
        Workers::of_cpu(threads, args.watch.is_none().then_some(inputs), batch)
    } else {
        Workers::of_gpu(threads, batch)
    }
}

/// What draws.
fn annotator(
    args: &DetectArgs,
    detector: &MaskDetector,
    progress: &Progress,
) -> anyhow::Result<Annotator> {
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
    Ok(annotator)
}

/// The form of the results, as asked for or as it suits where they go.
fn format(args: &DetectArgs) -> Format {
    args.format.unwrap_or(match io::stdout().is_terminal() && args.results.is_none() {
        true => Format::Table,
        false => Format::Data(DataFormat::Ndjson),
    })
}

/// The folder of the results, if one is asked for, and the images that are done there.
///
/// # Errors
/// If the form does not suit, or the folder cannot be used.
fn open_results(
    args: &DetectArgs,
    shard: Shard,
) -> anyhow::Result<Option<(Results, HashSet<String>)>> {
    match (format(args), &args.results) {
        (Format::Table, Some(_)) => bail!(
            "--format table is for people; with --results, give --format ndjson, csv or parquet"
        ),
        (Format::Data(format), Some(folder)) => {
            Results::open(folder, shard, format, args.resume).map(Some)
        }
        (Format::Data(DataFormat::Parquet), None) if io::stdout().is_terminal() => {
            bail!(
                "--format parquet is not for a terminal; add > faces.parquet, or give --results DIR"
            )
        }
        (_, None) => Ok(None),
    }
}

/// What counts and prints; an error is one of standard output.
fn session(
    args: &DetectArgs,
    results: Option<Results>,
    detector: &MaskDetector,
    progress: Progress,
) -> io::Result<Session> {
    let classes = detector.classes();
    let printer: Box<dyn Printer> = match results {
        Some(results) => Box::new(results.with_classes(classes)),
        None => on_stdout(format(args), classes)?,
    };
    Ok(Session {
        printer,
        progress,
        timing: Timing::default(),
        totals: Totals::new(classes),
        labels: args.save_labels.is_some().then(Vec::new),
        found: false,
    })
}
