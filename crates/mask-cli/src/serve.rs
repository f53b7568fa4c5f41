//! `mask-cli serve`: the service of `mask-server`, with the networks and limits of the arguments.

use std::{
    fs,
    io::{self, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use clap::{Args, ValueEnum};
use image_input::DecodeOptions;
use mask_detector::Annotator;
use mask_server::{Cameras, Limits, Server, ServerConfig, Tls};
use mask_track::TrackerConfig;
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, Targets},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::{
    args::DetectorArgs,
    font,
    interrupt::Interrupt,
    networks,
    watch::{
        args::{RecordArgs, StreamArgs},
        plan::Plan,
        status::Status,
        streams::{self, Streams},
    },
};

pub(crate) const NOTES: &str = "\
Exit status: 0 after Ctrl-C or SIGTERM, when what was taken is answered, 2 if it cannot run.

Examples:
  mask-cli serve
  mask-cli serve --config streams.toml --db shop.sqlite
  mask-cli serve --listen 0.0.0.0:8443 --cert cert.pem --key key.pem --api-keys keys.txt
  curl --data-binary @photo.jpg http://127.0.0.1:8080/v1/detect";

/// How often somebody looks whether Ctrl-C was pressed.
const PAUSE: Duration = Duration::from_millis(100);

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Address and port to listen on; port 0 is any that is free.
    #[arg(long, value_name = "ADDRESS", default_value_t = ServerConfig::default().listen)]
    listen: SocketAddr,

    /// PEM file of the certificate, for HTTPS.
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,

    /// PEM file of the certificate's key.
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,

    /// Only take requests that carry one of the keys in this file, one a line.
    #[arg(long, value_name = "FILE")]
    api_keys: Option<PathBuf>,

    /// Let pages of this origin use the service: https://HOST, or * for all. May be given several times.
    #[arg(long, value_name = "ORIGIN")]
    cors: Vec<String>,

    /// Fetch images that requests name the addresses of, if these are public ones.
    #[arg(long)]
    allow_fetch: bool,

    /// Largest body of a request, in megabytes.
    #[arg(long, value_name = "MEGABYTES", default_value_t = (Limits::default().body_bytes >> 20) as u32, value_parser = clap::value_parser!(u32).range(1..=1024))]
    max_body: u32,

    /// Refuse images of more pixels than this, in millions.
    #[arg(long, value_name = "MILLIONS", default_value_t = (Limits::default().decode.max_pixels / 1_000_000) as u32, value_parser = clap::value_parser!(u32).range(1..))]
    max_megapixels: u32,

    /// Refuse damaged images instead of repairing them.
    #[arg(long)]
    strict: bool,

    /// Requests that are worked on or wait; more are refused with status 429.
    #[arg(long, value_name = "N", default_value_t = Limits::default().queue as u32, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    queue: u32,

    /// Browsers that show their camera at once.
    #[arg(long, value_name = "N", default_value_t = Limits::default().live as u32, value_parser = clap::value_parser!(u32).range(0..=1000))]
    live: u32,

    /// Seconds that a request may take once it has arrived, and as long again to arrive.
    #[arg(long, value_name = "SECONDS", default_value_t = Limits::default().answer.as_secs() as u32, value_parser = clap::value_parser!(u32).range(1..=3600))]
    timeout: u32,

    /// Also watch all streams of this TOML file, as `watch --config` does, and show them.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(flatten)]
    records: RecordArgs,

    /// Form of the log on standard error, a line a request.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log: LogFormat,

    #[command(flatten)]
    detector: DetectorArgs,
}

/// Form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
    /// Only what went wrong.
    Errors,
}

