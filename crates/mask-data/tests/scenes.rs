//! Samples of scenes: boxes against the pixels themselves, what is left out, and repeatability.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{fs, sync::Arc};

use geometry::BoundingBox;
use image::{Rgb, RgbImage};
use image_input::DecodeOptions;
use mask_data::{
    DatasetConfig, ImageCache, Placement, Scene, SceneAugmentation, SceneLoader, SceneSet, seed,
};

const FILL: [u8; 3] = [123, 177, 104];

fn bbox(x_min: f32, y_min: f32, x_max: f32, y_max: f32) -> BoundingBox {
    BoundingBox { x_min, y_min, x_max, y_max }
}

/// Changes of place alone.
fn places() -> SceneAugmentation {
    let mut augmentation = SceneAugmentation::default();
    (augmentation.brightness, augmentation.contrast, augmentation.color) = (0.0, 0.0, 0.0);
    (augmentation.grey, augmentation.blurred, augmentation.stored) = (0.0, 0.0, 0.0);
    augmentation
}

#[test]
fn boxes_are_where_the_pixels_are() {
    // A red ellipse in its box, on blue.
    let face = bbox(60.0, 30.0, 110.0, 105.0);
    let image = RgbImage::from_fn(160, 140, |x, y| {
        let across = (x as f32 + 0.5 - 85.0) / 25.0;
        let down = (y as f32 + 0.5 - 67.5) / 37.5;
        if across * across + down * down < 1.0 { Rgb([255, 0, 0]) } else { Rgb([0, 0, 255]) }
    });
    let scene = Scene { image: "none".into(), faces: vec![face], ignored: Vec::new() };
    let mut seen = 0;
    for number in 0..200 {
        let mut rng = seed::generator(seed::Purpose::Augmentation, 1, 0, number);
        let sample = places().apply(&scene, &image, 96, FILL, &mut rng);
        let red = |x: u32, y: u32| {
            sample.image.get_pixel(x, y).0[0] > 127 && sample.image.get_pixel(x, y).0[2] < 100
        };
        let pixels: Vec<(u32, u32)> =
            (0..96 * 96).map(|at| (at % 96, at / 96)).filter(|(x, y)| red(*x, *y)).collect();
        let Some(found) = sample.faces.first() else { continue };
        let most = |of: fn(&(u32, u32)) -> u32| pixels.iter().map(of).max().unwrap() as f32 + 1.0;
        let least = |of: fn(&(u32, u32)) -> u32| pixels.iter().map(of).min().unwrap() as f32;
        let painted = bbox(least(|p| p.0), least(|p| p.1), most(|p| p.0), most(|p| p.1));
        // Within a pixel's edge, unless the ellipse ends in a corner that holds no pixel's centre.
        let far = |a: f32, b: f32| (a - b).abs() > 2.0;
        let off = [
            (painted.x_min, found.x_min),
            (painted.y_min, found.y_min),
            (painted.x_max, found.x_max),
            (painted.y_max, found.y_max),
        ];
        let cut =
            found.x_min == 0.0 || found.y_min == 0.0 || found.x_max == 96.0 || found.y_max == 96.0;
        assert!(cut || !off.iter().any(|(a, b)| far(*a, *b)), "{number}: {painted:?} {found:?}");
        seen += usize::from(!cut);
    }
    assert!(seen > 80, "{seen}");
}

#[test]
fn without_rotation_a_box_is_that_of_its_warped_corners() {
    let placement = Placement { matrix: [[-1.7, 0.0], [0.0, 0.6]], offset: [90.0, -3.0] };
    let face = bbox(20.0, 10.0, 41.0, 33.0);
    let found = placement.face(&face);
    // The corners of what was found lie on the corners in the image, mirrored.
    let corner = |x: f32, y: f32| placement.source([x.into(), y.into()]).map(|v| v as f32);
    let near = |a: [f32; 2], b: [f32; 2]| (a[0] - b[0]).abs() < 1e-3 && (a[1] - b[1]).abs() < 1e-3;
    assert!(near(corner(found.x_min, found.y_min), [face.x_max, face.y_min]));
    assert!(near(corner(found.x_max, found.y_max), [face.x_min, face.y_max]));
}

