//! What a request may ask for in its query.

use axum::{
    extract::{FromRequestParts, Query},
    http::request::Parts,
};
use mask_detector::FaceDetection;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{problem::Problem, server::Service};

/// What is asked for.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Parameters {
    /// Answer with the image with its faces drawn, as PNG where `Accept` asks for it, else as JPEG.
    #[serde(default)]
    pub(crate) draw: bool,
    /// Answer with the image with its faces made unrecognisable.
    #[serde(default)]
    pub(crate) blur: bool,
    /// Least confidence of a face.
    #[param(minimum = 0.2, maximum = 1.0)]
    pub(crate) min_confidence: Option<f64>,
    /// Leave out faces whose longer side has fewer pixels.
    #[serde(default)]
    #[param(minimum = 0, maximum = 65535)]
    pub(crate) min_face: u16,
    /// Only faces of these classes, separated by commas.
    #[serde(default)]
    only: String,
}

/// The parameters of a request to a server, in its bounds.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) draw: bool,
    pub(crate) blur: bool,
    pub(crate) min_confidence: f32,
    min_face: f32,
    only: Vec<String>,
}

impl Wanted {
    /// Whether an image is the answer.
    pub(crate) fn is_image(&self) -> bool {
        self.draw || self.blur
    }

    /// Leaves the faces that are asked for.
    pub(crate) fn select(&self, faces: &mut Vec<FaceDetection>) {
        faces.retain(|face| {
            let side = face.bbox.width().max(face.bbox.height());
            let is_of = |class: &String| class == face.label();
            side >= self.min_face && (self.only.is_empty() || self.only.iter().any(is_of))
        });
    }
}

impl FromRequestParts<Service> for Wanted {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, service: &Service) -> Result<Self, Problem> {
        let Query(parameters) = Query::<Parameters>::try_from_uri(&parts.uri)
            .map_err(|error| Problem::bad_request(error.body_text()))?;
        let Parameters { draw, blur, min_confidence, min_face, only } = parameters;
        let classes = service.engine.detector().classes();
        let only: Vec<String> =
            only.split(',').filter(|class| !class.is_empty()).map(str::to_owned).collect();
        if let Some(class) = only.iter().find(|class| !classes.contains(class)) {
            let classes = classes.join(", ");
            return Err(Problem::bad_request(format!("only={class}: the classes are {classes}")));
        }
        let min_confidence = service.confidence(min_confidence)?;
        Ok(Self { draw, blur, min_confidence, min_face: min_face.into(), only })
    }
}
