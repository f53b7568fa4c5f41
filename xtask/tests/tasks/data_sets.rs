//! Data sets as people have them.

use std::fs;

use crate::{fail, run, stderr, succeed, write_dataset};

const SMALL: [&str; 7] = ["train", "--epochs", "2", "--device", "cpu", "--cache-features", "1"];

fn train<'a>(more: &[&'a str]) -> Vec<&'a str> {
    SMALL.iter().chain(more).copied().collect()
}

#[test]
fn folders_that_are_divided_already_are_the_split() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_dataset(&root.join("data"), 12);
    for class in ["discs", "stripes"] {
        for number in 0..12 {
            let part = if number < 7 {
                "Train"
            } else if number < 10 {
                "Validation"
            } else {
                "Test"
            };
            fs::create_dir_all(root.join("divided").join(part).join(class)).unwrap();
            let name = format!("{number}.png");
            let to = root.join("divided").join(part).join(class).join(&name);
            fs::copy(root.join("data").join(class).join(&name), to).unwrap();
        }
    }
    succeed(root, &train(&["--dataset", "divided", "--output", "out"]));
    let split: serde_json::Value =
        serde_json::from_slice(&fs::read(root.join("out/split.json")).unwrap()).unwrap();
    let names = |side: &str| -> Vec<String> {
        split[side].as_array().unwrap().iter().map(|n| n.as_str().unwrap().to_owned()).collect()
    };
    let (learned, validated) = (names("train"), names("validation"));
    assert_eq!((learned.len(), validated.len()), (14, 6));
    assert!(learned.iter().all(|name| name.starts_with("Train/")));
    assert!(validated.iter().all(|name| name.starts_with("Validation/")));

    let head = ["--head", "out/mask_head.bpk"];
    let evaluate =
        |dataset: &str| [&["evaluate", "--dataset", dataset][..], &head].concat().join("\n");
    let all = evaluate("divided");
    fail(root, &all.split('\n').collect::<Vec<_>>(), "divided: it is divided into parts");
    let part = evaluate("divided/Test");
    assert!(succeed(root, &part.split('\n').collect::<Vec<_>>()).contains("of 4 faces"));
}

#[test]
fn classes_of_other_names_are_refused_with_the_flags_that_help() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_dataset(&root.join("data"), 8);
    succeed(root, &train(&["--dataset", "data", "--output", "out"]));
    fs::create_dir(root.join("other")).unwrap();
    fs::rename(root.join("data/discs"), root.join("other/Disc")).unwrap();
    let evaluate = ["evaluate", "--dataset", "other", "--head", "out/mask_head.bpk"];
    let message = "other: its classes are Disc, and the head's are discs, stripes; say which is which, \
                   for example: --merge-class 'Disc=discs'";
    fail(root, &evaluate, message);
    // And one class alone is evaluated.
    let merged = [&evaluate[..], &["--merge-class", "Disc=discs"]].concat();
    assert!(succeed(root, &merged).contains("of 8 faces"));
    fail(root, &train(&["--dataset", "other", "--output", "x"]), "only one class, `Disc`");
}

#[test]
fn rare_classes_are_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_dataset(&root.join("data"), 40);
    for number in 5..40 {
        fs::remove_file(root.join(format!("data/discs/{number}.png"))).unwrap();
    }
    let warned = |more: &[&str]| {
        let arguments = train(&[&["--dataset", "data", "--validation", "0.4"], more].concat());
        let output = run(root, &arguments.iter().map(|a| &**a).collect::<Vec<_>>());
        assert!(output.status.success(), "{}", stderr(&output));
        stderr(&output).contains(": the rare class is easily missed; give --balance-classes")
    };
    assert!(warned(&["--output", "a"]));
    assert!(!warned(&["--output", "b", "--balance-classes"]));
}

#[test]
fn sets_of_other_forms_are_converted_and_learned_from() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_dataset(&root.join("data"), 10);
    // As YOLO has it: whole images of two classes.
    for part in ["images", "labels"] {
        fs::create_dir_all(root.join("yolo").join(part)).unwrap();
    }
    for (number, class) in ["discs", "stripes"].into_iter().enumerate() {
        for image in 0..10 {
            let name = format!("{class}{image}");
            let to = root.join("yolo/images").join(format!("{name}.png"));
            fs::copy(root.join("data").join(class).join(format!("{image}.png")), to).unwrap();
            let label = root.join("yolo/labels").join(format!("{name}.txt"));
            fs::write(label, format!("{number} 0.5 0.5 0.9 0.9\n")).unwrap();
        }
    }
    let convert = ["convert", "--dataset", "yolo", "--to", "coco", "--output", "coco"];
    fail(root, &convert, "labels without names of classes");
    fs::write(root.join("yolo/data.yaml"), "names: [discs, stripes]\n").unwrap();
    assert!(succeed(root, &convert).contains("20 images with 20 objects: coco"));
    fail(root, &convert, "coco exists already; give a new folder");
    fail(root, &["convert", "--dataset", "data", "--to", "voc", "--output", "v"], "no annotations");
    for set in ["yolo", "coco"] {
        let output = format!("head-{set}");
        succeed(root, &train(&["--dataset", set, "--output", &output]));
        let report = |name: &str| fs::read(root.join(name).join("history.csv")).unwrap();
        assert!(report(&output) == report("head-yolo"), "the same samples, whatever their form");
    }
}

#[test]
fn bursts_of_frames_can_be_allowed_aloud() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_dataset(&root.join("data"), 6);
    // One occasion, six frames.
    for number in 1..6 {
        let disc = root.join("data/discs/0.png");
        fs::copy(disc, root.join(format!("data/discs/{number}.png"))).unwrap();
    }
    let refused = train(&["--dataset", "data", "--output", "a"]);
    fail(root, &refused, "copies stay together; add images of other occasions");
    let allowed = ["--dataset", "data", "--output", "a", "--allow-duplicates", "--overwrite"];
    let text = succeed(root, &train(&allowed));
    assert!(text.contains("straddle the split: these figures flatter"), "{text}");
}

#[test]
fn what_systems_leave_behind_and_broken_links_do_not_stop_a_training() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_dataset(&root.join("data"), 8);
    for name in ["discs/Thumbs.db", "discs/._0.png", "stripes/desktop.ini", "Thumbs.db"] {
        fs::write(root.join("data").join(name), "not an image").unwrap();
    }
    fs::create_dir_all(root.join("data/__MACOSX/discs")).unwrap();
    fs::create_dir_all(root.join("data/discs/.ipynb_checkpoints")).unwrap();
    succeed(root, &train(&["--dataset", "data", "--output", "a"]));
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("nowhere", root.join("data/discs/link.png")).unwrap();
        let tolerant = ["--dataset", "data", "--output", "b", "--max-unreadable", "0.1"];
        let output = run(root, &train(&tolerant));
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(stderr(&output).contains("skipped: data/discs/link.png: cannot be read"));
    }
}
