//! Video files, and several streams at once.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{ffmpeg, images, path_of, probe, query, tracks, watch};
use crate::support::{labels, mask_cli, records, stderr};

#[test]
#[ignore = "needs ffmpeg"]
fn videos_of_every_kind_are_read_frame_by_frame() {
    let folder = tempfile::tempdir().unwrap();
    let scene = images(&folder, 10, 256, 192);
    let odd = images(&folder, 10, 255, 191);
    let path = |name: &str| path_of(&folder, name);
    let from = |images: &str, rest: &[&str]| {
        ffmpeg(&[&["-framerate", "25", "-i", images][..], rest].concat());
    };
    from(&scene, &["-c:v", "libx264", "-pix_fmt", "yuv420p", &path("h264.mp4")]);
    from(&scene, &["-c:v", "mjpeg", "-q:v", "3", &path("mjpeg.avi")]);
    from(&odd, &["-c:v", "libx264", "-pix_fmt", "yuv444p", &path("odd.mkv")]);
    // As phones record: lying, with a note which way is up.
    from(
        &scene,
        &["-vf", "transpose=2", "-c:v", "libx264", "-pix_fmt", "yuv420p", &path("lying.mp4")],
    );
    let turned = path("turned.mp4");
    ffmpeg(&["-i", &path("lying.mp4"), "-c", "copy", "-metadata:s:v", "rotate=270", &turned]);
    // Frames 5 to 9 last twice as long.
    let slower = "setpts='if(lt(N,5),N,5+2*(N-5))/25/TB'";
    let vfr = path("vfr.mkv");
    from(
        &scene,
        &[
            "-vf",
            slower,
            "-fps_mode",
            "passthrough",
            "-c:v",
            "libx264",
            "-pix_fmt",
            "yuv420p",
            &vfr,
        ],
    );
    let even: Vec<f64> = (0..10).map(|frame| f64::from(frame) / 25.0).collect();
    let uneven: Vec<f64> =
        (0..10).map(|n| f64::from(if n < 5 { n } else { 2 * n - 5 }) / 25.0).collect();
    for (name, width, height, times) in [
        ("h264.mp4", 256, 192, &even),
        ("mjpeg.avi", 256, 192, &even),
        ("odd.mkv", 255, 191, &even),
        ("turned.mp4", 256, 192, &even),
        ("vfr.mkv", 256, 192, &uneven),
        ("256-%03d.png", 256, 192, &even),
    ] {
        let output = watch([path(name)]);
        assert_eq!(output.status.code(), Some(0), "{name}: {}", stderr(&output));
        let records = records(&output);
        assert_eq!(records.len(), 10, "{name}");
        for (record, time) in records.iter().zip(times) {
            let size = (record["width"].as_u64(), record["height"].as_u64());
            assert_eq!(size, (Some(width), Some(height)), "{name}");
            let difference = record["time"].as_f64().unwrap() - time;
            assert!(difference.abs() < 0.002, "{name}: {record}");
            assert_eq!((labels(record), tracks(record)), (vec!["without_mask"], vec![1]), "{name}");
        }
    }
    let cut = watch([
        path("h264.mp4").as_str(),
        "--start",
        "0.12",
        "--max-fps",
        "12.5",
        "--size",
        "128x96",
    ]);
    let cut = records(&cut);
    let times: Vec<f64> = cut.iter().map(|record| record["time"].as_f64().unwrap()).collect();
    assert_eq!(times.len(), 4, "{times:?}");
    assert!((times[0] - 0.12).abs() < 0.002 && (times[3] - 0.36).abs() < 0.002, "{times:?}");
    assert_eq!(cut[0]["width"].as_u64(), Some(128));
    fs::write(folder.path().join("broken.mp4"), [7; 5000]).unwrap();
    let broken = watch([path("broken.mp4")]);
    assert_eq!(broken.status.code(), Some(1));
    assert!(stderr(&broken).contains("broken.mp4: "), "{}", stderr(&broken));
}

#[test]
#[ignore = "needs ffmpeg"]
fn several_streams_share_the_networks_and_fail_alone() {
    let folder = tempfile::tempdir().unwrap();
    let scene = images(&folder, 12, 256, 192);
    for name in ["one.mp4", "two.mp4"] {
        let path = path_of(&folder, name);
        ffmpeg(&[
            "-framerate",
            "25",
            "-i",
            &scene,
            "-c:v",
            "libx264",
            "-pix_fmt",
            "yuv420p",
            &path,
        ]);
    }
    fs::write(path_of(&folder, "broken.mp4"), [7; 5000]).unwrap();
    let config = path_of(&folder, "streams.toml");
    let streams = "
        [[stream]]
        name = 'door'
        source = 'one.mp4'
        output = 'drawn.mp4'
        [[stream]]
        source = 'broken.mp4'
        name = 'yard'
        [[stream]]
        source = 'two.mp4'
        name = 'hall'
        every = 2
    ";
    fs::write(&config, streams).unwrap();
    let db = path_of(&folder, "record.sqlite");
    let output = watch(["--config", &config, "--summary", "--db", &db]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let records = records(&output);
    for (name, frames) in [("door", 12), ("yard", 0), ("hall", 6)] {
        let own: Vec<_> = records.iter().filter(|record| record["source"] == name).collect();
        assert_eq!(own.len(), frames, "{name}");
        // Each counts its own people.
        assert!(own.iter().all(|record| tracks(record) == [1]), "{name}");
    }
    let errors = stderr(&output);
    assert!(
        errors.contains("mask-cli: yard: ") && errors.contains("mask-cli: hall: 1 people"),
        "{errors}"
    );
    assert_eq!(probe(&folder.path().join("drawn.mp4")).0, ["video,256,192"]);
    let tracks = "SELECT source, label FROM track JOIN session ON id = session ORDER BY source";
    assert_eq!(query(&db, tracks), ["door without_mask", "hall without_mask"]);
}

#[test]
fn files_of_streams_are_refused_with_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let path = path_of(&folder, "streams.toml");
    for (text, words) in [
        ("", "streams.toml, line 1: missing field `stream`"),
        ("stream = []", "there is no [[stream]] in it"),
        ("[[stream]]\nsource = '0'\n[[stream]]\nsource = '0'", "two streams are called 0"),
        ("[[stream]]\nsource = '0'\nfps = 3", "streams.toml, line 3: unknown field `fps`"),
        ("[[stream]]\nsource = 'absent.mp4'", "streams.toml: absent.mp4: no such file"),
        (
            "[[stream]]\nsource = '0'\noutput = 'a.mp4'\n[[stream]]\nsource = '1'\noutput = 'a.mp4'",
            "a.mp4 would be overwritten",
        ),
    ] {
        fs::write(&path, text).unwrap();
        let output = watch(["--config", &path]);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(stderr(&output).contains(words), "{text}: {}", stderr(&output));
    }
}

