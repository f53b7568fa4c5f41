//! What a server is told before it runs.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use image_input::DecodeOptions;

/// How a server runs.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ServerConfig {
    /// Where it listens. Default: port 8080 of this machine alone.
    pub listen: SocketAddr,
    /// Certificate and key; without them, HTTP is not encrypted.
    pub tls: Option<Tls>,
    /// Keys, one of which every request but those for the page and for health must carry. Default: none is
    /// asked for.
    pub api_keys: Vec<String>,
    /// Pages of these origins may use it, such as `https://example.org`; `*` are all. Default: none.
    pub cors: Vec<String>,
    /// Whether images are fetched that requests name the addresses of. Default: no.
    pub allow_fetch: bool,
    /// The confidence from which on faces are reported if a request does not say, in [0, 1].
    pub min_confidence: f32,
    /// What requests may cost.
    pub limits: Limits,
}

/// Certificate and key.
#[derive(Debug, Clone)]
pub struct Tls {
    /// PEM file of the certificate and those that sign it.
    pub certificate: PathBuf,
    /// PEM file of its key.
    pub key: PathBuf,
}

/// What requests may cost.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of a request's body. Default: 32 MiB.
    pub body_bytes: usize,
    /// Bytes of all bodies that are in memory at once. Default: 256 MiB.
    pub all_bodies_bytes: usize,
    /// Images in a request. Default: 64.
    pub images: usize,
    /// How images are decoded. Default: up to 50 million pixels.
    pub decode: DecodeOptions,
    /// Requests that are worked on or wait for it; more are refused. Default: 64.
    pub queue: usize,
    /// Browsers with a camera. Default: 8.
    pub live: usize,
    /// How long the head of a request, and then its body, may take to arrive. Default: 30 s.
    pub receive: Duration,
    /// How long a request may take from when it has arrived. Default: 30 s.
    pub answer: Duration,
    /// How long requests may take that are under way when the server is stopped. Default: 30 s.
    pub stop: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            tls: None,
            api_keys: Vec::new(),
            cors: Vec::new(),
            allow_fetch: false,
            min_confidence: mask_detector::FaceDetectorConfig::default()
                .postprocess
                .score_threshold,
            limits: Limits::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        const SECONDS: Duration = Duration::from_secs(30);
        Self {
            body_bytes: 32 << 20,
            all_bodies_bytes: 256 << 20,
            images: 64,
            decode: DecodeOptions { max_pixels: 50_000_000, strict: false },
            queue: 64,
            live: 8,
            receive: SECONDS,
            answer: SECONDS,
            stop: SECONDS,
        }
    }
}
