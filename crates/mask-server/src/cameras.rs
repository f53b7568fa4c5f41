//! Streams that are watched beside the service, by whoever started it, and what is told of them.

use std::{
    collections::{BTreeMap, VecDeque},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::body::Bytes;
use detection_schema::EventRecord;
use image::RgbImage;
use serde::Serialize;
use tokio::sync::{broadcast, watch};
use utoipa::ToSchema;

use crate::answer::encode_jpeg;

/// Quality of the pictures that are shown, 1 to 100.
const JPEG_QUALITY: u8 = 80;
/// No more pictures are made than one in this time.
const BETWEEN_PICTURES: Duration = Duration::from_millis(80);
/// Events that are kept, and that wait for each who listens.
const EVENTS: usize = 200;
/// Over which time frames are counted.
const RATE_TIME: Duration = Duration::from_secs(5);

/// Streams that are watched.
#[derive(Clone)]
pub struct Cameras {
    cameras: Arc<[Arc<Camera>]>,
    history: Option<Arc<Path>>,
}

/// A stream that is watched.
pub struct Camera {
    name: String,
    classes: Arc<[String]>,
    state: Mutex<State>,
    pictures: watch::Sender<Option<Bytes>>,
    events: broadcast::Sender<EventRecord>,
}

struct State {
    status: CameraStatus,
    times: VecDeque<Instant>,
    pictured: Option<Instant>,
    events: VecDeque<EventRecord>,
}

/// How a stream does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum CameraCondition {
    /// It has not shown a frame.
    Starting,
    /// It shows frames.
    Live,
    /// It is looked for again.
    Lost,
    /// It is over.
    Ended,
}

/// What is known of a stream now.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CameraStatus {
    /// Its name.
    name: String,
    /// How it does.
    condition: CameraCondition,
    /// Why it is lost or over.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Frames that were looked at.
    frames: u64,
    /// Frames a second that are looked at.
    rate: f64,
    /// Frames that newer ones replaced.
    dropped: u64,
    /// How old the last frame was when it was done with, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    age_ms: Option<u64>,
    /// Of each class those who are there.
    present: BTreeMap<String, u64>,
    /// Of each class how many different people there were.
    people: BTreeMap<String, u64>,
}

/// What a frame of a stream showed.
#[derive(Debug, Clone, Copy)]
pub struct CameraFrame<'a> {
    /// Of each class those who are there.
    pub present: &'a [u64],
    /// Of each class how many different people there were.
    pub people: &'a [u64],
    /// Frames so far that newer ones replaced.
    pub dropped: u64,
    /// How old it is; `None` of files.
    pub age: Option<Duration>,
}

impl Cameras {
    /// Streams of these names; `history` is the database that they are recorded in.
    pub fn new(names: &[String], classes: &Arc<[String]>, history: Option<PathBuf>) -> Self {
        let camera = |name: &String| Arc::new(Camera::new(name, classes));
        Self { cameras: names.iter().map(camera).collect(), history: history.map(Into::into) }
    }

    /// The stream of a name.
    pub fn of(&self, name: &str) -> Option<&Arc<Camera>> {
        self.cameras.iter().find(|camera| camera.name == name)
    }

    pub(crate) fn all(&self) -> &[Arc<Camera>] {
        &self.cameras
    }

    pub(crate) fn history(&self) -> Option<&Arc<Path>> {
        self.history.as_ref()
    }
}

impl Camera {
    fn new(name: &str, classes: &Arc<[String]>) -> Self {
        let nobody: BTreeMap<String, u64> =
            classes.iter().map(|class| (class.clone(), 0)).collect();
        let status = CameraStatus {
            name: name.to_owned(),
            condition: CameraCondition::Starting,
            reason: None,
            frames: 0,
            rate: 0.0,
            dropped: 0,
            age_ms: None,
            present: nobody.clone(),
            people: nobody,
        };
        Self {
            name: name.to_owned(),
            classes: Arc::clone(classes),
            state: Mutex::new(State {
                status,
                times: VecDeque::new(),
                pictured: None,
                events: VecDeque::new(),
            }),
            pictures: watch::Sender::new(None),
            events: broadcast::Sender::new(EVENTS),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what a frame showed.
    pub fn frame(&self, frame: CameraFrame<'_>) {
        let named =
            |counts: &[u64]| self.classes.iter().cloned().zip(counts.iter().copied()).collect();
        let mut state = self.state();
        state.times.push_back(Instant::now());
        let status = &mut state.status;
        (status.condition, status.reason) = (CameraCondition::Live, None);
        status.frames += 1;
        status.dropped = frame.dropped;
        status.age_ms = frame.age.map(|age| age.as_millis() as u64);
        (status.present, status.people) = (named(frame.present), named(frame.people));
    }

    /// Takes how the stream does.
    pub fn is(&self, condition: CameraCondition, reason: Option<String>) {
        let mut state = self.state();
        (state.status.condition, state.status.reason) = (condition, reason);
        // Nobody is seen there now.
        state.status.present.values_mut().for_each(|count| *count = 0);
    }

    /// Whether somebody wants to see a picture now.
    pub fn wants_picture(&self) -> bool {
        let due = |shown: Instant| shown.elapsed() >= BETWEEN_PICTURES;
        self.pictures.receiver_count() > 0 && self.state().pictured.is_none_or(due)
    }

    /// Shows a drawn frame to all who look.
    pub fn picture(&self, picture: &RgbImage) {
        self.state().pictured = Some(Instant::now());
        // An image that is no image of JPEG's has nothing to show.
        if let Ok(bytes) = encode_jpeg(picture, JPEG_QUALITY) {
            self.pictures.send_replace(Some(bytes.into()));
        }
    }

    /// Takes something that happened.
    pub fn event(&self, event: &EventRecord) {
        let mut state = self.state();
        if state.events.len() == EVENTS {
            state.events.pop_front();
        }
        state.events.push_back(event.clone());
        drop(state);
        // Nobody may listen.
        let _ = self.events.send(event.clone());
    }

    pub(crate) fn status(&self) -> CameraStatus {
        let mut state = self.state();
        while state.times.front().is_some_and(|time| time.elapsed() > RATE_TIME) {
            state.times.pop_front();
        }
        let rate = state.times.len() as f64 / RATE_TIME.as_secs_f64();
        state.status.rate = (rate * 10.0).round() / 10.0;
        state.status.clone()
    }

    /// The last events, the newest first.
    pub(crate) fn last_events(&self, most: usize) -> Vec<EventRecord> {
        self.state().events.iter().rev().take(most).cloned().collect()
    }

    pub(crate) fn pictures(&self) -> watch::Receiver<Option<Bytes>> {
        let mut pictures = self.pictures.subscribe();
        // What was shown before is old.
        pictures.mark_unchanged();
        pictures
    }

    pub(crate) fn events(&self) -> broadcast::Receiver<EventRecord> {
        self.events.subscribe()
    }
}
