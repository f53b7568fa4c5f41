//! Whether the server is there, and how it does.

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::{
    problem::{Problem, ProblemBody},
    server::Service,
};

/// That it is there.
#[utoipa::path(get, path = "/healthz", tag = "health", responses((status = 200, description = "it is there", body = String)))]
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether it takes requests.
#[utoipa::path(get, path = "/readyz", tag = "health", responses(
    (status = 200, description = "it takes requests", body = String),
    (status = 503, description = "it is being stopped, or full", body = ProblemBody),
))]
pub(crate) async fn readyz(State(service): State<Service>) -> Response {
    let unavailable =
        |why: &str| Problem::new(StatusCode::SERVICE_UNAVAILABLE, why).into_response();
    if *service.stopping.borrow() {
        return unavailable("it is being stopped");
    }
    if service.room.taken() >= service.config.limits.queue {
        return unavailable("there is too much to do");
    }
    "ok\n".into_response()
}

/// Figures for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "health", responses(
    (status = 200, description = "figures", body = String, content_type = "application/openmetrics-text"),
    (status = 401, description = "no valid API key", body = ProblemBody),
), security((), ("key" = [])))]
pub(crate) async fn metrics(State(service): State<Service>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], service.metrics.text(service.room.taken())).into_response()
}
