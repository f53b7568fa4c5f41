//! Splits, duplicates, class folders, annotations and augmentation.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{fs, path::Path, sync::Arc};

use annotations::Annotations;
use geometry::{BoundingBox, Crop};
use image::RgbImage;
use image_input::DecodeOptions;
use mask_data::{
    Augmentation, AugmentedSample, DUPLICATE_HASH_DISTANCE, DatasetError, ImageCache, LabeledSet,
    LoaderConfig, Sample, SplitFile, Warp, class_folders, find_duplicates, grouped_split, inspect,
    load_samples, seed,
};
use proptest::prelude::*;
use rand::RngExt;
use serde_json::Value;

/// An image of smooth random patches: no two numbers look alike.
fn patches(number: u32, width: u32, height: u32) -> RgbImage {
    let mut rng = seed::generator(seed::Purpose::Order, number.into(), 0, 0);
    let grid = RgbImage::from_fn(9, 7, |_, _| image::Rgb([0; 3].map(|_| rng.random())));
    image::imageops::resize(&grid, width, height, image::imageops::FilterType::Triangle)
}

fn write_set(root: &Path, classes: &[(&str, &[u32])]) {
    for (class, numbers) in classes {
        fs::create_dir_all(root.join(class)).unwrap();
        for number in *numbers {
            patches(*number, 90, 70).save(root.join(class).join(format!("{number}.png"))).unwrap();
        }
    }
}

fn scanned(root: &Path, tolerated: f64) -> Result<mask_data::InspectedSet, DatasetError> {
    let set = class_folders(root)?;
    set.check(root, 2)?;
    inspect(root, set, &DecodeOptions::default(), tolerated, &|| ())
}

#[test]
fn warps_equal_scipys() {
    let recorded: Value = serde_json::from_str(include_str!("fixtures/warp.json")).unwrap();
    let numbers = |value: &Value| -> Vec<f64> {
        value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
    };
    let side = recorded["side"].as_u64().unwrap() as u32;
    let pixels = numbers(&recorded["picture"]).into_iter().map(|value| value as u8).collect();
    let image = RgbImage::from_raw(side, side, pixels).unwrap();
    for case in recorded["cases"].as_array().unwrap() {
        let pair = |key: &str| <[f64; 2]>::try_from(numbers(&case[key])).unwrap();
        let warp = Warp {
            rotation: case["rotation"].as_f64().unwrap(),
            shift: pair("shift"),
            shear: case["shear"].as_f64().unwrap(),
            zoom: pair("zoom"),
            mirrored: case["mirrored"].as_bool().unwrap(),
        };
        let warped = warp.apply(&image, BoundingBox::of_image((side, side).into()), side);
        for (found, expected) in warped.as_raw().iter().zip(numbers(&case["warped"])) {
            // Half a step of rounding, and a hundredth of the recording's.
            assert!(
                (f64::from(*found) - expected).abs() < 0.52,
                "{warp:?}: {found}, not {expected}"
            );
        }
    }
}

#[test]
fn a_region_is_cut_out() {
    let image = patches(5, 60, 40);
    let region = BoundingBox { x_min: 10.0, y_min: 4.0, x_max: 34.0, y_max: 28.0 };
    let cut = Warp::default().apply(&image, region, 24);
    assert_eq!(cut, image::imageops::crop_imm(&image, 10, 4, 24, 24).to_image());
}

#[test]
fn margins_show_more_of_the_image_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.png");
    let image = patches(5, 60, 40);
    image.save(&file).unwrap();
    let region = Some(BoundingBox { x_min: 10.0, y_min: 20.0, x_max: 30.0, y_max: 40.0 });
    let samples = Arc::new(vec![Sample { image: file, region, class: 0 }]);
    let cache = Arc::new(ImageCache::new(DecodeOptions::default(), 0));
    let augmentation = Augmentation::none();
    let settings = LoaderConfig {
        side: 24,
        crop: Crop { margin: 0.1, square: false },
        augmentation,
        seed: 0,
        batch_size: 1,
    };
    let views = vec![AugmentedSample { sample: 0, epoch: 0, overlay: None }];
    let shown = load_samples(samples, cache, settings, views).recv().unwrap().unwrap();
    // Two pixels on each side, but below, where the image ends.
    let grown = BoundingBox { x_min: 8.0, y_min: 18.0, x_max: 32.0, y_max: 40.0 };
    assert_eq!(shown, [Warp::default().apply(&image, grown, 24)]);
}

