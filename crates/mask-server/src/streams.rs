//! `/v1/streams`: how watched streams do, what they show, and what happened in them.

use std::convert::Infallible;

use axum::{
    Json,
    body::{Body, Bytes},
    extract::{
        Path, Query, State, WebSocketUpgrade,
        ws::{Message, WebSocket, rejection::WebSocketUpgradeRejection},
    },
    http::{StatusCode, header},
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use detection_schema::EventRecord;
use futures_util::{
    Stream,
    stream::{self, StreamExt},
};
use mask_stream::{History, PastCount, PastEvent};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{broadcast::error::RecvError, watch},
    task::spawn_blocking,
};
use utoipa::{IntoParams, ToSchema};

use crate::{
    cameras::{Camera, CameraStatus},
    problem::{Problem, ProblemBody},
    server::Service,
};

/// Events and counts that are sent if a request does not say how many, and at most.
const MOST: (u32, u32) = (100, 10_000);
/// What lies between two pictures.
const BOUNDARY: &str = "picture";

/// How much is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct HowMuch {
    /// The newest so many.
    #[param(minimum = 1, maximum = 10_000)]
    limit: Option<u32>,
}

impl HowMuch {
    fn limit(&self) -> Result<u32, Problem> {
        match self.limit.unwrap_or(MOST.0) {
            limit if (1..=MOST.1).contains(&limit) => Ok(limit),
            limit => Err(Problem::bad_request(format!(
                "limit={limit}: give a number from 1 to {}",
                MOST.1
            ))),
        }
    }
}

/// An event, and when it happened.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StreamEvent {
    /// When, RFC 3339 in UTC; only where there is a database.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    #[serde(flatten)]
    event: EventRecord,
}

/// People of a class over an interval.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StreamCount {
    /// When the interval began, RFC 3339 in UTC.
    begins: String,
    /// Its length in seconds.
    seconds: f64,
    /// The class.
    label: String,
    /// People in a frame, on average.
    mean: f64,
    /// The most people in a frame.
    most: u64,
}

/// The streams that are watched.
#[utoipa::path(get, path = "/v1/streams", tag = "streams", responses(
    (status = 200, description = "how each does", body = Vec<CameraStatus>),
    (status = 401, description = "no valid API key", body = ProblemBody),
), security((), ("key" = [])))]
pub(crate) async fn all(State(service): State<Service>) -> Json<Vec<CameraStatus>> {
    Json(service.cameras.all().iter().map(|camera| camera.status()).collect())
}

/// One of them.
#[utoipa::path(get, path = "/v1/streams/{name}", tag = "streams", params(("name" = String, Path, description = "its name")), responses(
    (status = 200, description = "how it does", body = CameraStatus),
    (status = 401, description = "no valid API key", body = ProblemBody),
    (status = 404, description = "there is no such stream", body = ProblemBody),
), security((), ("key" = [])))]
pub(crate) async fn one(
    State(service): State<Service>,
    Path(name): Path<String>,
) -> Result<Json<CameraStatus>, Problem> {
    Ok(Json(camera(&service, &name)?.status()))
}

fn camera<'a>(service: &'a Service, name: &str) -> Result<&'a Camera, Problem> {
    let camera = service.cameras.of(name).map(AsRef::as_ref);
    camera.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "there is no stream of this name"))
}

