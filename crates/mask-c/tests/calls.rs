//! What C may call, and with what it should not.
#![allow(clippy::unwrap_used, clippy::panic, unsafe_code, reason = "tests; pointers as C has them")]

use std::{ffi::CStr, ptr, slice};

use mask_detector_c::{
    MaskDetections, MaskDetector, MaskFace, MaskOptions, MaskPixelFormat, MaskStatus,
    mask_detections_count, mask_detections_faces, mask_detections_free, mask_detections_height,
    mask_detections_json, mask_detections_probabilities, mask_detections_width,
    mask_detector_class_count, mask_detector_class_name, mask_detector_detect_encoded,
    mask_detector_detect_file, mask_detector_detect_pixels, mask_detector_free, mask_detector_new,
    mask_last_error, mask_options,
};

const PHOTO: &[u8] = include_bytes!("../../../examples/astronaut_masked.jpg");

fn last_error() -> String {
    unsafe { CStr::from_ptr(mask_last_error()) }.to_str().unwrap().to_owned()
}

fn load(options: &MaskOptions) -> Result<*mut MaskDetector, (MaskStatus, String)> {
    let mut detector = ptr::null_mut();
    match unsafe { mask_detector_new(options, &raw mut detector) } {
        MaskStatus::Ok => Ok(detector),
        status => Err((status, last_error())),
    }
}

/// The faces of what a call found, and the JSON of it.
fn faces(detections: *mut MaskDetections) -> (Vec<MaskFace>, String) {
    unsafe {
        let count = mask_detections_count(detections);
        let faces = slice::from_raw_parts(mask_detections_faces(detections), count).to_vec();
        let json = CStr::from_ptr(mask_detections_json(detections)).to_str().unwrap().to_owned();
        mask_detections_free(detections);
        (faces, json)
    }
}

#[test]
fn files_bytes_and_pixels_have_the_faces_of_the_library() {
    let detector = load(&mask_options()).unwrap();
    let expected = mask_detector::MaskDetector::builder().build().unwrap();
    let expected = expected.detect_bytes(PHOTO).unwrap();
    let mut found = ptr::null_mut();
    let status = unsafe {
        mask_detector_detect_encoded(detector, PHOTO.as_ptr(), PHOTO.len(), &raw mut found)
    };
    assert_eq!((status, last_error().as_str()), (MaskStatus::Ok, ""));
    unsafe {
        assert_eq!((mask_detections_width(found), mask_detections_height(found)), (512, 512));
        let classes = mask_detector_class_count(detector);
        let probabilities = slice::from_raw_parts(mask_detections_probabilities(found, 0), classes);
        assert_eq!(probabilities, expected[0].probabilities);
        assert!(mask_detections_probabilities(found, 1).is_null());
        let label = mask_detector_class_name(detector, expected[0].class);
        assert_eq!(CStr::from_ptr(label).to_str().unwrap(), "with_mask");
        assert!(mask_detector_class_name(detector, classes).is_null());
    }
    let (encoded, _) = faces(found);
    let [face] = encoded[..] else { panic!("{encoded:?}") };
    let bbox = expected[0].bbox;
    assert_eq!(
        [face.x_min, face.y_min, face.x_max, face.y_max],
        [bbox.x_min, bbox.y_min, bbox.x_max, bbox.y_max]
    );
    assert_eq!(
        (face.confidence, face.class_index as usize),
        (expected[0].score, expected[0].class)
    );
    assert_eq!(face.class_probability, expected[0].label_probability());

    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/astronaut_masked.jpg\0");
    let status =
        unsafe { mask_detector_detect_file(detector, path.as_ptr().cast(), &raw mut found) };
    assert_eq!(status, MaskStatus::Ok);
    let (file, json) = faces(found);
    assert!(file == encoded && json.contains("with_mask") && json.contains("astronaut_masked.jpg"));

    // Blue first, with an alpha that is ignored and a gap after each row.
    let options = image_input::DecodeOptions::default();
    let image = image_input::decode(PHOTO, None, &options).unwrap().image;
    let mut bgra = Vec::new();
    for row in image.rows() {
        row.for_each(|pixel| bgra.extend([pixel.0[2], pixel.0[1], pixel.0[0], 77]));
        bgra.extend([3; 12]);
    }
    let status = unsafe {
        let (pixels, format) = (bgra.as_ptr(), MaskPixelFormat::Bgra as u32);
        mask_detector_detect_pixels(
            detector,
            pixels,
            512,
            512,
            4 * 512 + 12,
            format,
            &raw mut found,
        )
    };
    assert_eq!((status, faces(found).0), (MaskStatus::Ok, encoded));
    unsafe { mask_detector_free(detector) };
}

