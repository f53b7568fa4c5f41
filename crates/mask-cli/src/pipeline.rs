//! Inputs through decoding and the networks, each stage on a thread of its own, in their order.

use std::{
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender},
    },
    time::{Duration, Instant},
};

use image::RgbImage;
use image_input::{DecodeError, DecodeOptions, ImageView, OtherKind, decode, decode_file};
use mask_detector::{BoundingBox, FaceDetection, MaskDetector};

use crate::{
    inputs::{Input, STDIN_NAME},
    interrupt::Interrupt,
    timing::StageTimes,
};

/// While decoded images of so many pixels wait or are in the networks, no further one is decoded: a few
/// photographs of the largest sensors would otherwise fill a machine's memory.
const PIXELS_IN_FLIGHT: u64 = 32_000_000;

/// Pixels of the images between decoding and their end.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    pixels: Mutex<u64>,
    fewer: Condvar,
}

/// An image's part of the pixels in flight.
#[derive(Debug)]
struct Share {
    of: Arc<InFlight>,
    pixels: u64,
}

impl InFlight {
    /// Whether there is room for another image.
    fn has_room(&self) -> bool {
        *self.pixels.lock().unwrap_or_else(PoisonError::into_inner) <= PIXELS_IN_FLIGHT
    }

    /// Waits until there is room for another image.
    fn wait(&self) {
        let pixels = self.pixels.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |pixels: &mut u64| *pixels > PIXELS_IN_FLIGHT;
        drop(self.fewer.wait_while(pixels, full).unwrap_or_else(PoisonError::into_inner));
    }

    fn share(self: &Arc<Self>, image: &RgbImage) -> Share {
        let pixels = u64::from(image.width()) * u64::from(image.height());
        *self.pixels.lock().unwrap_or_else(PoisonError::into_inner) += pixels;
        Share { of: Arc::clone(self), pixels }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        *self.of.pixels.lock().unwrap_or_else(PoisonError::into_inner) -= self.pixels;
        self.of.fewer.notify_all();
    }
}

/// An input after decoding.
pub(crate) struct Decoded {
    path: PathBuf,
    /// The name of its drawn image.
    name: Option<PathBuf>,
    image: Result<(RgbImage, Share), String>,
    /// What was repaired.
    warning: Option<String>,
    time: Duration,
}

/// Decodes the inputs in their order, ahead of the networks. `None` among them: there will be no further one
/// until some of those before it are done with.
pub(crate) fn decode_all(
    inputs: impl Iterator<Item = (Input, Option<PathBuf>)>,
    options: &DecodeOptions,
    interrupt: &Interrupt,
    sender: SyncSender<Option<Decoded>>,
) {
    let in_flight = Arc::new(InFlight::default());
    for (input, name) in inputs {
        if !in_flight.has_room() {
            // The networks would wait for a whole batch, and the batch for them.
            if sender.send(None).is_err() {
                return;
            }
            in_flight.wait();
        }
        let start = Instant::now();
        let (path, image) = match input {
            Input::Failed { path, error } => (path, Err(error)),
            Input::Image { path, .. } => {
                let image = decode_file(&path, options);
                (path, image.map_err(|error| decode_error(&error.problem)))
            }
            Input::Bytes(bytes) => {
                let image = decode(&bytes, None, options).map_err(|error| decode_error(&error));
                (STDIN_NAME.into(), image)
            }
        };
        let (image, warning) = match image {
            Ok(decoded) => {
                let share = in_flight.share(&decoded.image);
                (Ok((decoded.image, share)), decoded.warning)
            }
            Err(error) => (Err(error), None),
        };
        let decoded = Decoded { path, name, image, warning, time: start.elapsed() };
        if interrupt.pressed() || sender.send(Some(decoded)).is_err() {
            return;
        }
    }
}

/// What is wrong with an image, with the flag that helps.
fn decode_error(error: &DecodeError) -> String {
    match error {
        DecodeError::TooLarge { .. } => format!("{error} (--max-megapixels)"),
        DecodeError::Other(OtherKind::Video) => format!("{error}, or give it to `mask-cli watch`"),
        _ => error.to_string(),
    }
}

/// An input after the networks.
pub(crate) struct Finished {
    pub(crate) path: PathBuf,
    /// The name of its drawn image.
    pub(crate) name: Option<PathBuf>,
    /// The image with its faces, or why there are none.
    pub(crate) result: Result<Searched, String>,
    /// What was repaired.
    pub(crate) warning: Option<String>,
    pub(crate) decode: Duration,
    /// Of its whole batch, at the batch's first input.
    pub(crate) stages: StageTimes,
}

/// An image with its faces.
pub(crate) struct Searched {
    pub(crate) image: RgbImage,
    pub(crate) faces: Vec<FaceDetection>,
    /// Every box that was found, also of less confidence.
    pub(crate) regions: Vec<BoundingBox>,
    _in_flight: Share,
}

/// Runs the networks on the decoded inputs, of which faces below `min_confidence` are only regions, a batch at a
/// time, until they end or Ctrl-C is pressed.
pub(crate) fn detect_all(
    detector: &MaskDetector,
    decoded: &Receiver<Option<Decoded>>,
    batch: usize,
    min_confidence: f32,
    interrupt: &Interrupt,
    sender: &SyncSender<Finished>,
) {
    while !interrupt.pressed() {
        let batch = next_batch(decoded, batch);
        if batch.is_empty() {
            return;
        }
        let images: Vec<ImageView<'_>> = batch
            .iter()
            .filter_map(|decoded| decoded.image.as_ref().ok())
            .map(|(image, _)| ImageView::from(image))
            .collect();
        let start = Instant::now();
        let found = detector.find_faces(&images);
        let faces_time = start.elapsed();
        let mut regions = Vec::new();
        let classified = found.and_then(|mut faces| {
            for faces in &mut faces {
                regions.push(faces.iter().map(|face| face.bbox).collect());
                faces.retain(|face| face.score >= min_confidence);
            }
            detector.classify_faces(&images, &faces)
        });
        let mut stages = StageTimes { faces: faces_time, masks: start.elapsed() - faces_time };
        let mut faces = match classified {
            Ok(faces) => faces.into_iter().map(Ok).collect::<Vec<_>>().into_iter(),
            Err(error) => vec![Err(error.to_string()); images.len()].into_iter(),
        };
        let mut regions = regions.into_iter();
        for Decoded { path, name, image, warning, time } in batch {
            let result = image.and_then(|(image, share)| {
                let faces = faces.next().unwrap_or_else(|| Ok(Vec::new()))?;
                let regions = regions.next().unwrap_or_default();
                Ok(Searched { image, faces, regions, _in_flight: share })
            });
            let stages = std::mem::take(&mut stages);
            let finished = Finished { path, name, result, warning, decode: time, stages };
            if sender.send(finished).is_err() {
                return;
            }
        }
    }
}

/// The next images, as many as a batch holds or as there will be for now; none at the end.
fn next_batch(decoded: &Receiver<Option<Decoded>>, size: usize) -> Vec<Decoded> {
    let mut batch = Vec::new();
    for decoded in decoded {
        match decoded {
            Some(decoded) => batch.push(decoded),
            None if batch.is_empty() => continue,
            None => break,
        }
        if batch.len() == size {
            break;
        }
    }
    batch
}
