//! Which samples an epoch of a classifier's training has.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use burn::tensor::Device;
use mask_data::{Dataset, DatasetConfig, Split};
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
        let rare = drawn.iter().filter(|sample| data.set.samples[**sample].class == 1).count();
        rare as f64 / drawn.len() as f64
    };
    // 4 of 20, 2 of 6, 1 of 2; the deviation of 4000 draws is below 0.008.
    for (power, wanted) in [(1.0, 0.2), (0.5, 1.0 / 3.0), (0.0, 0.5)] {
        assert!((share(power) - wanted).abs() < 0.03, "{power}: {}", share(power));
    }
}
