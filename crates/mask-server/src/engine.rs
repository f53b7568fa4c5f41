//! The work: images decoded side by side, networks that take what waits as one batch, answers drawn.
//!
//! Whoever waits for its turn holds no image in memory but the encoded one. Large images have fewer places than
//! there are, so that small ones are not held up by them.

use std::{
    collections::VecDeque,
    ffi::OsStr,
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Instant,
};

use axum::body::Bytes;
use image::RgbImage;
use image_input::{DecodeOptions, ImageView, decode};
use mask_detector::{BoundingBox, FaceDetection, MaskDetector};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    task::spawn_blocking,
    time::timeout_at,
};

use crate::problem::Problem;

/// What has more bytes is a large image.
const LARGE_BYTES: usize = 1 << 20;

/// An image with its faces.
pub(crate) struct Searched {
    pub(crate) image: RgbImage,
    /// The faces from the least confidence on that was asked for.
    pub(crate) faces: Vec<FaceDetection>,
    /// Every box that was found, also of less confidence.
    pub(crate) regions: Vec<BoundingBox>,
    /// What was repaired.
    pub(crate) warning: Option<String>,
    /// Its place among those that are worked on.
    pub(crate) place: Place,
}

/// A place among the images that are worked on; dropped, it is free.
pub(crate) struct Place {
    _place: OwnedSemaphorePermit,
    _large: Option<OwnedSemaphorePermit>,
}

/// What a server's requests share.
pub(crate) struct Engine {
    detector: Arc<MaskDetector>,
    places: Arc<Semaphore>,
    large: Arc<Semaphore>,
    waiting: Arc<Waiting>,
    networks: Option<JoinHandle<()>>,
}

/// Images that wait for the networks.
#[derive(Default)]
struct Waiting {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    images: VecDeque<Decoded>,
    closed: bool,
}

impl Waiting {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An image that waits, and who waits for it.
struct Decoded {
    image: RgbImage,
    min_confidence: f32,
    /// Whoever goes away leaves it only when the image is gone, too.
    place: Place,
    answer: oneshot::Sender<Result<Found, Problem>>,
}

struct Found {
    image: RgbImage,
    place: Place,
    faces: Vec<FaceDetection>,
    regions: Vec<BoundingBox>,
}

impl Engine {
    /// Starts the networks' thread; `batch` images enter them at once at most.
    pub(crate) fn new(detector: Arc<MaskDetector>, batch: usize) -> Self {
        // One more than is worked on, so that the next is decoded meanwhile.
        let places = thread::available_parallelism().map_or(2, usize::from).max(batch) + 1;
        let waiting = Arc::new(Waiting::default());
        let (networks, takes) = (Arc::clone(&detector), Arc::clone(&waiting));
        let networks = thread::spawn(move || run_networks(&networks, &takes, batch));
        Self {
            detector,
            places: Arc::new(Semaphore::new(places)),
            large: Arc::new(Semaphore::new((places / 2).max(1))),
            waiting,
            networks: Some(networks),
        }
    }

    pub(crate) fn detector(&self) -> &Arc<MaskDetector> {
        &self.detector
    }

    /// The faces of an encoded image from a confidence on.
    ///
    /// # Errors
    /// If it is no image that can be used, or it is not done at `deadline`.
    pub(crate) async fn detect(
        &self,
        bytes: Bytes,
        name: &str,
        options: DecodeOptions,
        min_confidence: f32,
        deadline: Instant,
    ) -> Result<Searched, Problem> {
        let until = deadline.into();
        let work = async {
            let place = self.place(bytes.len()).await?;
            let extension = Path::new(name).extension().map(OsStr::to_owned);
            // Who does not wait any more leaves the place only when the image is decoded.
            let decoded =
                spawn_blocking(move || (decode(&bytes, extension.as_deref(), &options), place));
            let (decoded, place) = decoded.await.map_err(|_| Problem::failed())?;
            let decoded = decoded.map_err(|error| Problem::image(&error))?;
            let (answer, found) = oneshot::channel();
            let image = Decoded { image: decoded.image, min_confidence, place, answer };
            self.waiting.state().images.push_back(image);
            self.waiting.changed.notify_one();
            let Found { image, place, faces, regions } =
                found.await.map_err(|_| Problem::failed())??;
            Ok(Searched { image, faces, regions, warning: decoded.warning, place })
        };
        timeout_at(until, work).await.unwrap_or_else(|_| Err(Problem::late()))
    }

    async fn place(&self, bytes: usize) -> Result<Place, Problem> {
        let closed = |_| Problem::failed();
        let large = match bytes > LARGE_BYTES {
            true => Some(Arc::clone(&self.large).acquire_owned().await.map_err(closed)?),
            false => None,
        };
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(closed)?;
        Ok(Place { _place: place, _large: large })
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.waiting.state().closed = true;
        self.waiting.changed.notify_all();
        if let Some(networks) = self.networks.take() {
            // A panic there has been answered with an error for each image.
            let _ = networks.join();
        }
    }
}

/// Takes what waits as a batch, until nobody can come any more.
fn run_networks(detector: &MaskDetector, waiting: &Waiting, most: usize) {
    loop {
        let idle = |state: &mut State| state.images.is_empty() && !state.closed;
        let state = waiting.changed.wait_while(waiting.state(), idle);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        let count = state.images.len().min(most);
        let batch: Vec<Decoded> = state.images.drain(..count).collect();
        if batch.is_empty() {
            return;
        }
        drop(state);
        // Who has gone need not be answered.
        run_batch(detector, batch.into_iter().filter(|image| !image.answer.is_closed()).collect());
    }
}

fn run_batch(detector: &MaskDetector, batch: Vec<Decoded>) {
    let images: Vec<ImageView<'_>> = batch.iter().map(|decoded| (&decoded.image).into()).collect();
    let mut regions = Vec::new();
    let classified = detector.find_faces(&images).and_then(|mut faces| {
        for (faces, decoded) in faces.iter_mut().zip(&batch) {
            regions.push(faces.iter().map(|face| face.bbox).collect());
            faces.retain(|face| face.score >= decoded.min_confidence);
        }
        detector.classify_faces(&images, &faces)
    });
    match classified {
        Ok(faces) => {
            for ((decoded, faces), regions) in batch.into_iter().zip(faces).zip(regions) {
                let found = Found { image: decoded.image, place: decoded.place, faces, regions };
                // Who has gone meanwhile need not be answered.
                let _ = decoded.answer.send(Ok(found));
            }
        }
        Err(error) => {
            tracing::error!("the networks failed: {error}");
            batch.into_iter().for_each(|decoded| drop(decoded.answer.send(Err(Problem::failed()))));
        }
    }
}
