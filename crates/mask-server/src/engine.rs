//! The work: images decoded on the threads of rayon's pool, then through the networks: each on the same thread, or,
//! on a GPU, what waits as one batch.
//!
//! Whoever waits for its turn holds no image in memory but the encoded one. Large images have fewer places than
//! there are, so that small ones are not held up by them.

use std::{
    collections::VecDeque,
    ffi::OsStr,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Instant,
};

use axum::body::Bytes;
use image::RgbImage;
use image_input::{DecodeOptions, ImageView, decode};
use mask_detector::{BoundingBox, FaceDetection, MaskDetector, error_line};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
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
    /// Takes images as batches; none if each runs by itself, on the thread that decoded it.
    batches: Option<Batches>,
}

/// Images that go through the networks as batches, on a thread for that alone.
struct Batches {
    waiting: Arc<Waiting>,
    thread: Option<JoinHandle<()>>,
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

    fn push(&self, image: Decoded) {
        self.state().images.push_back(image);
        self.changed.notify_one();
    }
}

/// An image that waits, and who waits for it.
struct Decoded {
    image: RgbImage,
    warning: Option<String>,
    min_confidence: f32,
    /// Whoever goes away leaves it only when the image is gone, too.
    place: Place,
    answer: oneshot::Sender<Result<Searched, Problem>>,
}

impl Engine {
    /// An engine whose networks take up to `batch` images at once, as a GPU wants it; none on a CPU, where each
    /// image has a thread and idle ones help it.
    pub(crate) fn new(detector: Arc<MaskDetector>, batch: Option<usize>) -> Self {
        // One more than is worked on, so that no thread waits for the next.
        let places = rayon::current_num_threads().max(batch.unwrap_or(1)) + 1;
        let batches = batch.map(|batch| {
            let waiting = Arc::new(Waiting::default());
            let (networks, takes) = (Arc::clone(&detector), Arc::clone(&waiting));
            let thread = thread::spawn(move || run_networks(&networks, &takes, batch));
            Batches { waiting, thread: Some(thread) }
        });
        Self {
            detector,
            places: Arc::new(Semaphore::new(places)),
            large: Arc::new(Semaphore::new((places / 2).max(1))),
            batches,
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
            let detector = Arc::clone(&self.detector);
            let waiting = self.batches.as_ref().map(|batches| Arc::clone(&batches.waiting));
            let (answer, found) = oneshot::channel::<Result<Searched, Problem>>();
            let run = move || {
                // Who has gone need not be answered, here and below.
                if answer.is_closed() {
                    return;
                }
                let decoded = match decode(&bytes, extension.as_deref(), &options) {
                    Ok(decoded) => decoded,
                    Err(error) => return drop(answer.send(Err(Problem::image(&error)))),
                };
                let (image, warning) = (decoded.image, decoded.warning);
                let decoded = Decoded { image, warning, min_confidence, place, answer };
                match waiting {
                    None => run_batch(&detector, vec![decoded]),
                    Some(waiting) => waiting.push(decoded),
                }
            };
            // A panic ends the answer, and the pool goes on.
            rayon::spawn(move || drop(catch_unwind(AssertUnwindSafe(run))));
            found.await.map_err(|_| Problem::failed())?
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
        if let Some(Batches { waiting, thread }) = &mut self.batches {
            waiting.state().closed = true;
            waiting.changed.notify_all();
            if let Some(thread) = thread.take() {
                // A panic there has been answered with an error for each image.
                let _ = thread.join();
            }
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
        run_batch(detector, batch);
    }
}

fn run_batch(detector: &MaskDetector, mut batch: Vec<Decoded>) {
    batch.retain(|decoded| !decoded.answer.is_closed());
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
                let Decoded { image, warning, place, answer, .. } = decoded;
                let _ = answer.send(Ok(Searched { image, faces, regions, warning, place }));
            }
        }
        Err(error) => {
            tracing::error!("the networks failed: {}", error_line(&error));
            batch.into_iter().for_each(|decoded| drop(decoded.answer.send(Err(Problem::failed()))));
        }
    }
}
