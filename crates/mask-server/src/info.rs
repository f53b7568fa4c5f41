//! What a page must know before it asks.

use axum::{Json, extract::State};
use detection_schema::class_color;
use serde::Serialize;
use utoipa::ToSchema;

use crate::server::Service;

/// A class of the classifier.
#[derive(Debug, Serialize, ToSchema)]
struct Class {
    /// Its name.
    name: String,
    /// The colour that it is drawn in: red, green, blue.
    color: [u8; 3],
}

/// What the server does if a request does not say, and what it takes.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Info {
    /// Version of the program.
    version: &'static str,
    /// The classes, in the order of probabilities.
    classes: Vec<Class>,
    /// The confidence from which on faces are reported.
    min_confidence: f32,
    /// The least confidence that a request may ask for.
    least_confidence: f32,
    /// Bytes of the largest body.
    max_body_bytes: usize,
    /// Pixels of the largest image.
    max_pixels: u64,
    /// Whether requests must carry an API key.
    api_key: bool,
    /// Streams that are watched.
    streams: usize,
}

/// What the server does and takes.
#[utoipa::path(get, path = "/v1/info", tag = "detect", responses((status = 200, description = "classes, defaults and limits", body = Info)))]
pub(crate) async fn info(State(service): State<Service>) -> Json<Info> {
    let names = service.engine.detector().classes();
    let class = |name: &String| Class { name: name.clone(), color: class_color(names, name) };
    Json(Info {
        version: env!("CARGO_PKG_VERSION"),
        classes: names.iter().map(class).collect(),
        min_confidence: service.config.min_confidence,
        least_confidence: service.least_confidence(),
        max_body_bytes: service.config.limits.body_bytes,
        max_pixels: service.config.limits.decode.max_pixels,
        api_key: !service.config.api_keys.is_empty(),
        streams: service.cameras.all().len(),
    })
}
