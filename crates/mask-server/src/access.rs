//! Who may ask.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::{ServerError, problem::Problem, server::Service};

/// The header of a key beside `Authorization: Bearer`.
const KEY_HEADER: HeaderName = HeaderName::from_static("x-api-key");
/// The parameter of a key where a browser can send no header: WebSockets.
const KEY_PARAMETER: &str = "key=";

/// API keys, as digests, so that comparing them takes the same time whatever is right of them.
pub(crate) struct Keys(Vec<[u8; 32]>);

impl Keys {
    pub(crate) fn new(keys: &[String]) -> Self {
        Self(keys.iter().map(|key| digest(key.as_bytes())).collect())
    }

    fn allow(&self, key: &[u8]) -> bool {
        let given = digest(key);
        let known = self.0.iter().map(|known| known.ct_eq(&given));
        known.fold(Choice::from(0), |any, same| any | same).into()
    }
}

fn digest(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

/// Lets a request through that carries a key, or any where none is asked for.
pub(crate) async fn check(
    State(service): State<Service>,
    request: Request,
    next: Next,
) -> Response {
    let keys = &service.keys;
    let allowed = keys.0.is_empty()
        || key_of(request.headers(), request.uri().query()).is_some_and(|key| keys.allow(&key));
    if allowed {
        return next.run(request).await;
    }
    let message = "send an API key: Authorization: Bearer KEY, or X-Api-Key: KEY";
    Problem::new(StatusCode::UNAUTHORIZED, message).into_response()
}

fn key_of(headers: &HeaderMap, query: Option<&str>) -> Option<Vec<u8>> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| {
        let (scheme, key) = value.as_bytes().split_at_checked(b"bearer ".len())?;
        scheme.eq_ignore_ascii_case(b"bearer ").then_some(key)
    });
    let key = bearer.or_else(|| headers.get(KEY_HEADER).map(HeaderValue::as_bytes));
    let is_upgrade = headers.contains_key(header::UPGRADE);
    let parameter = || query?.split('&').find_map(|pair| pair.strip_prefix(KEY_PARAMETER));
    match key {
        Some(key) => Some(key.to_vec()),
        None if is_upgrade => parameter().map(|key| key.as_bytes().to_vec()),
        None => None,
    }
}

/// For pages of other origins.
///
/// # Errors
/// If one is none.
pub(crate) fn cors(origins: &[String]) -> Result<CorsLayer, ServerError> {
    let layer = CorsLayer::new().allow_methods([Method::GET, Method::POST]).allow_headers([
        header::AUTHORIZATION,
        header::CONTENT_TYPE,
        KEY_HEADER,
    ]);
    if origins.iter().any(|origin| origin == "*") {
        return Ok(layer.allow_origin(tower_http::cors::Any));
    }
    let value = |origin: &String| {
        let named = origin.starts_with("http://") || origin.starts_with("https://");
        let plain = named && !origin.ends_with('/');
        HeaderValue::from_str(origin).ok().filter(|_| plain).ok_or_else(|| {
            ServerError::Config(format!("{origin} is no origin; give https://HOST or *"))
        })
    };
    let origins: Result<Vec<HeaderValue>, ServerError> = origins.iter().map(value).collect();
    Ok(layer.allow_origin(AllowOrigin::list(origins?)))
}
