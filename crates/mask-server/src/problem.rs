//! What is wrong with a request, as its sender hears it.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use image_input::DecodeError;
use serde::Serialize;
use utoipa::ToSchema;

/// Seconds after which somebody who was refused may ask again.
const RETRY_AFTER: u32 = 1;

/// Why a request has no other answer.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
}

/// The body of such an answer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody {
    /// What is wrong, for people.
    error: String,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// There is no room for it now.
    pub(crate) fn busy(message: impl Into<String>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, message)
    }

    /// It was not done in time.
    pub(crate) fn late() -> Self {
        let message = "not done in time, for there is too much to do; try again later";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }

    /// A fault of the server.
    pub(crate) fn failed() -> Self {
        let message = "a fault of the server; its log has more";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }

    /// What is wrong with an image.
    pub(crate) fn image(error: &DecodeError) -> Self {
        let status = match error {
            DecodeError::Empty => StatusCode::BAD_REQUEST,
            DecodeError::NotAnImage | DecodeError::Other(_) | DecodeError::Unsupported(_) => {
                StatusCode::UNSUPPORTED_MEDIA_TYPE
            }
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        let message = match error {
            DecodeError::TooLarge { width, height, limit } => format!(
                "{width} x {height} pixels are more than {} million; send a smaller image",
                limit / 1_000_000
            ),
            DecodeError::Empty => "there is no image in it".to_owned(),
            error => error.to_string(),
        };
        Self::new(status, message)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(ProblemBody { error: self.message })).into_response();
        let again = [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE];
        if again.contains(&self.status) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}
