//! Results in files of a folder: whole files only, so that a run that was killed goes on where the last one ended.

use std::{
    collections::HashSet,
    ffi::OsStr,
    fs::{self, File, TryLockError},
    io::{self, BufRead, BufReader, BufWriter},
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::{Context, bail, ensure};
use detection_schema::ImageRecord;
use tempfile::NamedTempFile;

use crate::{
    args::DataFormat,
    format::{Printer, parquet, printer},
};

/// Images of a file: what is killed loses the results of fewer.
const IMAGES_PER_FILE: usize = 1000;
/// How files begin that are not whole yet.
const UNFINISHED: &str = ".unfinished-";

/// One of the parts that the images are divided into, by their paths: so an image's part does not depend on the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shard {
    /// Its number, from 1 on.
    number: u32,
    /// How many there are.
    of: u32,
}

impl Shard {
    /// The only one.
    pub(crate) const ALL: Self = Self { number: 1, of: 1 };

    /// Whether an image belongs to it.
    pub(crate) fn holds(self, image: &str) -> bool {
        crc32fast::hash(image.as_bytes()) % self.of == self.number - 1
    }

    /// How names of files begin that hold its results.
    fn prefix(self) -> String {
        format!("shard-{:05}-of-{:05}-", self.number, self.of)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').map(|(number, of)| (number.parse(), of.parse()));
        match numbers {
            Some((Ok(number), Ok(of))) if (1..=of).contains(&number) => Ok(Self { number, of }),
            _ => Err("give a part and their number, such as 3/16".to_owned()),
        }
    }
}

/// A folder of results, and what of a shard is in it.
pub(crate) struct Results {
    folder: PathBuf,
    prefix: String,
    format: DataFormat,
    classes: Vec<String>,
    /// Number of the next file.
    next: usize,
    open: Option<Open>,
    /// Held as long as this lives, so that no two programs write the same.
    _lock: File,
}

/// A file that is not whole yet.
struct Open {
    printer: Box<dyn Printer>,
    file: NamedTempFile,
    images: usize,
}

impl Results {
    /// Opens a folder for the results of a shard, and says which images are done there already.
    ///
    /// # Errors
    /// If it cannot be made, read or written, holds results without `resume`, or results of another form.
    pub(crate) fn open(
        folder: &Path,
        shard: Shard,
        format: DataFormat,
        resume: bool,
    ) -> anyhow::Result<(Self, HashSet<String>)> {
        let at = folder.display();
        fs::create_dir_all(folder).with_context(|| format!("--results: cannot make {at}"))?;
        let prefix = shard.prefix();
        let lock = lock(&folder.join(format!(".{prefix}lock")))
            .with_context(|| format!("--results: cannot write into {at}"))?;
        let Some(lock) = lock else {
            bail!("--results: another program is writing this part of {at}");
        };
        let (mut done, mut next) = (HashSet::new(), 0);
        let mut entries: Vec<PathBuf> = fs::read_dir(folder)
            .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
            .with_context(|| format!("--results: cannot read {at}"))?;
        entries.sort();
        for path in entries {
            let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
            if name.starts_with(&format!("{UNFINISHED}{prefix}")) {
                // Of a program that is no more.
                fs::remove_file(&path)
                    .with_context(|| format!("cannot remove {}", path.display()))?;
                continue;
            }
            if name.starts_with("shard-") && !name.contains(&format!("-of-{:05}-", shard.of)) {
                bail!(
                    "--results: {at} is divided into another number of shards; give another folder"
                );
            }
            let Some(number) = name.strip_prefix(&prefix) else { continue };
            ensure!(
                resume,
                "--results: {at} holds results already; go on with --resume, or give another folder"
            );
            let (number, extension) = number.split_once('.').unwrap_or((number, ""));
            ensure!(
                extension == format.extension(),
                "--results: {at} holds results as {extension}; give --format {extension}, or another folder"
            );
            next = number.parse().map_or(next, |number: usize| next.max(number + 1));
            let images = images_of(&path, format).with_context(|| {
                format!("{}: cannot be read; remove it to do its images again", path.display())
            })?;
            done.extend(images);
        }
        let results = Self {
            folder: folder.to_path_buf(),
            prefix,
            format,
            classes: Vec::new(),
            next,
            open: None,
            _lock: lock,
        };
        Ok((results, done))
    }

    /// For detectors of these classes.
    pub(crate) fn with_classes(self, classes: &[String]) -> Self {
        Self { classes: classes.to_vec(), ..self }
    }

    fn begin(&self) -> io::Result<Open> {
        let mut builder = tempfile::Builder::new();
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file =
            builder.prefix(&format!("{UNFINISHED}{}", self.prefix)).tempfile_in(&self.folder)?;
        let output = BufWriter::new(file.as_file().try_clone()?);
        Ok(Open { printer: printer(self.format, &self.classes, output)?, file, images: 0 })
    }
}

impl Printer for Results {
    fn print(&mut self, record: &ImageRecord) -> io::Result<()> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.begin()?,
        };
        open.printer.print(record)?;
        open.images += 1;
        let full = open.images == IMAGES_PER_FILE;
        self.open = Some(open);
        if full { self.finish() } else { Ok(()) }
    }

    fn finish(&mut self) -> io::Result<()> {
        let Some(Open { mut printer, file, .. }) = self.open.take() else { return Ok(()) };
        printer.finish()?;
        drop(printer);
        file.as_file().sync_all()?;
        let name = format!("{}{:06}.{}", self.prefix, self.next, self.format.extension());
        file.persist_noclobber(self.folder.join(name))?;
        self.next += 1;
        Ok(())
    }
}

/// The images that a file has results of.
fn images_of(path: &Path, format: DataFormat) -> anyhow::Result<Vec<String>> {
    let file = File::open(path)?;
    match format {
        DataFormat::Parquet => Ok(parquet::images_of(file)?),
        DataFormat::Csv => {
            let mut reader = csv::Reader::from_reader(BufReader::new(file));
            let images = reader.records().map(|row| {
                let image = row?.get(0).unwrap_or_default().to_owned();
                Ok(image)
            });
            images.collect()
        }
        DataFormat::Ndjson => {
            let images = BufReader::new(file).lines().map(|line| {
                let ImageRecord { image, .. } = serde_json::from_str(&line?)?;
                Ok(image)
            });
            images.collect()
        }
    }
}

/// Locks a file; none if another program has.
fn lock(path: &Path) -> io::Result<Option<File>> {
    let file = File::options().create(true).append(true).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_image_is_in_exactly_one_shard() {
        for of in [1, 2, 3, 16] {
            let shards: Vec<Shard> =
                (1..=of).map(|number| format!("{number}/{of}").parse().unwrap()).collect();
            let mut sizes = vec![0; shards.len()];
            for image in (0..4000).map(|number| format!("photos/{number:05}.jpg")) {
                let holding: Vec<usize> =
                    (0..shards.len()).filter(|at| shards[*at].holds(&image)).collect();
                assert_eq!(holding.len(), 1);
                sizes[holding[0]] += 1;
            }
            let fair = 4000 / shards.len();
            assert!(
                sizes.iter().all(|size| (fair * 3 / 4..=fair * 5 / 4).contains(size)),
                "{sizes:?}"
            );
        }
        for text in ["0/4", "5/4", "1", "a/b", "1/0", "-1/4"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }
}
