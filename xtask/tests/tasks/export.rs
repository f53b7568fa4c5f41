//! `xtask export`. Each file is read back by the command itself, which then says so.

use crate::{fail, succeed};

#[test]
fn every_export_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let text = succeed(folder.path(), &["export"]);
    for name in ["mask-classifier", "face-detector"] {
        for (extension, said) in [
            ("onnx", "read back by rten"),
            ("safetensors", "parameters the same"),
            ("bpk", "parameters the same"),
        ] {
            let line = text.lines().find(|line| line.contains(&format!("{name}.{extension}")));
            assert!(line.is_some_and(|line| line.contains(said)), "{text}");
            assert!(folder.path().join(format!("export/{name}.{extension}")).is_file());
        }
    }
    // An exported classifier in Burn's container is used as one; a face detector is not one, and the
    // error names the file.
    let onnx = folder.path().join("export/mask-classifier.onnx");
    let first = std::fs::read(&onnx).unwrap();
    succeed(folder.path(), &["export", "--head", "export/mask-classifier.bpk"]);
    assert!(std::fs::read(&onnx).unwrap() == first);
    let wrong = ["export", "--head", "export/face-detector.bpk"];
    fail(folder.path(), &wrong, "export/face-detector.bpk");
    fail(folder.path(), &["export", "--head", "absent.bpk"], "absent.bpk");
}

#[test]
fn files_that_do_everything_find_what_we_find() {
    let folder = tempfile::tempdir().unwrap();
    let common = ["export", "--with-postprocess", "--format", "onnx", "--input-size", "320x256"];
    for (precision, ending) in [("f32", ""), ("f16", "-f16"), ("int8", "-int8")] {
        let arguments = [&common[..], &["--precision", precision]].concat();
        let text = succeed(folder.path(), &arguments);
        for name in ["face-detector-320x256", "mask-classifier-rgb"] {
            let file = format!("export/{name}{ending}.onnx");
            let line = text.lines().find(|line| line.contains(&file)).unwrap();
            assert!(line.contains("rten finds what we find: 3"), "{text}");
            assert!(folder.path().join(file).is_file());
        }
        let readme = std::fs::read_to_string(folder.path().join("export/README.md")).unwrap();
        assert!(readme.contains("WIDTH, HEIGHT, SIDE, MARGIN, SQUARE = 320, 256, 224"), "{readme}");
        assert!(!readme.contains('@'), "{readme}");
    }
    succeed(folder.path(), &[&common[..], &["--opset", "25"]].concat());
    fail(
        folder.path(),
        &["export", "--with-postprocess", "--input-size", "300x300"],
        "multiples of",
    );
    fail(folder.path(), &["export", "--with-postprocess", "--input-size", "long:640"], "640x640");
    fail(folder.path(), &["export", "--opset", "12"], "13 to 25");
}