#[test]
fn what_is_wrong_is_said_and_nothing_happens() {
    let device =
        |text: &'static str| MaskOptions { device: text.as_ptr().cast(), ..mask_options() };
    let refused = |options: MaskOptions| load(&options).unwrap_err();
    let (status, words) = refused(device("tpu\0"));
    assert_eq!(status, MaskStatus::InvalidArgument);
    assert!(words.contains("device") && words.contains("auto, cpu"), "{words}");
    assert_eq!(refused(device("\u{ff}\0")).0, MaskStatus::InvalidArgument);
    let head = MaskOptions { head: c"absent.bpk".as_ptr(), ..mask_options() };
    assert_eq!(refused(head).0, MaskStatus::Detector);
    for min_confidence in [-0.1, 1.5, f32::NAN] {
        let (status, words) = refused(MaskOptions { min_confidence, ..mask_options() });
        assert_eq!(status, MaskStatus::InvalidArgument);
        assert!(words.contains("mask_options()"), "{words}");
    }
    assert_eq!(
        unsafe { mask_detector_new(ptr::null(), ptr::null_mut()) },
        MaskStatus::InvalidArgument
    );

    let detector = load(&MaskOptions { threads: 1, ..mask_options() }).unwrap();
    let mut found = ptr::null_mut();
    let encoded = |detector: *const MaskDetector, bytes: *const u8, length, found: *mut _| unsafe {
        mask_detector_detect_encoded(detector, bytes, length, found)
    };
    assert_eq!(
        encoded(ptr::null(), PHOTO.as_ptr(), 9, &raw mut found),
        MaskStatus::InvalidArgument
    );
    assert_eq!(encoded(detector, ptr::null(), 9, &raw mut found), MaskStatus::InvalidArgument);
    assert_eq!(encoded(detector, PHOTO.as_ptr(), 9, ptr::null_mut()), MaskStatus::InvalidArgument);
    assert_eq!(last_error(), "detections is null");
    assert_eq!(
        encoded(detector, c"no image".as_ptr().cast(), 8, &raw mut found),
        MaskStatus::Image
    );
    assert_eq!(last_error(), "not an image: unknown format");
    let file =
        unsafe { mask_detector_detect_file(detector, c"absent.jpg".as_ptr(), &raw mut found) };
    assert_eq!(file, MaskStatus::Image);
    assert!(last_error().starts_with("absent.jpg: "), "{}", last_error());
    let mut pixels = |width, height, stride, format| unsafe {
        mask_detector_detect_pixels(
            detector,
            PHOTO.as_ptr(),
            width,
            height,
            stride,
            format,
            &raw mut found,
        )
    };
    for (width, height, stride, format) in [
        (0, 5, 9, 0),
        (5, 0, 15, 0),
        (5, 5, 14, 0),
        (5, 5, 15, 9),
        (u32::MAX, u32::MAX, usize::MAX, 0),
    ] {
        assert_eq!(pixels(width, height, stride, format), MaskStatus::InvalidArgument);
    }
    assert!(found.is_null());
    unsafe {
        mask_detections_free(ptr::null_mut());
        mask_detector_free(ptr::null_mut());
        assert_eq!(mask_detections_count(ptr::null()), 0);
        assert_eq!(mask_detector_class_count(ptr::null()), 0);
        mask_detector_free(detector);
    }
}
