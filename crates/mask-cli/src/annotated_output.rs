//! Drawn images: where they go and how they are written.

use std::{
    collections::HashSet,
    ffi::OsString,
    fs,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use image::{ImageFormat, RgbImage, codecs::jpeg::JpegEncoder};
use tempfile::NamedTempFile;

use crate::inputs::Input;

/// Quality of written JPEG files, 1 to 100: high enough that thin lines stay clean.
const JPEG_QUALITY: u8 = 92;

/// Plans where each input's drawn image goes; `None` for inputs that are not images.
///
/// # Errors
/// If the folder cannot be written to, or a drawn image would replace an input.
pub(crate) fn plan(folder: &Path, inputs: &[Input]) -> anyhow::Result<Vec<Option<PathBuf>>> {
    let cannot_write =
        || format!("cannot write to {}; give another --output folder", folder.display());
    fs::create_dir_all(folder).with_context(cannot_write)?;
    NamedTempFile::new_in(folder).with_context(cannot_write)?;

    let mut taken = HashSet::new();
    let originals: HashSet<PathBuf> = inputs
        .iter()
        .filter_map(|input| match input {
            Input::Image { path, .. } => path.canonicalize().ok(),
            Input::Bytes(_) | Input::Failed { .. } => None,
        })
        .collect();
    let mut planned = Vec::with_capacity(inputs.len());
    for input in inputs {
        let relative = match input {
            Input::Image { relative, .. } => relative,
            Input::Bytes(_) => Path::new("stdin"),
            Input::Failed { .. } => {
                planned.push(None);
                continue;
            }
        };
        let wanted = folder.join(with_writable_extension(relative));
        let mut target = wanted.clone();
        for number in 2.. {
            if taken.insert(target.clone()) {
                break;
            }
            target = numbered(&wanted, number);
        }
        if target.canonicalize().is_ok_and(|existing| originals.contains(&existing)) {
            bail!(
                "{} is an input and would be overwritten; give another --output folder",
                target.display()
            );
        }
        planned.push(Some(target));
    }
    Ok(planned)
}

/// The formats that drawn images keep; others become PNG.
fn kept_format(path: &Path) -> Option<ImageFormat> {
    use ImageFormat::{Bmp, Jpeg, Png, Tiff, WebP};
    let format = ImageFormat::from_path(path).ok()?;
    matches!(format, Bmp | Jpeg | Png | Tiff | WebP).then_some(format)
}

fn with_writable_extension(path: &Path) -> PathBuf {
    if kept_format(path).is_some() {
        return path.to_path_buf();
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".png");
    name.into()
}

/// `a/b.jpg` becomes `a/b-2.jpg`.
fn numbered(path: &Path, number: usize) -> PathBuf {
    let mut name: OsString = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{number}"));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

/// Writes a drawn image beside its place and renames it into it.
///
/// # Errors
/// If the folder cannot be made or the file cannot be written.
pub(crate) fn write(image: &RgbImage, path: &Path) -> anyhow::Result<()> {
    let write = || -> anyhow::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let mut builder = tempfile::Builder::new();
        // As an ordinary file's, less the umask.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut file = builder.tempfile_in(folder)?;
        let mut buffer = BufWriter::new(&mut file);
        match kept_format(path).unwrap_or(ImageFormat::Png) {
            ImageFormat::Jpeg => {
                image
                    .write_with_encoder(JpegEncoder::new_with_quality(&mut buffer, JPEG_QUALITY))?;
            }
            format => {
                // Some encoders seek, so they write into memory first.
                let mut bytes = std::io::Cursor::new(Vec::new());
                image.write_to(&mut bytes, format)?;
                buffer.write_all(bytes.get_ref())?;
            }
        }
        buffer.flush()?;
        drop(buffer);
        file.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(path: &Path, relative: &str) -> Input {
        Input::Image { path: path.to_path_buf(), relative: relative.into() }
    }

    #[test]
    fn folders_are_mirrored_and_names_never_collide() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| Some(folder.path().join(name));
        let inputs = [
            image(Path::new("one/x.jpg"), "x.jpg"),
            image(Path::new("two/x.jpg"), "x.jpg"),
            image(Path::new("in/a/b.gif"), "a/b.gif"),
            Input::Failed { path: "c".into(), error: String::new() },
        ];
        let planned = plan(folder.path(), &inputs).unwrap();
        assert_eq!(planned, [at("x.jpg"), at("x-2.jpg"), at("a/b.gif.png"), None]);
    }

    #[test]
    fn an_input_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let photo = folder.path().join("x.jpg");
        fs::write(&photo, "photo").unwrap();
        let error = plan(folder.path(), &[image(&photo, "x.jpg")]).unwrap_err();
        assert!(error.to_string().contains("would be overwritten"));
        assert_eq!(fs::read(&photo).unwrap(), b"photo");
    }
}