#[test]
fn augmentation_depends_on_seed_epoch_and_index_alone() {
    let folder = tempfile::tempdir().unwrap();
    write_set(folder.path(), &[("a", &[1, 2, 3, 4, 5]), ("b", &[6, 7, 8, 9])]);
    let set = class_folders(folder.path()).unwrap();
    let samples = Arc::new(set.samples);
    let all = Augmentation {
        brightness: 0.3,
        contrast: 0.3,
        blur: 1.0,
        low_resolution: 12,
        jpeg_quality: 30,
        occlusion: 0.5,
        ..Augmentation::default()
    };
    let load = |order: &[usize], batch: usize, threads: usize, seed: u64, epoch: u64| {
        let views = order
            .iter()
            .map(|sample| AugmentedSample { sample: *sample, epoch, overlay: None })
            .collect();
        let cache = Arc::new(ImageCache::new(DecodeOptions::default(), 1 << 20));
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let augmentation = all.clone();
        let settings =
            LoaderConfig { side: 48, crop: Crop::default(), augmentation, seed, batch_size: batch };
        pool.install(|| {
            let views = load_samples(Arc::clone(&samples), cache, settings, views);
            views.into_iter().flat_map(Result::unwrap).collect::<Vec<_>>()
        })
    };
    let plain = load(&[0, 1, 2, 3, 4, 5, 6, 7, 8], 4, 1, 1, 0);
    let mut backwards = load(&[8, 7, 6, 5, 4, 3, 2, 1, 0], 2, 2, 1, 0);
    backwards.reverse();
    assert_eq!(plain, backwards);
    assert_ne!(plain[0], load(&[0], 1, 1, 2, 0)[0]);
    assert_ne!(plain[0], load(&[0], 1, 1, 1, 1)[0]);
    assert_eq!(load(&[0], 1, 1, 1, 0)[0], plain[0]);
}

#[test]
fn copies_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_set(root, &[("a", &[1, 2, 3, 4, 5, 6]), ("b", &[11, 12, 13])]);
    // An exact copy with the other label, a smaller one, a mirrored one, and a JPEG.
    fs::copy(root.join("a/1.png"), root.join("b/exact.png")).unwrap();
    patches(2, 45, 35).save(root.join("a/small.png")).unwrap();
    image::imageops::flip_horizontal(&patches(3, 90, 70))
        .save(root.join("a/mirrored.png"))
        .unwrap();
    patches(4, 90, 70).save(root.join("a/stored.jpg")).unwrap();
    let scanned = scanned(root, 0.0).unwrap();
    let copies = find_duplicates(&scanned, DUPLICATE_HASH_DISTANCE);
    let name = |index: usize| {
        let path = &scanned.set.samples[index].image;
        path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/")
    };
    let mut found: Vec<_> = copies.pairs.iter().map(|p| (name(p.first), name(p.second))).collect();
    assert_eq!(found[0], ("a/1.png".to_owned(), "b/exact.png".to_owned()));
    assert!(copies.pairs[0].exact && copies.pairs[0].label_conflict);
    found.sort();
    let expected =
        [("a/1", "b/exact"), ("a/2", "a/small"), ("a/3", "a/mirrored"), ("a/4", "a/stored")];
    let found: Vec<_> = found.iter().map(|(a, b)| (stem(a), stem(b))).collect();
    assert_eq!(found, expected);
}

fn stem(name: &str) -> &str {
    name.split_once('.').unwrap().0
}

#[test]
fn a_set_that_cannot_be_used_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let message = |root: &Path| scanned(root, 0.2).unwrap_err().to_string();
    assert!(message(&root.join("absent")).contains("no such folder"));
    assert!(message(root).contains("no class folders"));
    write_set(root, &[("a", &[1, 2, 3])]);
    assert!(message(root).contains("only one class, `a`"));
    fs::create_dir(root.join("b")).unwrap();
    assert!(message(root).contains("class `b` has no images"));
    fs::write(root.join("b/broken.jpg"), "nothing").unwrap();
    assert!(message(root).contains("none of the 1 files of class `b` can be read"));
    write_set(root, &[("b", &[4])]);
    // One of five is unreadable, as tolerated; two of six are more.
    let set = scanned(root, 0.2).unwrap();
    assert_eq!((set.set.samples.len(), set.unreadable.len()), (4, 1));
    fs::write(root.join("a/empty.png"), "").unwrap();
    assert!(message(root).contains("2 of 6 files cannot be read, more than 20 %"));
}

#[test]
fn extensions_do_not_matter_and_hidden_files_are_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_set(root, &[("a", &[1]), ("b", &[2])]);
    fs::rename(root.join("a/1.png"), root.join("a/image.txt")).unwrap();
    fs::write(root.join("a/.DS_Store"), "x").unwrap();
    let set = scanned(root, 0.0).unwrap();
    assert_eq!(set.set.support(), [1, 1]);
}

