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
