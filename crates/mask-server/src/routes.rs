//! What is answered where.

use std::{net::SocketAddr, time::Instant};

use axum::{
    Router,
    extract::{ConnectInfo, MatchedPath, Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use tower_http::{catch_panic::CatchPanicLayer, set_header::SetResponseHeaderLayer};

use crate::{
    ServerError, access, detect, health, info, live, openapi, page, problem::Problem,
    server::Service, streams,
};

/// All routes of a server.
///
/// # Errors
/// If an origin of CORS is none.
pub(crate) fn router(service: Service) -> Result<Router, ServerError> {
    let with_key = Router::new()
        .route("/v1/detect", post(detect::detect))
        .route("/v1/live", get(live::live))
        .route("/v1/streams", get(streams::all))
        .route("/v1/streams/{name}", get(streams::one))
        .route("/v1/streams/{name}/counts", get(streams::counts))
        .route("/v1/streams/{name}/events", get(streams::events))
        .route("/v1/streams/{name}/frames", get(streams::frames))
        .route("/v1/streams/{name}/mjpeg", get(streams::mjpeg))
        .route("/v1/events", get(streams::told))
        .route("/metrics", get(health::metrics))
        .route_layer(from_fn_with_state(service.clone(), access::check));
    let open = Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/v1/info", get(info::info))
        .route("/openapi.json", get(openapi::json))
        .route("/", get(page::index))
        .route("/api", get(page::api))
        .route("/cameras", get(page::cameras))
        .route("/page/{name}", get(page::file));
    let mut router =
        open.merge(with_key).fallback(nothing_here).method_not_allowed_fallback(other_method);
    if !service.config.cors.is_empty() {
        router = router.layer(access::cors(&service.config.cors)?);
    }
    let no_sniff = HeaderValue::from_static("nosniff");
    Ok(router
        .layer(SetResponseHeaderLayer::overriding(header::X_CONTENT_TYPE_OPTIONS, no_sniff))
        .layer(CatchPanicLayer::custom(|_| Problem::failed().into_response()))
        .layer(from_fn_with_state(service.clone(), observe))
        .with_state(service))
}

async fn nothing_here() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "there is nothing here; see /api")
}

async fn other_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "not with this method; see /api")
}

/// A line and a count for every request.
async fn observe(
    State(service): State<Service>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    let begun = Instant::now();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let response = next.run(request).await;
    let (status, time) = (response.status().as_u16(), begun.elapsed());
    // Paths that are not there are as many as somebody likes.
    service.metrics.request(route.as_deref().unwrap_or("other"), method.as_str(), status, time);
    let milliseconds = (time.as_secs_f64() * 1e4).round() / 10.0;
    tracing::info!(%client, %method, path, status, ms = milliseconds, "request");
    response
}
