//! Results as they are sent: the schema of `mask-cli detect`, or an image.

use std::io::Cursor;

use axum::{
    Json,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use detection_schema::{ImageRecord, Outcome};
use image::{ImageFormat, RgbImage, codecs::jpeg::JpegEncoder};
use mask_detector::{Annotator, FaceDetection, JPEG_QUALITY, blur_faces};

use crate::{engine::Searched, parameters::Wanted, problem::Problem};

/// The record of an image that was searched.
pub(crate) fn record(name: String, searched: Searched) -> ImageRecord {
    let (width, height) = searched.image.dimensions();
    let faces = searched.faces.iter().map(FaceDetection::to_record).collect();
    let outcome = Outcome::Faces { width, height, faces, warning: searched.warning, drawn: None };
    ImageRecord { image: name, outcome }
}

/// The record of an image that could not be used.
pub(crate) fn failed(name: String, problem: Problem) -> ImageRecord {
    ImageRecord { image: name, outcome: Outcome::Failed { error: problem.message } }
}

/// One answer a record: an array, or a line each where that is asked for.
pub(crate) fn records(records: &[ImageRecord], headers: &HeaderMap) -> Response {
    if !accepts(headers, "application/x-ndjson") {
        return Json(records).into_response();
    }
    let mut lines = Vec::new();
    for record in records {
        // Writing into memory cannot fail, and records are made of what JSON has.
        let _ = serde_json::to_writer(&mut lines, record);
        lines.push(b'\n');
    }
    ([(header::CONTENT_TYPE, "application/x-ndjson")], lines).into_response()
}

/// An image with its faces drawn or made unrecognisable, as PNG or JPEG.
pub(crate) fn image(
    searched: Searched,
    wanted: &Wanted,
    annotator: &Annotator,
    png: bool,
) -> Result<Response, Problem> {
    let Searched { mut image, faces, regions, place: _place, .. } = searched;
    if wanted.blur {
        blur_faces(&mut image, regions);
    }
    if wanted.draw {
        annotator.draw(&mut image, &faces);
    }
    let (kind, bytes) = match png {
        true => ("image/png", encode_png(&image)),
        false => ("image/jpeg", encode_jpeg(&image, JPEG_QUALITY)),
    };
    let bytes = bytes.map_err(|error| {
        let message = format!("the image cannot be written: {error}");
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, message)
    })?;
    Ok(([(header::CONTENT_TYPE, kind)], bytes).into_response())
}

fn encode_png(image: &RgbImage) -> image::ImageResult<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Png)?;
    Ok(bytes.into_inner())
}

pub(crate) fn encode_jpeg(image: &RgbImage, quality: u8) -> image::ImageResult<Vec<u8>> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality).encode_image(image)?;
    Ok(bytes)
}

/// Whether a request asks for a media type by its name.
pub(crate) fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|part| {
        part.split(';').next().is_some_and(|name| name.trim().eq_ignore_ascii_case(media_type))
    })
}