/// Runs the command.
///
/// # Errors
/// If the address, a file, the device or the weights cannot be used.
pub(crate) fn run(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    let config = config(args)?;
    let plans = match &args.config {
        Some(file) => Plan::of_file(file, &StreamArgs::defaults()?)?,
        None => Vec::new(),
    };
    let ffmpeg = streams::find_ffmpeg(&plans, &args.records)?;
    networks::start_threads(&args.detector)?;
    let open = networks::open_device(&args.detector, |reason| report(&reason.to_string()))?;
    let batch = (!open.is_cpu()).then_some(networks::GPU_BATCH);
    let mut networks = networks::config(&args.detector);
    networks.faces.max_batch = batch.unwrap_or(1);
    // Requests say from which confidence on faces are reported, and a blurred image counts all.
    let tracker = TrackerConfig::from_confidence(args.detector.min_confidence);
    networks.faces.postprocess.score_threshold = tracker.doubtful;
    let detector = Arc::new(networks::load(&args.detector, networks, &open)?);
    let (annotator, remedy) = font::choose(Annotator::new(detector.classes())?, None)?;
    if let Some(remedy) = remedy {
        report(&remedy);
    }
    start_log(args.log);
    let interrupt = Interrupt::listen().context("cannot listen for Ctrl-C")?;
    let names: Vec<String> = plans.iter().map(|plan| plan.name.clone()).collect();
    let cameras = Cameras::new(&names, detector.classes(), args.records.db.clone());
    let status = Status::new(plans.len())?;
    let watched =
        Streams::new(&args.records, &detector, tracker, ffmpeg, status, interrupt.clone())?;
    let watched = watched.shown_by(&cameras);
    let sessions = watched.prepare(&plans)?;

    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let networks = Arc::clone(&detector);
    let server =
        runtime.block_on(Server::bind(config, networks, annotator, batch, cameras.clone()))?;
    let (address, stopper) = (server.address()?, server.stopper());
    thread::scope(|scope| {
        // A stream that fails has its line, and its state on the page.
        let streams = scope.spawn(|| watched.watch(&plans, sessions));
        report(&format!("listening on {scheme}://{address}"));
        let ended = runtime.block_on(async {
            tokio::spawn({
                let interrupt = interrupt.clone();
                async move {
                    while !interrupt.pressed() {
                        tokio::time::sleep(PAUSE).await;
                    }
                    stopper.stop();
                }
            });
            server.run().await
        });
        interrupt.press();
        ensure!(streams.join().is_ok(), "the streams' thread panicked");
        anyhow::Ok(ended?)
    })?;
    Ok(ExitCode::SUCCESS)
}

fn config(args: &ServeArgs) -> anyhow::Result<ServerConfig> {
    let mut config = ServerConfig::default();
    config.listen = args.listen;
    config.tls = match (&args.cert, &args.key) {
        (Some(certificate), Some(key)) => {
            Some(Tls { certificate: certificate.clone(), key: key.clone() })
        }
        _ => None,
    };
    config.api_keys = args.api_keys.as_deref().map(keys).transpose()?.unwrap_or_default();
    config.cors.clone_from(&args.cors);
    config.allow_fetch = args.allow_fetch;
    config.min_confidence = args.detector.min_confidence;
    let limits = &mut config.limits;
    limits.body_bytes = (args.max_body as usize) << 20;
    limits.all_bodies_bytes = limits.all_bodies_bytes.max(limits.body_bytes);
    limits.decode = DecodeOptions {
        max_pixels: u64::from(args.max_megapixels) * 1_000_000,
        strict: args.strict,
    };
    limits.queue = args.queue as usize;
    limits.live = args.live as usize;
    let seconds = Duration::from_secs(args.timeout.into());
    (limits.receive, limits.answer, limits.stop) = (seconds, seconds, 2 * seconds);
    Ok(config)
}

/// The keys in a file, one a line; `#` begins a comment.
fn keys(file: &Path) -> anyhow::Result<Vec<String>> {
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let lines = text.lines().map(str::trim);
    let keys: Vec<String> = lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect();
    if keys.is_empty() {
        bail!("{}: there is no key in it", file.display());
    }
    let short = keys.iter().position(|key| key.len() < 16);
    ensure!(short.is_none(), "{}: a key has fewer than 16 characters", file.display());
    Ok(keys)
}

fn start_log(format: LogFormat) {
    let level = if format == LogFormat::Errors { LevelFilter::WARN } else { LevelFilter::INFO };
    let layer = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_target(false);
    let layer = match format {
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
        LogFormat::Text | LogFormat::Errors => layer.with_ansi(false).boxed(),
    };
    let own = Targets::new().with_target("mask_server", level);
    tracing_subscriber::registry().with(layer.with_filter(own)).init();
}

/// Prints a line on standard error.
fn report(line: &str) {
    // Without a standard error there is nobody to tell.
    let _ = writeln!(io::stderr(), "mask-cli: {line}");
}
