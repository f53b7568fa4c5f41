//! Drawn images and faces cut out: where they go and how they are written.

use std::{
    collections::HashSet,
    ffi::OsString,
    fs,
    io::{BufWriter, Write},
    path::{Component, Path, PathBuf},
};

use anyhow::{Context, bail};
use image::{ImageFormat, RgbImage, codecs::jpeg::JpegEncoder};
use image_input::common_folder;
use mask_detector::{FaceDetection, JPEG_QUALITY, PixelRect};
use tempfile::NamedTempFile;

use crate::inputs::Input;

/// The name of each input's image below an output folder: the inputs' own below the folder that holds
/// them all, no two alike, also on file systems without case. `None` for inputs that are not images.
pub(crate) fn names(inputs: &[Input]) -> Vec<Option<PathBuf>> {
    let root = common_root(inputs);
    let mut taken = HashSet::new();
    let name = |input: &Input| {
        let relative = match input {
            Input::Image { path, .. } => {
                let path = absolute(path);
                path.strip_prefix(&root).unwrap_or(&path).components().filter(is_name).collect()
            }
            Input::Bytes(_) => PathBuf::from("stdin"),
            Input::Failed { .. } => return None,
        };
        let wanted = with_writable_extension(&relative);
        let free = (1..).map(|number| numbered(&wanted, number));
        let mut free = free.filter(|name| taken.insert(name.to_string_lossy().to_lowercase()));
        free.next()
    };
    inputs.iter().map(name).collect()
}

/// The folder that holds all folders of the inputs.
fn common_root(inputs: &[Input]) -> PathBuf {
    let folders = inputs.iter().filter_map(|input| match input {
        Input::Image { folder, .. } => Some(absolute(folder)),
        Input::Bytes(_) | Input::Failed { .. } => None,
    });
    common_folder(folders)
}

/// The path from the root, or as it is where there is no working directory.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

/// Whether a part of a path may stand below a folder.
fn is_name(component: &Component<'_>) -> bool {
    matches!(component, Component::Normal(_))
}

/// Makes the folder of drawn images.
///
/// # Errors
/// If nothing can be written into it, or a drawn image would replace an input.
pub(crate) fn prepare_drawn(
    folder: &Path,
    names: &[Option<PathBuf>],
    inputs: &[Input],
) -> anyhow::Result<()> {
    make_folder(folder, "--output")?;
    let originals = originals(inputs);
    let mut targets = names.iter().flatten().map(|name| folder.join(name));
    let replaced = |target: &PathBuf| target.canonicalize().is_ok_and(|t| originals.contains(&t));
    match targets.find(replaced) {
        Some(target) => bail!(
            "{} is an input and would be overwritten; give another --output folder",
            target.display()
        ),
        None => Ok(()),
    }
}

/// Makes the folder of faces.
///
/// # Errors
/// If nothing can be written into it, or inputs are in it.
pub(crate) fn prepare_crops(folder: &Path, inputs: &[Input]) -> anyhow::Result<()> {
    make_folder(folder, "--crops")?;
    let inside = folder.canonicalize()?;
    match originals(inputs).iter().find(|original| original.starts_with(&inside)) {
        Some(original) => bail!(
            "{} is an input and might be overwritten; give another --crops folder",
            original.display()
        ),
        None => Ok(()),
    }
}

/// Makes a folder into which a flag asks to write.
///
/// # Errors
/// If nothing can be written into it.
pub(crate) fn make_folder(folder: &Path, flag: &str) -> anyhow::Result<()> {
    let cannot_write =
        || format!("cannot write to {}; give another {flag} folder", folder.display());
    fs::create_dir_all(folder).with_context(cannot_write)?;
    NamedTempFile::new_in(folder).with_context(cannot_write)?;
    Ok(())
}

/// Where the inputs really are.
fn originals(inputs: &[Input]) -> HashSet<PathBuf> {
    let original = |input: &Input| match input {
        Input::Image { path, .. } => path.canonicalize().ok(),
        Input::Bytes(_) | Input::Failed { .. } => None,
    };
    inputs.iter().filter_map(original).collect()
}

/// Writes each face's part of an image into the folder of its class: `with_mask/a/b-1.jpg` for the first
/// face of `a/b.jpg`.
///
/// # Errors
/// If a file cannot be written.
pub(crate) fn write_crops(
    image: &RgbImage,
    faces: &[FaceDetection],
    folder: &Path,
    name: &Path,
) -> anyhow::Result<()> {
    for (number, face) in faces.iter().enumerate() {
        let PixelRect { x, y, width, height } = face.bbox.enclosing_rect(image.dimensions().into());
        let crop = image::imageops::crop_imm(image, x, y, width, height).to_image();
        let name = suffixed(name, number + 1);
        write(&crop, &folder.join(safe_name(face.label())).join(name))?;
    }
    Ok(())
}

/// A class as the name of a folder.
fn safe_name(class: &str) -> String {
    class.replace(['/', '\\', ':'], "_")
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

/// `a/b.jpg` stays, and then becomes `a/b-2.jpg`.
fn numbered(path: &Path, number: usize) -> PathBuf {
    if number == 1 { path.to_path_buf() } else { suffixed(path, number) }
}

/// `a/b.jpg` becomes `a/b-2.jpg`.
fn suffixed(path: &Path, number: usize) -> PathBuf {
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

    fn image(path: &str, folder: &str) -> Input {
        Input::Image { path: path.into(), folder: folder.into() }
    }

    #[test]
    fn folders_are_mirrored_and_names_never_collide() {
        let named = |inputs: &[Input]| -> Vec<Option<String>> {
            let text = |name: PathBuf| name.to_string_lossy().into_owned();
            names(inputs).into_iter().map(|name| name.map(text)).collect()
        };
        let some = |name: &str| Some(name.to_owned());
        let several = [
            image("one/x.jpg", "one"),
            image("two/x.jpg", "two"),
            image("two/a/b.gif", "two"),
            image("one/X.JPG", "one"),
            image("one/x.jpg", "one"),
            Input::Failed { path: "c".into(), error: String::new() },
            Input::Bytes(Vec::new()),
        ];
        let expected = [
            some("one/x.jpg"),
            some("two/x.jpg"),
            some("two/a/b.gif.png"),
            some("one/X-2.JPG"),
            some("one/x-3.jpg"),
            None,
            some("stdin.png"),
        ];
        assert_eq!(named(&several), expected);
        assert_eq!(named(&[image("in/a/b.jpg", "in")]), [some("a/b.jpg")]);
        assert_eq!(named(&[image("../b.jpg", "..")]), [some("b.jpg")]);
    }

    #[test]
    fn an_input_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let photo = folder.path().join("x.jpg");
        fs::write(&photo, "photo").unwrap();
        let inputs = [image(photo.to_str().unwrap(), folder.path().to_str().unwrap())];
        let error = prepare_drawn(folder.path(), &names(&inputs), &inputs).unwrap_err();
        assert!(error.to_string().contains("would be overwritten"));
        assert!(prepare_crops(folder.path(), &inputs).is_err());
        prepare_crops(&folder.path().join("crops"), &inputs).unwrap();
        assert_eq!(fs::read(&photo).unwrap(), b"photo");
    }
}
