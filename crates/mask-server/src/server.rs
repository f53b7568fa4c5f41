//! Starting, running and stopping.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    ops::Deref,
    sync::Arc,
    time::Duration,
};

use axum::Router;
use axum_server::{Handle, tls_rustls::RustlsConfig};
use hyper_util::rt::TokioTimer;
use mask_detector::{Annotator, MaskDetector};
use mask_track::TrackerConfig;
use tokio::sync::{Semaphore, watch};

use crate::{
    Cameras, ServerConfig, ServerError, Tls, access::Keys, engine::Engine, fetch::Fetcher,
    metrics::Metrics, problem::Problem, requests::Room, routes::router,
};

/// What all requests share.
#[derive(Clone)]
pub(crate) struct Service(Arc<Shared>);

/// What all requests share.
pub(crate) struct Shared {
    pub(crate) config: ServerConfig,
    pub(crate) engine: Engine,
    pub(crate) annotator: Annotator,
    pub(crate) metrics: Metrics,
    pub(crate) room: Room,
    pub(crate) keys: Keys,
    pub(crate) cameras: Cameras,
    /// Where fetching is allowed.
    pub(crate) fetcher: Option<Arc<Fetcher>>,
    /// Places for browsers with a camera.
    pub(crate) live: Arc<Semaphore>,
    /// Whether it is being stopped.
    pub(crate) stopping: watch::Receiver<bool>,
}

impl Deref for Service {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Service {
    /// The confidence from which on the networks look for faces.
    pub(crate) fn least_confidence(&self) -> f32 {
        TrackerConfig::from_confidence(self.config.min_confidence).doubtful
    }

    /// The confidence from which on faces are reported.
    ///
    /// # Errors
    /// If what is asked for is none, or below what the networks look for.
    pub(crate) fn confidence(&self, wanted: Option<f64>) -> Result<f32, Problem> {
        let least = self.least_confidence();
        match wanted {
            None => Ok(self.config.min_confidence),
            Some(confidence) if confidence as f32 >= least && confidence <= 1.0 => {
                Ok(confidence as f32)
            }
            Some(confidence) => {
                let message =
                    format!("min_confidence={confidence}: give a number from {least} to 1");
                Err(Problem::bad_request(message))
            }
        }
    }
}

/// A server that listens.
pub struct Server {
    listener: TcpListener,
    tls: Option<RustlsConfig>,
    router: Router,
    limits: crate::Limits,
    handle: Handle<SocketAddr>,
    stopping: watch::Sender<bool>,
}

/// Stops a server.
#[derive(Clone)]
pub struct Stopper {
    handle: Handle<SocketAddr>,
    stopping: watch::Sender<bool>,
    time: Duration,
}

impl Stopper {
    /// Takes no further requests, and ends when those that were taken are answered.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
        self.handle.graceful_shutdown(Some(self.time));
    }
}

impl Server {
    /// Listens, and gets all ready. `cameras` are told of by who watches them. Up to `batch` images enter the
    /// networks at once, as a GPU wants it; with none each is by itself on a thread of rayon's pool. The detector must
    /// find boxes from `TrackerConfig::from_confidence`'s doubtful one on.
    ///
    /// # Errors
    /// If the address, the certificate or a setting cannot be used.
    pub async fn bind(
        config: ServerConfig,
        detector: Arc<MaskDetector>,
        annotator: Annotator,
        batch: Option<usize>,
        cameras: Cameras,
    ) -> Result<Self, ServerError> {
        let listen = |reason| ServerError::Listen { address: config.listen, reason };
        let listener = TcpListener::bind(config.listen).map_err(listen)?;
        listener.set_nonblocking(true)?;
        let tls = match &config.tls {
            Some(Tls { certificate, key }) => {
                let loaded = RustlsConfig::from_pem_file(certificate, key).await;
                let failed = |reason| ServerError::Tls {
                    certificate: certificate.clone(),
                    key: key.clone(),
                    reason,
                };
                Some(loaded.map_err(failed)?)
            }
            None => None,
        };
        let (stopping, is_stopping) = watch::channel(false);
        let limits = config.limits.clone();
        let service = Service(Arc::new(Shared {
            engine: Engine::new(detector, batch),
            annotator,
            metrics: Metrics::new(),
            room: Room::new(&limits),
            keys: Keys::new(&config.api_keys),
            cameras,
            fetcher: config.allow_fetch.then(|| Arc::new(Fetcher::new())),
            live: Arc::new(Semaphore::new(limits.live)),
            stopping: is_stopping,
            config,
        }));
        let router = router(service)?;
        Ok(Self { listener, tls, router, limits, handle: Handle::new(), stopping })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// What stops it.
    pub fn stopper(&self) -> Stopper {
        Stopper {
            handle: self.handle.clone(),
            stopping: self.stopping.clone(),
            time: self.limits.stop,
        }
    }

    /// Answers requests until it is stopped.
    ///
    /// # Errors
    /// If the listener fails.
    pub async fn run(self) -> Result<(), ServerError> {
        let service = self.router.into_make_service_with_connect_info::<SocketAddr>();
        let receive = self.limits.receive;
        // Who sends a request's head letter by letter has so long for it.
        macro_rules! run {
            ($server:expr) => {{
                let mut server = $server.handle(self.handle);
                server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(receive);
                server.serve(service).await
            }};
        }
        Ok(match self.tls {
            Some(tls) => run!(axum_server::from_tcp_rustls(self.listener, tls)?),
            None => run!(axum_server::from_tcp(self.listener)?),
        }?)
    }
}
