//! Which samples an epoch of a classifier's training has.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use burn::tensor::Device;
use mask_data::{Dataset, DatasetConfig, Overlay, Split};
use mask_training::{ClassifierSettings, CropImages};

/// Folders of a data set each: the first has many images of one class.
fn write(root: &Path) -> Vec<std::path::PathBuf> {
    let sets = [("one", "common", 16), ("one", "rare", 1), ("two", "rare", 3)];
    for (set, class, count) in sets {
        let folder = root.join(set).join(class);
        std::fs::create_dir_all(&folder).unwrap();
        for number in 0..count {
            let image = image::RgbImage::from_fn(32, 32, |x, y| {
                let shade = (x * (number + 3) + y * 7 * (number + 1) + class.len() as u32) % 256;
                image::Rgb([shade as u8, (number * 15) as u8, (x * y) as u8])
            });
            image.save(folder.join(format!("{set}{number}.png"))).unwrap();
        }
    }
    vec![root.join("one"), root.join("two")]
}

#[test]
fn rare_classes_are_drawn_more_often_than_they_occur() {
    let folder = tempfile::tempdir().unwrap();
    let roots = write(folder.path());
    let config = DatasetConfig { duplicate_distance: 0, ..DatasetConfig::default() };
    let data = Dataset::open_all(&roots, &config, &|| ()).unwrap();
    assert_eq!(
        (data.set.classes.as_slice(), data.root.as_path()),
        (&["common".to_owned(), "rare".to_owned()][..], folder.path())
    );
    assert_eq!(data.set.support(), [16, 4]);
    let split = Split { train: (0..20).collect(), validation: vec![0, 19] };
    let share = |power: f64| {
        let mut settings = ClassifierSettings { class_power: power, ..Default::default() };
        settings.training.samples_per_epoch = 4000;
        let images = CropImages::new(&data, &split, &settings, 0, &Device::flex()).unwrap();
        let drawn = images.draw(3);
        assert_eq!(drawn, images.draw(3));
        assert_ne!(drawn, images.draw(4));
        let rare = drawn.iter().filter(|sample| sample.class == 1).count();
        rare as f64 / drawn.len() as f64
    };
    // 4 of 20, 2 of 6, 1 of 2; the deviation of 4000 draws is below 0.008.
    for (power, wanted) in [(1.0, 0.2), (0.5, 1.0 / 3.0), (0.0, 0.5)] {
        assert!((share(power) - wanted).abs() < 0.03, "{power}: {}", share(power));
    }
}

/// Four photographs of a bare face each, three of a masked one.
fn write_boxes(root: &Path) {
    let folders = ["images", "annotations"].map(|name| root.join(name));
    folders.iter().for_each(|folder| std::fs::create_dir_all(folder).unwrap());
    for number in 0..7_u32 {
        let class = if number < 4 { "without_mask" } else { "with_mask" };
        let image = image::RgbImage::from_fn(64, 64, |x, y| {
            image::Rgb([(x * (number + 2)) as u8, (y * (number + 5)) as u8, (number * 30) as u8])
        });
        image.save(folders[0].join(format!("{number}.png"))).unwrap();
        let annotation = format!(
            "<annotation><filename>{number}.png</filename><object><name>{class}</name><bndbox>\
             <xmin>8</xmin><ymin>8</ymin><xmax>56</xmax><ymax>56</ymax></bndbox></object></annotation>"
        );
        std::fs::write(folders[1].join(format!("{number}.xml")), annotation).unwrap();
    }
}

#[test]
fn masks_are_drawn_on_bare_faces_alone_and_make_the_class() {
    let folder = tempfile::tempdir().unwrap();
    write_boxes(folder.path());
    let config = DatasetConfig { duplicate_distance: 0, ..DatasetConfig::default() };
    let data = Dataset::open_all(&[folder.path().into()], &config, &|| ()).unwrap();
    let split = Split { train: (0..7).collect(), validation: vec![0] };
    let mut settings = ClassifierSettings { drawn_masks: 0.3, ..Default::default() };
    settings.training.samples_per_epoch = 4000;
    settings.drawn_distractors = 0.2;
    let images = CropImages::new(&data, &split, &settings, 0, &Device::flex()).unwrap();
    let drawn = images.draw(0);
    let name = |class: usize| data.set.classes[class].as_str();
    let (mut masks, mut all) = (0, 0);
    for shown in &drawn {
        let photographed = name(data.set.samples[shown.sample].class);
        all += usize::from(name(shown.class) == "with_mask");
        match shown.overlay {
            Some(Overlay::Mask) => {
                masks += 1;
                assert_eq!((photographed, name(shown.class)), ("without_mask", "with_mask"));
            }
            other => {
                assert_eq!(photographed, name(shown.class));
                assert!(other.is_none_or(|other| Overlay::DISTRACTORS.contains(&other)));
            }
        }
    }
    let share = f64::from(masks) / all as f64;
    assert!((share - 0.3).abs() < 0.04, "{share}");
}