#[test]
#[ignore = "needs ffmpeg"]
fn the_size_may_change_in_mid_stream() {
    let folder = tempfile::tempdir().unwrap();
    let (images, part) = (images(&folder, 6, 640, 480), path_of(&folder, "part.ts"));
    let mut whole = Vec::new();
    for size in ["640:480", "1280:720"] {
        let scale = format!("scale={size}");
        let coded = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-f", "mpegts", &part];
        ffmpeg(&[&["-i", &images, "-vf", &scale], &coded[..]].concat());
        whole.extend(fs::read(&part).unwrap());
    }
    let path = folder.path().join("both.ts");
    fs::write(&path, whole).unwrap();
    let drawn = folder.path().join("drawn.mp4");
    let output = watch([path.as_path(), Path::new("--output"), &drawn]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let records = records(&output);
    let widths: Vec<_> = records.iter().map(|record| record["width"].as_u64().unwrap()).collect();
    assert_eq!(widths, [[640; 6], [1280; 6]].concat());
    // Whoever is there stays who they are.
    assert!(records.iter().all(|record| tracks(record) == [1]), "{records:?}");
    // What is written keeps its size.
    assert_eq!(probe(&drawn).0, ["video,640,480"]);
}

/// A file that may not grow further stands for a disk that is full.
#[cfg(target_os = "linux")]
#[test]
#[ignore = "needs ffmpeg"]
fn a_video_that_cannot_be_written_does_not_end_the_stream() {
    let folder = tempfile::tempdir().unwrap();
    let images = images(&folder, 20, 256, 192);
    let (path, drawn) = (path_of(&folder, "scene.mkv"), path_of(&folder, "drawn.avi"));
    ffmpeg(&["-stream_loop", "9", "-framerate", "25", "-i", &images, "-c:v", "mjpeg", &path]);
    // 20 blocks of 512 bytes.
    let limited = "ulimit -f 20; exec \"$0\" watch \"$1\" --detect-every 20 --output \"$2\"";
    let output = std::process::Command::new("sh")
        .args(["-c", limited, env!("CARGO_BIN_EXE_mask-cli"), &path, &drawn])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(records(&output).len(), 200);
    assert!(stderr(&output).contains("no video is written any more"), "{}", stderr(&output));
    let left = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(left.into_iter().all(|name| !name.to_string_lossy().contains("drawn")));
}

#[test]
#[ignore = "needs ffmpeg"]
fn drawn_videos_keep_time_and_sound() {
    let folder = tempfile::tempdir().unwrap();
    let images = images(&folder, 30, 255, 191);
    let path = path_of(&folder, "spoken.mp4");
    ffmpeg(&[
        "-framerate",
        "25",
        "-i",
        &images,
        "-f",
        "lavfi",
        "-i",
        "sine=d=1.2",
        "-c:v",
        "libx264",
        "-pix_fmt",
        "yuv444p",
        "-c:a",
        "aac",
        &path,
    ]);
    let drawn = folder.path().join("drawn.mp4");
    let output = watch([Path::new(&path), Path::new("--output"), &drawn, Path::new("--blur")]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(records(&output).iter().all(|record| labels(record) == ["without_mask"]));
    let (streams, seconds) = probe(&drawn);
    assert_eq!(streams, ["video,256,192", "audio"]);
    assert!((seconds - 1.2).abs() < 0.1, "{seconds}");
    // Nobody is recognised, nor found, in what was written.
    let frame = folder.path().join("frame.png");
    ffmpeg(&[
        "-ss",
        "0.6",
        "-i",
        &drawn.display().to_string(),
        "-frames:v",
        "1",
        &frame.display().to_string(),
    ]);
    let found = mask_cli().arg("detect").arg(&frame).output().unwrap();
    assert_eq!(labels(&records(&found)[0]), Vec::<&str>::new());
    // Nothing half-written stays, and the source is not written over.
    let names: Vec<PathBuf> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(names.iter().all(|name| !name.to_string_lossy().contains("partial")));
    let over = watch([path.as_str(), "--output", &path]);
    assert_eq!(over.status.code(), Some(2));
    assert!(stderr(&over).contains("would be overwritten"));
}
