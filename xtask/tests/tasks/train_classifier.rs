//! Training of a head with a part of its backbone, end to end.

use std::fs;

use super::{fail, succeed, write_dataset};

const SETTINGS: &str = "[training]\nepochs = 2\nsamples_per_epoch = 12\nbatch_size = 6\nhidden = 16\n\
                        unfreeze = 2\nwarmup_steps = 1\n";

const SMALL: [&str; 7] =
    ["train", "--dataset", "data", "--unfreeze", "2", "--config", "small.toml"];

#[test]
fn a_classifier_is_trained_resumed_and_used() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_dataset(&root.join("data"), 10);
    fs::write(root.join("small.toml"), SETTINGS).unwrap();
    let run = |more: &[&str]| succeed(root, &[&SMALL[..], more].concat());
    let text = run(&["--output", "straight"]);
    assert!(text.contains("mask-cli detect --head straight/mask_classifier.bpk"), "{text}");
    for name in
        ["config.toml", "split.json", "history.csv", "metrics.json", "plot.svg", "doubtful.txt"]
    {
        assert!(root.join("straight").join(name).is_file(), "{name}");
    }

    // What was interrupted after an epoch ends as what was not.
    fs::create_dir(root.join("again")).unwrap();
    let whole = fs::read_to_string(root.join("straight/history.csv")).unwrap();
    fs::copy(root.join("straight/checkpoint.bpk"), root.join("again/checkpoint.bpk")).unwrap();
    run(&["--output", "again", "--resume"]);
    assert_eq!(fs::read_to_string(root.join("again/history.csv")).unwrap(), whole);
    let read = |name: &str| fs::read(root.join(name)).unwrap();
    assert!(read("straight/mask_classifier.bpk") == read("again/mask_classifier.bpk"));

    let head = ["--head", "straight/mask_classifier.bpk"];
    let report = succeed(root, &[&["evaluate", "--dataset", "data"], &head[..]].concat());
    assert!(report.contains("discs") && report.contains("stripes"), "{report}");

    let refused = |more: &[&str], part: &str| fail(root, &[&SMALL[..], more].concat(), part);
    refused(&["--output", "other", "--patience", "2"], "--patience does not go with --unfreeze");
    refused(&["--output", "straight"], "straight holds a training already");
    let alone = ["train", "--dataset", "data", "--output", "other", "--weights", "w.bpk"];
    fail(root, &alone, "--weights goes with --unfreeze");
    let metrics = fs::read_to_string(root.join("straight/metrics.json")).unwrap();
    assert!(metrics.contains("\"weights\": null"));
    let weights = ["--weights", "straight/mask_classifier.bpk"];
    // The settings file says which training it is of.
    let repeated = ["train", "--dataset", "data", "--config", "small.toml", "--output", "other"];
    succeed(root, &[&repeated[..], &weights].concat());
    let metrics = fs::read_to_string(root.join("other/metrics.json")).unwrap();
    assert!(metrics.contains("straight/mask_classifier.bpk"), "{metrics}");
    let many = ["train", "--dataset", "data", "--unfreeze", "20", "--output", "third"];
    fail(root, &many, "unfreeze is 20; it must be from 1 to 19");
}