#[test]
fn annotations_become_samples() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::create_dir(root.join("images")).unwrap();
    fs::create_dir(root.join("annotations")).unwrap();
    patches(1, 90, 70).save(root.join("images/one.png")).unwrap();
    let object = |class: &str, difficult: u8, bounds: [i32; 4]| {
        let [a, b, c, d] = bounds;
        format!(
            "<object><name>{class}</name><difficult>{difficult}</difficult><bndbox><xmin>{a}</xmin>\
             <ymin>{b}</ymin><xmax>{c}</xmax><ymax>{d}</ymax></bndbox></object>"
        )
    };
    let objects = [
        object("no", 0, [10, 20, 30, 40]),
        object("yes", 0, [40, 20, 60, 50]),
        object("yes", 1, [1, 1, 9, 9]),
        object("no", 0, [5, 5, 5, 9]),
    ];
    let text = format!("<annotation><filename>x</filename>{}</annotation>", objects.concat());
    fs::write(root.join("annotations/one.xml"), text).unwrap();
    let annotations = Annotations::find(root).unwrap();
    let read = annotations.read().unwrap();
    assert_eq!(read.dropped.len(), 1);
    assert!(read.dropped[0].contains("one.xml: the box 5 5 5 9 of a `no` has no area"));
    let images = read.images;
    let set = LabeledSet::annotated(&images, false);
    assert_eq!(set.classes, ["no", "yes"]);
    let bounds = BoundingBox { x_min: 10.0, y_min: 20.0, x_max: 30.0, y_max: 40.0 };
    assert_eq!(set.samples[0].region, Some(bounds));
    assert_eq!(set.support(), [1, 1]);
    let all = LabeledSet::annotated(&images, true);
    assert_eq!(all.support(), [1, 2]);
    fs::write(root.join("annotations/two.xml"), "<annotation><object/></annotation>").unwrap();
    let error = annotations.read().unwrap_err().to_string();
    assert!(error.contains("two.xml") && error.contains("an object without a name"), "{error}");
}

#[test]
fn a_split_survives_being_written_down() {
    let root = Path::new("images");
    let sample = |name: &str, class| Sample { image: root.join(name), region: None, class };
    let set = LabeledSet {
        classes: vec!["a".to_owned(), "b".to_owned()],
        samples: vec![sample("a/1", 0), sample("a/2", 0), sample("b/1", 1), sample("b/2", 1)],
    };
    let split = mask_data::Split { train: vec![0, 3], validation: vec![1, 2] };
    let written = SplitFile::new(&set, root, &split);
    let file = Path::new("split.json");
    assert_eq!(written.apply(&set, root, file).unwrap(), split);
    let both = SplitFile { validation: written.train.clone(), ..written.clone() };
    assert!(
        both.apply(&set, root, file).unwrap_err().to_string().contains("again under validation")
    );
    let absent = SplitFile { validation: vec!["a/9".to_owned()], ..written };
    assert!(absent.apply(&set, root, file).unwrap_err().to_string().contains("names `a/9`"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn splits_keep_groups_whole_and_classes_in_proportion(
        samples in prop::collection::vec((0..3_usize, 0..60_usize), 1..200),
        fraction in 0.05..0.6_f64,
        seed in any::<u64>(),
    ) {
        // Groups of one class each: its number is a part of the group's.
        let classes: Vec<usize> = samples.iter().map(|(class, _)| *class).collect();
        let groups: Vec<usize> = samples.iter().map(|(class, group)| 3 * group + class).collect();
        let split = grouped_split(&classes, &groups, fraction, seed);
        prop_assert_eq!(&split, &grouped_split(&classes, &groups, fraction, seed));
        let mut all: Vec<usize> = split.train.iter().chain(&split.validation).copied().collect();
        all.sort_unstable();
        prop_assert_eq!(all, (0..samples.len()).collect::<Vec<_>>());
        for validation in &split.validation {
            for train in &split.train {
                prop_assert_ne!(groups[*validation], groups[*train]);
            }
        }
        for class in 0..3 {
            let size = |group: usize| groups.iter().filter(|other| **other == group).count();
            let of_class = |samples: &[usize]| samples.iter().filter(|s| classes[**s] == class).count();
            let total = classes.iter().filter(|other| **other == class).count();
            let largest = (0..60).map(|group| size(3 * group + class)).max().unwrap_or(0);
            let wanted = fraction * total as f64;
            let missed = (of_class(&split.validation) as f64 - wanted).abs();
            prop_assert!(missed <= largest as f64, "{missed} of class {class}, groups to {largest}");
        }
    }

    #[test]
    fn generators_differ_by_purpose_epoch_and_index(seed in any::<u64>(), a in 0..1000_u64, b in 0..1000_u64) {
        let draw = |purpose, epoch, index| -> u64 { seed::generator(purpose, seed, epoch, index).random() };
        prop_assert_ne!(draw(seed::Purpose::Order, a, b), draw(seed::Purpose::Augmentation, a, b));
        if a != b {
            prop_assert_ne!(draw(seed::Purpose::Order, a, b), draw(seed::Purpose::Order, b, a));
        }
    }
}
