//! Figures for Prometheus.

use std::{sync::atomic::AtomicU64, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

/// What a request is counted by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    /// As the router has it, so that there are few.
    path: String,
    method: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    path: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Class {
    class: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Image {
    outcome: ImageOutcome,
}

/// What became of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum ImageOutcome {
    /// It was searched.
    Done,
    /// It was not.
    Failed,
}

/// Counters and histograms of a server.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Request, Counter>,
    seconds: Family<Route, Histogram>,
    faces: Family<Class, Counter>,
    images: Family<Image, Counter>,
    queue: Gauge<i64>,
    pub(crate) live_sessions: Gauge,
    pub(crate) live_frames: Counter<u64, AtomicU64>,
    pub(crate) live_dropped: Counter<u64, AtomicU64>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        // From 5 ms to 80 s.
        let seconds = || Histogram::new(exponential_buckets(0.005, 2.0, 15));
        let mut metrics = Self {
            registry: Registry::with_prefix("mask"),
            requests: Family::default(),
            seconds: Family::new_with_constructor(seconds),
            faces: Family::default(),
            images: Family::default(),
            queue: Gauge::default(),
            live_sessions: Gauge::default(),
            live_frames: Counter::default(),
            live_dropped: Counter::default(),
        };
        let Self { registry, requests, seconds, faces, images, queue, .. } = &mut metrics;
        registry.register("requests", "Requests that were answered", requests.clone());
        registry.register("request_seconds", "Time to answer a request", seconds.clone());
        registry.register("faces", "Faces that were reported", faces.clone());
        registry.register("images", "Images that were sent", images.clone());
        registry.register("queue", "Requests that are worked on or wait", queue.clone());
        let live = metrics.live_sessions.clone();
        metrics.registry.register("live_sessions", "Browsers with a camera", live);
        let frames = metrics.live_frames.clone();
        metrics.registry.register("live_frames", "Frames of cameras that were looked at", frames);
        let dropped = metrics.live_dropped.clone();
        metrics.registry.register("live_dropped", "Frames that newer ones replaced", dropped);
        metrics
    }

    /// Counts a request that was answered.
    pub(crate) fn request(&self, path: &str, method: &str, status: u16, time: Duration) {
        let path = path.to_owned();
        self.seconds.get_or_create(&Route { path: path.clone() }).observe(time.as_secs_f64());
        self.requests.get_or_create(&Request { path, method: method.to_owned(), status }).inc();
    }

    /// Counts a face that was reported.
    pub(crate) fn face(&self, class: &str) {
        self.faces.get_or_create(&Class { class: class.to_owned() }).inc();
    }

    /// Counts an image.
    pub(crate) fn image(&self, outcome: ImageOutcome) {
        self.images.get_or_create(&Image { outcome }).inc();
    }

    /// All figures in Prometheus's text form, with so many requests in the queue.
    pub(crate) fn text(&self, queue: usize) -> String {
        self.queue.set(i64::try_from(queue).unwrap_or(i64::MAX));
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
