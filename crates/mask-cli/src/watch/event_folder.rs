//! Pictures and clips of events, in a folder that does not grow for ever.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use image::RgbImage;

use crate::output_images;

/// What the names of pictures and clips begin with; others in the folder are not touched.
const PREFIX: &str = "event-";

/// Where pictures and clips of events are.
#[derive(Debug, Clone)]
pub(super) struct EventFolder {
    folder: PathBuf,
    most_bytes: u64,
    most_age: Duration,
}

impl EventFolder {
    /// Into a folder, which keeps no more bytes than given, and nothing that is older.
    ///
    /// # Errors
    /// If nothing can be written into it.
    pub(super) fn new(folder: &Path, most_bytes: u64, most_age: Duration) -> anyhow::Result<Self> {
        output_images::make_folder(folder, "--save-events")?;
        Ok(Self { folder: folder.to_path_buf(), most_bytes, most_age })
    }

    /// Saves the picture of an event; where it is.
    ///
    /// # Errors
    /// If it cannot be written, or older ones cannot be removed.
    pub(super) fn save(
        &self,
        picture: &RgbImage,
        stream: &str,
        rule: &str,
    ) -> anyhow::Result<PathBuf> {
        let path = self.path(stream, rule, "jpg");
        output_images::write(picture, &path)?;
        self.prune(&path)?;
        Ok(path)
    }

    /// Where something of an event that happens now is to be.
    pub(super) fn path(&self, stream: &str, rule: &str, extension: &str) -> PathBuf {
        let time = jiff::ZonedDateTime::now().strftime("%Y%m%dT%H%M%S%.3f").to_string();
        let name = format!("{PREFIX}{time}-{}-{}.{extension}", plain(stream), plain(rule));
        self.folder.join(name)
    }

    /// Removes what is too old or too much, the oldest first, but not `newest`.
    ///
    /// # Errors
    /// If the folder cannot be read, or something in it not be removed.
    pub(super) fn prune(&self, newest: &Path) -> io::Result<()> {
        let mut saved = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            // A dot before it: a clip that is being written, or was when the machine went off.
            let whole = name.strip_prefix('.').unwrap_or(&name);
            if whole.starts_with(PREFIX) && (whole.ends_with(".jpg") || whole.ends_with(".mp4")) {
                let metadata = entry.metadata()?;
                let bytes = if whole.len() == name.len() { metadata.len() } else { 0 };
                saved.push((metadata.modified()?, entry.path(), bytes));
            }
        }
        // The newest first; of the same time, by their names, which begin with it.
        saved.sort_by(|a, b| b.cmp(a));
        let (now, mut bytes) = (SystemTime::now(), 0);
        for (modified, path, size) in saved {
            bytes += size;
            let too_old = now.duration_since(modified).is_ok_and(|age| age > self.most_age);
            let too_much = size > 0 && bytes > self.most_bytes;
            if (too_old || too_much) && path != newest {
                match fs::remove_file(path) {
                    // Another stream may have removed it.
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    Ok(()) | Err(_) => {}
                }
            }
        }
        Ok(())
    }
}

/// A name as part of a file's.
fn plain(name: &str) -> String {
    let letter = |letter: char| if letter.is_alphanumeric() { letter } else { '_' };
    name.chars().map(letter).take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_keeps_the_newest_and_what_is_not_its_own() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("mine.jpg"), [0; 5000]).unwrap();
        let picture = RgbImage::from_fn(40, 30, |x, y| image::Rgb([x as u8 * 6, y as u8 * 8, 9]));
        let day = Duration::from_secs(24 * 3600);
        let stills = EventFolder::new(folder.path(), u64::MAX, day).unwrap();
        let first = stills.save(&picture, "rtsp://camera/1", "no mask").unwrap();
        let name = first.file_name().unwrap().to_string_lossy().into_owned();
        assert!(name.starts_with("event-") && name.ends_with("-rtsp___camera_1-no_mask.jpg"));
        let size = fs::metadata(&first).unwrap().len();
        // Older than a day, and then one more than there is room for.
        let file = fs::File::options().write(true).open(&first).unwrap();
        file.set_modified(SystemTime::now() - 2 * day).unwrap();
        let second = stills.save(&picture, "a", "b").unwrap();
        assert!(!first.exists() && second.exists());
        let file = fs::File::options().write(true).open(&second).unwrap();
        file.set_modified(SystemTime::now() - day / 2).unwrap();
        let stills = EventFolder { most_bytes: size * 3 / 2, ..stills };
        let third = stills.save(&picture, "a", "c").unwrap();
        assert!(!second.exists() && third.exists());
        // The newest stays, however little is to be kept.
        let stills = EventFolder { most_bytes: 0, ..stills };
        let fourth = stills.save(&picture, "a", "d").unwrap();
        assert!(!third.exists() && fourth.exists() && folder.path().join("mine.jpg").exists());
    }
}
