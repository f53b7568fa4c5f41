//! `/v1/live`: frames of a browser's camera in, results out, always of the newest frame.

use std::{sync::Arc, time::Instant};

use axum::{
    body::Bytes,
    extract::{
        Query, State, WebSocketUpgrade,
        ws::{Message, WebSocket, rejection::WebSocketUpgradeRejection},
    },
    response::Response,
};
use detection_schema::FrameRecord;
use futures_util::{SinkExt, StreamExt};
use image_input::decode;
use mask_detector::FaceDetection;
use mask_stream::{Analysis, AnalysisConfig};
use mask_track::TrackerConfig;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, watch},
    task::spawn_blocking,
    time::timeout,
};

use crate::{problem::Problem, server::Service};

/// What the frames' results call their source.
const SOURCE: &str = "live";
/// Results that wait to be sent.
const RESULTS: usize = 4;

/// What is asked for.
#[derive(Debug, Deserialize)]
pub(crate) struct LiveParameters {
    min_confidence: Option<f64>,
}

/// The newest frame and its number.
type Newest = Option<(u64, Bytes)>;

/// A frame that cannot be used.
#[derive(Serialize)]
struct FrameError {
    frame: u64,
    error: String,
}

/// A WebSocket: each binary message is an encoded frame, each text that comes back the record of one. Frames that
/// come while another is looked at are dropped, but for the newest.
pub(crate) async fn live(
    State(service): State<Service>,
    Query(parameters): Query<LiveParameters>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|error| Problem::bad_request(error.body_text()))?;
    let confidence = service.confidence(parameters.min_confidence)?;
    let full = |_| Problem::busy("there are too many cameras; try again later");
    let place = Arc::clone(&service.live).try_acquire_owned().map_err(full)?;
    let most = service.config.limits.body_bytes;
    let upgrade = upgrade.max_message_size(most).max_frame_size(most);
    Ok(upgrade.on_upgrade(move |socket| talk(socket, service, confidence, place)))
}

async fn talk(socket: WebSocket, service: Service, confidence: f32, place: OwnedSemaphorePermit) {
    service.metrics.live_sessions.inc();
    let (mut to_browser, mut from_browser) = socket.split();
    let (newest, frames) = watch::channel(Newest::None);
    let (results, mut answers) = mpsc::channel(RESULTS);
    let works = service.clone();
    let worker = spawn_blocking(move || look(&works, confidence, frames, &results));
    let mut stopping = service.stopping.clone();
    let patience = service.config.limits.receive;
    let mut number = 0;
    loop {
        tokio::select! {
            answer = answers.recv() => {
                let Some(text) = answer else { break };
                if to_browser.send(Message::text(text)).await.is_err() {
                    break;
                }
            }
            message = timeout(patience, from_browser.next()) => match message {
                Ok(Some(Ok(Message::Binary(bytes)))) => {
                    newest.send_replace(Some((number, bytes)));
                    number += 1;
                }
                Ok(Some(Ok(Message::Text(_) | Message::Ping(_) | Message::Pong(_)))) => {}
                // Gone, silent for long, or broken.
                _ => break,
            },
            () = stopped(&mut stopping) => break,
        }
    }
    drop((newest, answers));
    let _ = to_browser.send(Message::Close(None)).await;
    // It ends with the frame that it looks at.
    let _ = worker.await;
    service.metrics.live_sessions.dec();
    drop(place);
}

async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // Where nobody could stop it any more, it is over, too.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// Looks at the newest frame until there will be none.
fn look(
    service: &Service,
    confidence: f32,
    mut frames: watch::Receiver<Newest>,
    results: &mpsc::Sender<String>,
) {
    let tracker = TrackerConfig::from_confidence(confidence);
    let config = AnalysisConfig { tracker, ..AnalysisConfig::default() };
    let mut analysis = Analysis::new(Arc::clone(service.engine.detector()), config);
    let (begun, mut next) = (Instant::now(), 0);
    let runtime = tokio::runtime::Handle::current();
    while runtime.block_on(frames.changed()).is_ok() {
        let Some((frame, bytes)) = frames.borrow_and_update().clone() else { continue };
        service.metrics.live_dropped.inc_by(frame - next);
        service.metrics.live_frames.inc();
        next = frame + 1;
        let time = begun.elapsed().as_secs_f64();
        let decoded = decode(&bytes, None, &service.config.limits.decode);
        let found = decoded.map_err(|error| error.to_string()).and_then(|decoded| {
            let faces =
                analysis.process(&decoded.image, time).map_err(|error| error.to_string())?;
            Ok((decoded.image.dimensions(), faces))
        });
        let text = match found {
            Ok(((width, height), faces)) => serde_json::to_string(&FrameRecord {
                source: SOURCE.to_owned(),
                frame,
                time,
                width,
                height,
                faces: faces.iter().map(FaceDetection::to_record).collect(),
                events: Vec::new(),
            }),
            Err(error) => serde_json::to_string(&FrameError { frame, error }),
        };
        let Ok(text) = text else { return };
        if results.blocking_send(text).is_err() {
            return;
        }
    }
}
