//! Random numbers that depend on what they are for, not on when they are drawn.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// What random numbers are drawn for, so that no two purposes share theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The division of a set into training and validation.
    Split = 1,
    /// The order of an epoch's samples.
    Order = 2,
    /// A sample's augmentation.
    Augmentation = 3,
    /// What is drawn onto a face.
    Overlay = 4,
}

/// A generator for `purpose`, the same on every machine for the same seed, epoch and index.
pub fn generator(purpose: Purpose, seed: u64, epoch: u64, index: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    for (part, value) in key.chunks_mut(8).zip([seed, epoch, index, purpose as u64]) {
        part.copy_from_slice(&value.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}
