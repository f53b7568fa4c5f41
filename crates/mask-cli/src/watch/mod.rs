//! `mask-cli watch`: videos, cameras and streams, frame by frame.

mod actions;
pub(crate) mod args;
mod clips;
mod event_folder;
mod picture;
pub(crate) mod plan;
mod printers;
mod session;
pub(crate) mod status;
pub(crate) mod streams;
mod video;

use std::{
    io::{self, IsTerminal},
    process::ExitCode,
};

use anyhow::Context;
use mask_track::TrackerConfig;

use crate::{format::output_failed, interrupt::Interrupt, networks};
use args::{StreamFormat, WatchArgs};
use plan::Plan;
use printers::FramePrinter;
use session::End;
use status::Status;
use streams::Streams;

/// Exit status where the source could not be read to its end.
const SOURCE_FAILED: u8 = 1;

/// Runs the command.
///
/// # Errors
/// For what must be right before any work: arguments, ffmpeg, device, weights; and if results cannot be
/// written.
pub(crate) fn run(args: &WatchArgs) -> anyhow::Result<ExitCode> {
    let plans = Plan::of(args)?;
    let ffmpeg = streams::find_ffmpeg(&plans, &args.records)?;
    networks::start_threads(&args.detector)?;
    let interrupt = Interrupt::listen().context("cannot listen for Ctrl-C")?;
    let status = Status::new(plans.len())?;

    let open = networks::open_device(&args.detector, |reason| status.report(reason))?;
    let tracker = TrackerConfig::from_confidence(args.detector.min_confidence);
    let mut config = networks::config(&args.detector);
    config.faces.max_batch = 1;
    // What may not begin a track may continue one.
    config.faces.postprocess.score_threshold = tracker.doubtful;
    let detector = networks::load(&args.detector, config, &open)?;
    let default_format = (!io::stdout().is_terminal()).then_some(StreamFormat::Ndjson);
    let format = args.format.or(default_format);
    let printer = format.map(|format| FramePrinter::new(format, detector.classes(), io::stdout()));
    let printer = match printer.transpose() {
        Ok(printer) => printer,
        Err(error) => return output_failed(&error),
    };
    let streams = Streams::new(&args.records, &detector, tracker, ffmpeg, status, interrupt)?;
    let streams = streams.printing(printer, args.summary);
    let sessions = streams.prepare(&plans)?;
    let ends = streams.watch(&plans, sessions);
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