#[test]
fn what_is_outside_is_filled_and_what_is_hardly_visible_is_ignored() {
    let image = RgbImage::from_pixel(40, 40, Rgb([9, 9, 9]));
    let placement = Placement { matrix: [[1.0, 0.0], [0.0, 1.0]], offset: [-30.0, -30.0] };
    let fetched = placement.fetch(&image, 64, FILL);
    assert_eq!(fetched.get_pixel(0, 0).0, FILL);
    assert_eq!(fetched.get_pixel(29, 63).0, FILL);
    assert_eq!(fetched.get_pixel(30, 30).0, [9; 3]);

    let scene = Scene {
        image: "none".into(),
        faces: vec![bbox(2.0, 2.0, 20.0, 20.0), bbox(25.0, 25.0, 38.0, 38.0)],
        ignored: vec![bbox(5.0, 20.0, 15.0, 35.0)],
    };
    let mut kinds = [0; 3];
    for number in 0..100 {
        let mut rng = seed::generator(seed::Purpose::Augmentation, 2, 0, number);
        let sample = places().apply(&scene, &image, 64, FILL, &mut rng);
        for face in &sample.faces {
            assert!(face.width().max(face.height()) >= places().min_side);
            assert!(face.x_min >= 0.0 && face.x_max <= 64.0);
        }
        kinds[0] += sample.faces.len();
        kinds[1] += sample.ignored.len();
        kinds[2] += usize::from(sample.faces.len() + sample.ignored.len() < 3);
    }
    assert!(kinds.iter().all(|count| *count > 10), "{kinds:?}");
}

fn write(root: &std::path::Path, name: &str, boxes: &[(&str, [i32; 4], bool)]) {
    let image = RgbImage::from_fn(48, 40, |x, y| {
        let seed = name.bytes().map(u32::from).sum::<u32>();
        Rgb([(x * seed) as u8, (y * 5 + seed) as u8, ((x ^ y) * 7) as u8])
    });
    fs::create_dir_all(root.join("images")).unwrap();
    fs::create_dir_all(root.join("annotations")).unwrap();
    image.save(root.join("images").join(format!("{name}.png"))).unwrap();
    let objects: String = boxes
        .iter()
        .map(|(class, [a, b, c, d], difficult)| {
            format!(
                "<object><name>{class}</name><difficult>{}</difficult><bndbox><xmin>{a}</xmin>\
                 <ymin>{b}</ymin><xmax>{c}</xmax><ymax>{d}</ymax></bndbox></object>",
                u8::from(*difficult)
            )
        })
        .collect();
    let text = format!("<annotation>{objects}</annotation>");
    fs::write(root.join("annotations").join(format!("{name}.xml")), text).unwrap();
}

#[test]
fn sets_are_read_divided_and_sampled_the_same_on_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let roots = ["one", "two"].map(|name| folder.path().join(name));
    for (at, root) in roots.iter().enumerate() {
        for name in ["a", "bb", "ccc", "dddd"] {
            let name = format!("{name}{at}");
            write(root, &name, &[("x", [5, 5, 20, 22], false), ("y", [30, 8, 41, 20], true)]);
        }
    }
    let config = DatasetConfig { duplicate_distance: 0, ..DatasetConfig::default() };
    let set = SceneSet::open(&roots, &config, &|| ()).unwrap();
    assert_eq!((set.scenes.len(), set.root.as_path()), (8, folder.path()));
    assert_eq!((set.scenes[0].faces.len(), set.scenes[0].ignored.len()), (1, 1));
    let split = set.split(0.25, 3).unwrap();
    assert_eq!((split.train.len(), split.validation.len()), (6, 2));

    let cache = Arc::new(ImageCache::new(DecodeOptions::default(), 1 << 20));
    let augmentation = SceneAugmentation::default();
    let loader = SceneLoader::new(set.scenes.clone(), cache, augmentation, FILL, 7).unwrap();
    let samples = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| loader.samples(2, 5, 8, 64).unwrap())
    };
    let one = samples(1);
    assert_eq!(one, samples(3));
    assert_ne!(one, loader.samples(3, 5, 8, 64).unwrap());
    // The same numbers are the same samples, however they are asked for.
    assert_eq!(one[3..5], loader.samples(2, 8, 2, 64).unwrap());
}

#[test]
fn what_cannot_be_learned_from_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("set");
    let open = || {
        let roots = [root.clone()];
        SceneSet::open(&roots, &DatasetConfig::default(), &|| ()).unwrap_err().to_string()
    };
    assert!(open().contains("no such folder"));
    fs::create_dir(&root).unwrap();
    assert!(open().contains("no face in it"));
    write(&root, "a", &[]);
    assert!(open().contains("no face in it"));
    write(&root, "a", &[("x", [50, 5, 60, 22], false)]);
    let message = open();
    assert!(
        message.contains("a.xml: the box 50 5 60 22 of a `x` has no area in the image of 48 x 40"),
        "{message}"
    );
    write(&root, "a", &[("x", [20, 5, 20, 22], false)]);
    assert!(open().contains("has no area"));
}
