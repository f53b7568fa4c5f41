//! The page, whose files are in the program.

use axum::{
    extract::Path,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};

use crate::problem::Problem;

/// Nothing but what comes from here, and what the page itself makes.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; \
                      media-src 'self' blob:; connect-src 'self'; form-action 'none'; base-uri 'none'; \
                      frame-ancestors 'none'";

/// A file of the page, its media type and its bytes.
struct File(&'static str, &'static str, &'static [u8]);

macro_rules! files {
    ($($name:literal $kind:literal),*) => {
        [$(File($name, $kind, include_bytes!(concat!("../page/", $name)))),*]
    };
}

static FILES: [File; 9] = files!(
    "index.html" "text/html; charset=utf-8",
    "style.css" "text/css; charset=utf-8",
    "app.js" "text/javascript; charset=utf-8",
    "camera.js" "text/javascript; charset=utf-8",
    "cameras.html" "text/html; charset=utf-8",
    "cameras.js" "text/javascript; charset=utf-8",
    "results.js" "text/javascript; charset=utf-8",
    "api.html" "text/html; charset=utf-8",
    "api.js" "text/javascript; charset=utf-8"
);

/// `/`.
pub(crate) async fn index(headers: HeaderMap) -> Response {
    send("index.html", &headers)
}

/// `/api`: what `/openapi.json` says, for people.
pub(crate) async fn api(headers: HeaderMap) -> Response {
    send("api.html", &headers)
}

/// `/cameras`: the streams that are watched.
pub(crate) async fn cameras(headers: HeaderMap) -> Response {
    send("cameras.html", &headers)
}

/// `/page/...`.
pub(crate) async fn file(Path(name): Path<String>, headers: HeaderMap) -> Response {
    send(&name, &headers)
}

fn send(name: &str, headers: &HeaderMap) -> Response {
    let Some(File(_, kind, bytes)) = FILES.iter().find(|File(known, ..)| *known == name) else {
        return Problem::new(StatusCode::NOT_FOUND, "there is no such page").into_response();
    };
    let digest = Sha256::digest(bytes);
    let tag =
        digest[..8].iter().fold(String::from("\""), |tag, byte| format!("{tag}{byte:02x}")) + "\"";
    let same =
        headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut response = match same {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => (*bytes).into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, *kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-cache"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(header::ETAG, tag);
    }
    response
}
