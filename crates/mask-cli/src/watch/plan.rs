//! Which streams are watched, and how: one by the arguments, or several by a file.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use mask_stream::{RawFormat, Scene, Source};
use serde::{Deserialize, de::DeserializeOwned};

use super::args::{StreamArgs, WatchArgs, size};

/// A stream that is to be watched.
pub(crate) struct Plan {
    pub(super) source: Source,
    /// What it is called in results and lines.
    pub(crate) name: String,
    pub(super) settings: StreamArgs,
}

/// Streams in a file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StreamFile {
    stream: Vec<StreamTable>,
}

/// A stream in a file: what it lacks is as the arguments say.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StreamTable {
    source: String,
    name: Option<String>,
    scene: Option<PathBuf>,
    on_event: Option<String>,
    webhook: Option<String>,
    mqtt: Option<String>,
    output: Option<PathBuf>,
    blur: Option<bool>,
    every: Option<u32>,
    max_fps: Option<f64>,
    size: Option<String>,
    detect_every: Option<u32>,
    live: Option<bool>,
}

impl Plan {
    /// What the arguments ask for.
    ///
    /// # Errors
    /// If a source or a file cannot be used, or two streams have the same name or output.
    pub(super) fn of(args: &WatchArgs) -> anyhow::Result<Vec<Self>> {
        match &args.config {
            Some(file) => Self::of_file(file, &args.stream),
            None => {
                let source = source(args)?;
                let name = source.to_string();
                checked(vec![Self { source, name, settings: args.stream.clone() }])
            }
        }
    }

    /// What a file asks for; what it does not say is as `defaults` have it.
    ///
    /// # Errors
    /// As [`Plan::of`].
    pub(crate) fn of_file(file: &Path, defaults: &StreamArgs) -> anyhow::Result<Vec<Self>> {
        checked(of_file(file, defaults)?)
    }

    /// The zones, lines and rules of its file.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(super) fn scene(&self) -> anyhow::Result<Scene> {
        self.settings.scene.as_deref().map_or_else(|| Ok(Scene::default()), read)
    }
}

/// Plans that do not stand in each other's way.
fn checked(plans: Vec<Plan>) -> anyhow::Result<Vec<Plan>> {
    for (at, Plan { source, name, settings }) in plans.iter().enumerate() {
        ensure!(
            plans[..at].iter().all(|other| other.name != *name),
            "two streams are called {name}"
        );
        let Some(output) = &settings.output else { continue };
        let same = |a: &Path, b: &Path| {
            a == b || a.canonicalize().is_ok_and(|a| b.canonicalize().is_ok_and(|b| a == b))
        };
        let others = plans[..at].iter().filter_map(|plan| plan.settings.output.as_deref());
        let inputs = plans.iter().filter_map(|plan| match &plan.source {
            Source::File(path) => Some(Path::new(path)),
            _ => None,
        });
        ensure!(
            !others.chain(inputs).any(|path| same(path, output)),
            "{source}: {} would be overwritten; give another --output",
            output.display()
        );
    }
    Ok(plans)
}

fn source(args: &WatchArgs) -> anyhow::Result<Source> {
    Ok(match (&args.source, args.raw) {
        (_, Some(size)) => Source::Raw(RawFormat { size, rate: args.fps }),
        (Some(text), None) if text == "-" => {
            bail!("standard input has frames without a size; say --raw WIDTHxHEIGHT instead of -")
        }
        (Some(text), None) => text.parse()?,
        (None, None) => bail!("no source given"),
    })
}

fn of_file(file: &Path, defaults: &StreamArgs) -> anyhow::Result<Vec<Plan>> {
    let StreamFile { stream: tables } = read(file)?;
    let folder = file.parent().unwrap_or(Path::new(""));
    let plan = |table: StreamTable| -> anyhow::Result<Plan> {
        let mut settings = defaults.clone();
        let beside = |path: PathBuf| folder.join(path);
        settings.scene = table.scene.map(beside).or(settings.scene);
        settings.output = table.output.map(beside);
        settings.on_event = table.on_event.or(settings.on_event);
        settings.webhook = table.webhook.or(settings.webhook);
        settings.mqtt = table.mqtt.or(settings.mqtt);
        settings.live = table.live.unwrap_or(settings.live);
        settings.blur = table.blur.unwrap_or(settings.blur);
        settings.every = table.every.unwrap_or(settings.every).max(1);
        settings.max_fps = table.max_fps.or(settings.max_fps);
        settings.detect_every = table.detect_every.unwrap_or(settings.detect_every).max(1);
        if let Some(text) = &table.size {
            settings.size = Some(size(text).map_err(anyhow::Error::msg)?);
        }
        ensure!(settings.max_fps.is_none_or(|most| most > 0.0), "max_fps must be above 0");
        // A file's sources are beside it, too.
        let beside = folder.join(&table.source);
        let text = match beside.is_file() {
            true => beside.to_string_lossy().into_owned(),
            false => table.source,
        };
        let source: Source = text.parse()?;
        let name = table.name.unwrap_or_else(|| source.to_string());
        Ok(Plan { source, name, settings })
    };
    let plans: anyhow::Result<Vec<Plan>> = tables.into_iter().map(plan).collect();
    let plans = plans.with_context(|| file.display().to_string())?;
    ensure!(!plans.is_empty(), "{}: there is no [[stream]] in it", file.display());
    Ok(plans)
}

/// Reads a TOML file; what is wrong with it has its line.
fn read<T: DeserializeOwned>(file: &Path) -> anyhow::Result<T> {
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    toml::from_str(&text).map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        anyhow::anyhow!("{}, line {line}: {}", file.display(), error.message())
    })
}
