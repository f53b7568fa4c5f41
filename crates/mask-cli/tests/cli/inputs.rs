//! What arguments, folders and standard input name.

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Output, Stdio},
};

use crate::support::{detect, example, fixture, labels, mask_cli, records, stderr};

/// Runs `detect` with bytes on standard input.
fn detect_with(stdin: &[u8], arguments: &[&str]) -> Output {
    let mut command = mask_cli();
    command.arg("detect").args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin).unwrap();
    child.wait_with_output().unwrap()
}

fn photo(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::copy(fixture("rgb.png"), path).unwrap();
}

/// Names of the images and whether each was done.
fn done(output: &Output, root: &Path) -> Vec<(String, bool)> {
    let name = |image: &str| {
        let path = Path::new(image);
        path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned()
    };
    let records = records(output);
    let done = records.iter().map(|r| (name(r["image"].as_str().unwrap()), r["error"].is_null()));
    done.collect()
}

#[cfg(unix)]
#[test]
fn broken_links_loops_and_closed_folders_cost_a_line_each() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    photo(&root.join("a.png"));
    photo(&root.join("z/z.png"));
    symlink("nowhere.jpg", root.join("b.jpg")).unwrap();
    symlink(root, root.join("c")).unwrap();
    let closed = root.join("d");
    photo(&closed.join("d.png"));
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    // The superuser reads it all the same.
    let is_closed = fs::read_dir(&closed).is_err();
    let output = detect([root]);
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).unwrap();

    assert_eq!(output.status.code(), Some(1));
    let third = if is_closed { ("d".to_owned(), false) } else { ("d/d.png".to_owned(), true) };
    let expected = [
        ("a.png".to_owned(), true),
        ("b.jpg".to_owned(), false),
        ("c".to_owned(), false),
        third,
        ("z/z.png".to_owned(), true),
    ];
    assert_eq!(done(&output, root), expected);
    let errors = stderr(&output);
    assert_eq!(errors.lines().count(), if is_closed { 3 } else { 2 }, "{errors}");
    assert!(errors.contains("b.jpg: a link that leads nowhere"), "{errors}");
    assert!(errors.contains("c: a link that leads back up to"), "{errors}");
}

#[test]
fn what_is_no_image_here_is_named_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    photo(&root.join("photo.png"));
    // Images by their content, whatever they are called.
    for name in ["no_extension", "a.JPE", "b.dat", "c.jfif"] {
        fs::copy(example("astronaut.jpg"), root.join(name)).unwrap();
    }
    let heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic";
    let negative = b"II*\0\x08\0\0\0\x01\0\x12\xc6\x01\0\x04\0\0\0\x01\x04\0\0";
    let files: [(&str, &[u8]); 10] = [
        ("x.heic", heic),
        ("y.HEIC", heic),
        ("y.dng", negative),
        ("clip.mp4", b"\0\0\0\x18ftypisom\0\0\x02\0isommp42"),
        ("notes.txt", b"notes"),
        ("paper", b"%PDF-1.7\n"),
        ("Thumbs.db", b"thumbnails"),
        ("._photo.png", b"of macOS"),
        ("__MACOSX/photo.png", b"of macOS"),
        ("desktop.ini", b"[window]"),
    ];
    fs::create_dir(root.join("__MACOSX")).unwrap();
    files.iter().for_each(|(name, bytes)| fs::write(root.join(name), bytes).unwrap());
    let output = detect([root]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let names: Vec<String> = done(&output, root).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["a.JPE", "b.dat", "c.jfif", "no_extension", "photo.png"]);
    let errors = stderr(&output);
    assert_eq!(errors.lines().count(), 1, "{errors}");
    assert!(errors.contains("left out: 2 x HEIC (convert it to JPEG"), "{errors}");
    for part in ["1 x camera raw (develop", "1 x video (take images", "2 that are no images"] {
        assert!(errors.contains(part), "{part}: {errors}");
    }
    assert!(errors.contains("4 of the operating system's"), "{errors}");

    let video = stderr(&detect([root.join("clip.mp4")]));
    assert!(video.contains("or give it to `mask-cli watch`"), "{video}");
    // Asked for by name, or under another name, each is an error with its format.
    fs::copy(root.join("x.heic"), root.join("x.jpg")).unwrap();
    for (name, part) in [
        ("x.heic", "HEIC is not decoded here; convert it"),
        ("x.jpg", "HEIC is not decoded here; convert it"),
        ("y.dng", "camera raw is not decoded here; develop it"),
        ("clip.mp4", "video is not decoded here; take images out of it"),
        ("paper", "not an image but application/pdf"),
        ("notes.txt", "not an image: unknown format"),
    ] {
        let output = detect([root.join(name)]);
        assert_eq!(output.status.code(), Some(1), "{name}");
        assert!(stderr(&output).contains(part), "{name}: {}", stderr(&output));
    }
}

