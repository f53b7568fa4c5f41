//! Pictures decoded and warped ahead of who needs them.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, sync_channel},
    },
    thread,
};

use image::RgbImage;
use rayon::prelude::*;

use crate::{Augmentation, DecodeLimits, PictureError, Sample, decode_file, seed};

/// Batches that may wait, so that memory stays bounded.
const WAITING: usize = 2;

/// Decoded pictures, kept as far as a limit allows.
#[derive(Debug)]
pub struct PictureCache {
    limits: DecodeLimits,
    capacity: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    bytes: usize,
    pictures: HashMap<PathBuf, Arc<RgbImage>>,
}

impl PictureCache {
    /// A cache of up to `capacity` bytes of pixels. What comes first is kept, for epochs read all
    /// pictures equally often.
    pub fn new(limits: DecodeLimits, capacity: usize) -> Self {
        Self { limits, capacity, kept: Mutex::default() }
    }

    /// The decoded picture.
    ///
    /// # Errors
    /// As [`decode_file`].
    pub fn get(&self, path: &Path) -> Result<Arc<RgbImage>, PictureError> {
        // A panic elsewhere leaves the map whole.
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(picture) = kept().pictures.get(path) {
            return Ok(Arc::clone(picture));
        }
        let picture = Arc::new(decode_file(path, &self.limits)?);
        let bytes = picture.as_raw().len();
        let mut kept = kept();
        if kept.bytes + bytes <= self.capacity
            && kept.pictures.insert(path.to_path_buf(), Arc::clone(&picture)).is_none()
        {
            kept.bytes += bytes;
        }
        Ok(picture)
    }
}

/// A sample to be shown: which one, and whose random numbers change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// Index of the sample.
    pub sample: usize,
    /// The epoch, or the number of the view, that the random numbers belong to.
    pub epoch: u64,
}

/// Makes `side` x `side` pixels of each view, in batches, on all cores, ahead of the receiver.
///
/// Order and content do not depend on the number of threads. When the receiver goes, so does the
/// work.
pub fn load_views(
    samples: Arc<Vec<Sample>>,
    cache: Arc<PictureCache>,
    augmentation: Augmentation,
    views: Vec<View>,
    (side, batch, random_seed): (u32, usize, u64),
) -> Receiver<Result<Vec<RgbImage>, PictureError>> {
    let (sender, receiver) = sync_channel(WAITING);
    thread::spawn(move || {
        for batch in views.chunks(batch.max(1)) {
            let load = |view: &View| {
                let sample = &samples[view.sample];
                let picture = cache.get(&sample.picture)?;
                let index = view.sample as u64;
                let purpose = seed::Purpose::Augmentation;
                let mut rng = seed::generator(purpose, random_seed, view.epoch, index);
                Ok(augmentation.apply(&picture, sample.region, side, &mut rng))
            };
            if sender.send(batch.par_iter().map(load).collect()).is_err() {
                break;
            }
        }
    });
    receiver
}