/// What happened last, the newest first.
#[utoipa::path(get, path = "/v1/streams/{name}/events", tag = "streams", params(("name" = String, Path, description = "its name"), HowMuch), responses(
    (status = 200, description = "events, from the database where there is one", body = Vec<StreamEvent>),
    (status = 400, description = "the request has no sense", body = ProblemBody),
    (status = 401, description = "no valid API key", body = ProblemBody),
    (status = 404, description = "there is no such stream", body = ProblemBody),
    (status = 503, description = "the database cannot be read now", body = ProblemBody),
), security((), ("key" = [])))]
pub(crate) async fn events(
    State(service): State<Service>,
    Path(name): Path<String>,
    how_much: Result<Query<HowMuch>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Vec<StreamEvent>>, Problem> {
    let limit = of_query(how_much)?.limit()?;
    let camera = camera(&service, &name)?;
    if service.cameras.history().is_none() {
        let events = camera.last_events(limit as usize).into_iter();
        return Ok(Json(events.map(|event| StreamEvent { at: None, event }).collect()));
    }
    let events = past(&service, move |history| history.events(&name, limit)).await?;
    let events =
        events.into_iter().map(|PastEvent { at, event }| StreamEvent { at: Some(at), event });
    Ok(Json(events.collect()))
}

/// How many people there were, by interval and class, the newest first.
#[utoipa::path(get, path = "/v1/streams/{name}/counts", tag = "streams", params(("name" = String, Path, description = "its name"), HowMuch), responses(
    (status = 200, description = "counts from the database; none where there is no database", body = Vec<StreamCount>),
    (status = 400, description = "the request has no sense", body = ProblemBody),
    (status = 401, description = "no valid API key", body = ProblemBody),
    (status = 404, description = "there is no such stream", body = ProblemBody),
    (status = 503, description = "the database cannot be read now", body = ProblemBody),
), security((), ("key" = [])))]
pub(crate) async fn counts(
    State(service): State<Service>,
    Path(name): Path<String>,
    how_much: Result<Query<HowMuch>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Vec<StreamCount>>, Problem> {
    let limit = of_query(how_much)?.limit()?;
    camera(&service, &name)?;
    if service.cameras.history().is_none() {
        return Ok(Json(Vec::new()));
    }
    let counts = past(&service, move |history| history.counts(&name, limit)).await?;
    let count = |PastCount { begins, seconds, label, mean, most }| StreamCount {
        begins,
        seconds,
        label,
        mean,
        most,
    };
    Ok(Json(counts.into_iter().map(count).collect()))
}

fn of_query<T>(
    query: Result<Query<T>, axum::extract::rejection::QueryRejection>,
) -> Result<T, Problem> {
    query.map(|Query(query)| query).map_err(|error| Problem::bad_request(error.body_text()))
}

/// What a database has.
async fn past<T: Send + 'static>(
    service: &Service,
    ask: impl FnOnce(&History) -> Result<Vec<T>, mask_stream::StreamError> + Send + 'static,
) -> Result<Vec<T>, Problem> {
    let Some(path) = service.cameras.history().cloned() else { return Ok(Vec::new()) };
    let read = spawn_blocking(move || ask(&History::open(&path)?)).await;
    match read {
        Ok(Ok(rows)) => Ok(rows),
        Ok(Err(error)) => {
            tracing::warn!("the database cannot be read: {error}");
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the database cannot be read now"))
        }
        Err(_) => Err(Problem::failed()),
    }
}

/// The stream's drawn frames, for an `img`: motion JPEG.
pub(crate) async fn mjpeg(
    State(service): State<Service>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let pictures = pictures(camera(&service, &name)?.pictures(), service.stopping.clone());
    let parts = pictures.map(|picture| {
        let head = format!(
            "--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n",
            picture.len()
        );
        Ok::<_, Infallible>(Bytes::from([head.as_bytes(), &picture, b"\r\n"].concat()))
    });
    let kind = format!("multipart/x-mixed-replace; boundary={BOUNDARY}");
    Ok(([(header::CONTENT_TYPE, kind)], Body::from_stream(parts)).into_response())
}

/// The stream's drawn frames, over a WebSocket: each binary message is a JPEG.
pub(crate) async fn frames(
    State(service): State<Service>,
    Path(name): Path<String>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|error| Problem::bad_request(error.body_text()))?;
    let pictures = pictures(camera(&service, &name)?.pictures(), service.stopping.clone());
    Ok(upgrade.on_upgrade(move |socket| show(socket, pictures)))
}

async fn show(mut socket: WebSocket, pictures: impl Stream<Item = Bytes>) {
    let mut pictures = std::pin::pin!(pictures);
    loop {
        tokio::select! {
            picture = pictures.next() => {
                let Some(picture) = picture else { break };
                if socket.send(Message::Binary(picture)).await.is_err() {
                    return;
                }
            }
            // Nothing is expected but that it closes.
            message = socket.recv() => match message {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
        }
    }
    let _ = socket.send(Message::Close(None)).await;
}

/// Pictures as they come, of which a slow reader misses some, until the server stops.
fn pictures(
    pictures: watch::Receiver<Option<Bytes>>,
    stopping: watch::Receiver<bool>,
) -> impl Stream<Item = Bytes> {
    let stop = async move {
        let mut stopping = stopping;
        // Where nobody could stop it any more, it is over, too.
        let _ = stopping.wait_for(|stopping| *stopping).await.map(|_| ());
    };
    let pictures = stream::unfold(pictures, async |mut pictures| {
        loop {
            pictures.changed().await.ok()?;
            let picture = pictures.borrow_and_update().clone();
            if let Some(picture) = picture {
                return Some((picture, pictures));
            }
        }
    });
    pictures.take_until(stop)
}

/// Events of all streams as they happen: server-sent events.
pub(crate) async fn told(State(service): State<Service>) -> Response {
    let mut stopping = service.stopping.clone();
    let stop = async move {
        let _ = stopping.wait_for(|stopping| *stopping).await.map(|_| ());
    };
    let streams = service.cameras.all().iter().map(|camera| {
        let events = stream::unfold(camera.events(), async |mut events| {
            loop {
                match events.recv().await {
                    Ok(event) => return Some((event, events)),
                    // Who is too slow misses the oldest.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                }
            }
        });
        events.boxed()
    });
    let events = stream::select_all(streams).map(|event| Event::default().json_data(event));
    Sse::new(events.take_until(stop)).keep_alive(KeepAlive::default()).into_response()
}
