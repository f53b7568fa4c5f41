//! Pictures of events, in a folder that does not grow for ever.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use image::RgbImage;

use crate::output_images;

/// What the names of pictures begin with; others in the folder are not touched.
const PREFIX: &str = "event-";

/// Saves pictures of events.
#[derive(Debug, Clone)]
pub(super) struct Stills {
    folder: PathBuf,
    most_bytes: u64,
    most_age: Duration,
}

impl Stills {
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
        let time = jiff::ZonedDateTime::now().strftime("%Y%m%dT%H%M%S%.3f").to_string();
        let name = format!("{PREFIX}{time}-{}-{}.jpg", plain(stream), plain(rule));
        let path = self.folder.join(name);
        output_images::write(picture, &path)?;
        self.prune(&path)?;
        Ok(path)
    }

    /// Removes what is too old or too much, the oldest first, but not `newest`.
    fn prune(&self, newest: &Path) -> io::Result<()> {
        let mut pictures = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(PREFIX) && name.ends_with(".jpg") {
                let metadata = entry.metadata()?;
                pictures.push((metadata.modified()?, entry.path(), metadata.len()));
            }
        }
        // The newest first; of the same time, by their names, which begin with it.
        pictures.sort_by(|a, b| b.cmp(a));
        let (now, mut bytes) = (SystemTime::now(), 0);
        for (modified, path, size) in pictures {
            bytes += size;
            let too_old = now.duration_since(modified).is_ok_and(|age| age > self.most_age);
            if (too_old || bytes > self.most_bytes) && path != newest {
                fs::remove_file(path)?;
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
        let stills = Stills::new(folder.path(), u64::MAX, day).unwrap();
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
        let stills = Stills { most_bytes: size * 3 / 2, ..stills };
        let third = stills.save(&picture, "a", "c").unwrap();
        assert!(!second.exists() && third.exists());
        // The newest stays, however little is to be kept.
        let stills = Stills { most_bytes: 0, ..stills };
        let fourth = stills.save(&picture, "a", "d").unwrap();
        assert!(!third.exists() && fourth.exists() && folder.path().join("mine.jpg").exists());
    }
}