#[test]
fn patterns_mean_what_people_mean() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for name in ["[2021] party/A.PNG", "[2021] party/b.png", "2/c.png", "a[1].png"] {
        photo(&root.join(name));
    }
    let names = |pattern: &str| {
        let output = detect([root.join(pattern)]);
        assert!(output.status.success(), "{pattern}: {}", stderr(&output));
        done(&output, root).into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    assert_eq!(names("[2021] party/*.png"), ["[2021] party/A.PNG", "[2021] party/b.png"]);
    assert_eq!(names("[2021] party/*.PNG"), ["[2021] party/A.PNG", "[2021] party/b.png"]);
    assert_eq!(names("a[1].png"), ["a[1].png"]);
    assert_eq!(names("[0-9]/*"), ["2/c.png"]);
}

#[test]
fn standard_input_is_an_image_or_a_list() {
    let bytes = fs::read(fixture("rgb.png")).unwrap();
    let drawn = tempfile::tempdir().unwrap();
    let output = detect_with(&bytes, &["-", "--output", drawn.path().to_str().unwrap()]);
    assert!(output.status.success(), "{}", stderr(&output));
    let found = &records(&output)[0];
    assert_eq!((found["image"].as_str(), &labels(found)[..]), (Some("-"), &["without_mask"][..]));
    assert!(drawn.path().join("stdin.png").is_file());

    let folder = tempfile::tempdir().unwrap();
    let odd = folder.path().join("a\nb.png");
    photo(&odd);
    let list = [odd.to_str().unwrap(), fixture("rgb.png").to_str().unwrap(), ""].join("\0");
    let output = detect_with(list.as_bytes(), &["-0", "-"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(records(&output).len(), 2);
    let output = detect_with(list.as_bytes(), &["-"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("give -0") && output.stdout.is_empty());

    let output = detect_with(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", &["-"]);
    assert!(stderr(&output).contains("mask-cli: -: HEIC is not decoded here"));
}

#[test]
fn streams_pages_and_cameras_are_refused_with_the_command_that_helps() {
    for (argument, part) in [
        ("rtsp://camera/1", "`mask-cli watch 'rtsp://camera/1'`"),
        ("https://example.org/x.jpg", "`curl -sL 'https://example.org/x.jpg' | mask-cli detect -`"),
        ("0", "`mask-cli watch 0`"),
    ] {
        let output = detect([argument]);
        assert_eq!(output.status.code(), Some(2), "{argument}");
        let errors = stderr(&output);
        assert!(errors.contains("not an image") && errors.contains(part), "{errors}");
        assert_eq!(errors.lines().count(), 1);
    }
}

#[test]
fn the_limit_on_pixels_names_its_flag() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("two_megapixels.png");
    image::RgbImage::new(2000, 1000).save(&path).unwrap();
    let output = mask_cli().args(["detect", "--max-megapixels", "1"]).arg(&path).output().unwrap();
    assert!(stderr(&output).contains("--max-megapixels"), "{}", stderr(&output));
}
