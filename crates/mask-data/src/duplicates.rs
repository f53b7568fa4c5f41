//! Exact duplicates and near-duplicates among the images of a set.

use rayon::prelude::*;

use crate::InspectedSet;

/// Most differing bits, of 256, at which two images count as duplicates, by default.
///
/// Of six pairs looked at from each interval of distances in the 1376 photographs of the
/// reference's data set, all showed the same photograph, masked or not, from 20 to 40 bits, five from 40
/// to 46, six from 46 to 52, four from 52 to 60.
pub const DUPLICATE_HASH_DISTANCE: u32 = 48;

/// Two samples whose images are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DuplicatePair {
    /// Index of the first sample.
    pub first: usize,
    /// Index of the second sample.
    pub second: usize,
    /// Whether the files are the same byte for byte.
    pub exact: bool,
    /// Bits, of 256, in which the perceptual hashes differ.
    pub distance: u32,
    /// Whether the two have different classes.
    pub label_conflict: bool,
}

/// The duplicates in a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duplicates {
    /// A group number for every sample; duplicates, and duplicates of duplicates, share theirs.
    pub groups: Vec<usize>,
    /// The pairs of duplicates: label_conflict ones first, then exact ones, then by distance.
    pub pairs: Vec<DuplicatePair>,
}

/// Finds exact and near duplicates, mirrored ones included: pairs whose hashes differ in `distance` bits
/// or fewer.
///
/// Samples of the same image are always in one group, but are not a pair.
pub fn find_duplicates(inspected: &InspectedSet, distance: u32) -> Duplicates {
    let (samples, info) = (&inspected.set.samples, &inspected.info);
    let mut pairs: Vec<DuplicatePair> = (0..samples.len())
        .into_par_iter()
        .flat_map_iter(|first| {
            let a = &info[first];
            (first + 1..samples.len()).filter_map(move |second| {
                let b = &info[second];
                let bits = a.hash.dist(&b.hash).min(a.hash.dist(&b.mirrored_hash));
                let exact = a.sha256 == b.sha256;
                (exact || bits <= distance).then(|| DuplicatePair {
                    first,
                    second,
                    exact,
                    distance: bits,
                    label_conflict: samples[first].class != samples[second].class,
                })
            })
        })
        .collect();
    let mut parents: Vec<usize> = (0..samples.len()).collect();
    for pair in &pairs {
        let (a, b) = (root(&mut parents, pair.first), root(&mut parents, pair.second));
        // The lower number wins, so that groups do not depend on the order of the pairs.
        parents[a.max(b)] = a.min(b);
    }
    let groups = (0..samples.len()).map(|sample| root(&mut parents, sample)).collect();
    pairs.retain(|pair| samples[pair.first].image != samples[pair.second].image);
    pairs.sort_by_key(|pair| {
        (!pair.label_conflict, !pair.exact, pair.distance, pair.first, pair.second)
    });
    Duplicates { groups, pairs }
}

/// The representative of a sample's group, shortening the way to it.
fn root(parents: &mut [usize], mut sample: usize) -> usize {
    while parents[sample] != sample {
        parents[sample] = parents[parents[sample]];
        sample = parents[sample];
    }
    sample
}
