//! One detector, shared between threads.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use image_input::{DecodeOptions, ImageView, PixelFormat, decode_file};
use mask_detector::{FaceDetection, MaskDetector};
use mask_tests::{IMAGES, root};

#[test]
fn eight_threads_get_the_results_of_one() {
    let detector = MaskDetector::builder().build().unwrap();
    let images = IMAGES.map(|name| {
        let file = root().join(format!("examples/{name}.jpg"));
        decode_file(&file, &DecodeOptions::default()).unwrap().image
    });
    // Sizes of their own, so that threads meet with different layouts.
    let small = images.each_ref().map(|image| {
        let size = image.width() * 3 / 4;
        image::imageops::thumbnail(image, size, size)
    });
    let all: Vec<_> = images.iter().chain(&small).collect();
    let one: Vec<Vec<FaceDetection>> =
        all.iter().map(|image| detector.detect(*image).unwrap()).collect();
    assert!(one.iter().all(|faces| faces.len() == 1));
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (detector, all, one) = (&detector, &all, &one);
            scope.spawn(move || {
                for turn in 0..4 {
                    let at = (thread + turn) % all.len();
                    assert_eq!(detector.detect(all[at]).unwrap(), one[at]);
                }
            });
        }
    });
    let views: Vec<ImageView<'_>> = all.iter().map(|image| ImageView::from(*image)).collect();
    assert_eq!(detector.detect_batch(&views).unwrap(), one);
    detector.trim();
    assert_eq!(detector.detect(all[0]).unwrap(), one[0]);
}

#[test]
fn every_order_of_pixels_gives_the_same_faces() {
    let detector = MaskDetector::builder().build().unwrap();
    let file = root().join("examples/astronaut_masked.jpg");
    let image = decode_file(&file, &DecodeOptions::default()).unwrap().image;
    let expected = detector.detect(&image).unwrap();
    assert_eq!(expected[0].label(), "with_mask");
    let bgr: Vec<u8> = image.pixels().flat_map(|p| [p.0[2], p.0[1], p.0[0]]).collect();
    let size = image.dimensions();
    let view = ImageView::packed(&bgr, size, PixelFormat::Bgr).unwrap();
    assert_eq!(detector.detect(view).unwrap(), expected);
    let stride = 4 * size.0 as usize + 3;
    let mut padded = vec![0; stride * size.1 as usize];
    for (row, pixels) in padded.chunks_mut(stride).zip(image.rows()) {
        for (to, pixel) in row.chunks_mut(4).zip(pixels) {
            to[..3].copy_from_slice(&pixel.0);
        }
    }
    let view = ImageView::new(&padded, size, PixelFormat::Rgba, stride).unwrap();
    assert_eq!(detector.detect(view).unwrap(), expected);
    assert_eq!(detector.detect_bytes(&std::fs::read(file).unwrap()).unwrap(), expected);
    assert!(detector.detect_bytes(b"not an image").is_err());
}
