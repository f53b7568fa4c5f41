//! The description of the service in OpenAPI.

use axum::Json;
use utoipa::{
    Modify, OpenApi,
    openapi::security::{ApiKey, ApiKeyValue, SecurityScheme},
};

use crate::{detect, health, info, streams};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Face-mask detector",
        description = "Finds the faces in images and says for each whether it wears a mask.",
    ),
    paths(
        detect::detect,
        info::info,
        streams::all,
        streams::one,
        streams::counts,
        streams::events,
        health::healthz,
        health::readyz,
        health::metrics,
    ),
    modifiers(&Keys),
)]
struct Description;

struct Keys;

impl Modify for Keys {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-Api-Key")));
        api.components.get_or_insert_default().add_security_scheme("key", scheme);
    }
}

/// `/openapi.json`.
pub(crate) async fn json() -> Json<utoipa::openapi::OpenApi> {
    Json(Description::openapi())
}
