//! Scores of trackers: CLEAR MOT (Bernardin and Stiefelhagen, 2008) and IDF1 (Ristani et al., 2016), as
//! motmetrics computes them.

use std::collections::{BTreeMap, BTreeSet};

use geometry::BoundingBox;
use pathfinding::{kuhn_munkres::kuhn_munkres, matrix::Matrix};

/// A box of somebody in a frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Boxed {
    pub(crate) frame: usize,
    pub(crate) id: u64,
    pub(crate) bbox: BoundingBox,
}

/// How good tracks are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scores {
    pub(crate) mota: f64,
    pub(crate) idf1: f64,
    pub(crate) switches: usize,
}

/// Boxes of such an IoU are the same.
const SAME: f32 = 0.5;

/// The pairs of greatest sum of worth; those of none are left out.
fn pairs(rows: usize, columns: usize, worth: impl Fn(usize, usize) -> i64) -> Vec<(usize, usize)> {
    let side = rows.max(columns);
    if side == 0 {
        return Vec::new();
    }
    let inside = |row: usize, column: usize| {
        if row < rows && column < columns { worth(row, column) } else { 0 }
    };
    let matrix = Matrix::from_fn(side, side, |(row, column)| inside(row, column));
    let partners = kuhn_munkres(&matrix).1.into_iter().enumerate();
    partners.filter(|(row, column)| inside(*row, *column) > 0).collect()
}

pub(crate) fn scores(truth: &[Boxed], tracks: &[Boxed]) -> Scores {
    let last = truth.iter().chain(tracks).map(|boxed| boxed.frame).max().unwrap_or(0);
    let of = |boxes: &[Boxed], frame: usize| -> Vec<Boxed> {
        boxes.iter().filter(|boxed| boxed.frame == frame).copied().collect()
    };
    let (mut errors, mut switches) = (0, 0);
    let mut partners = BTreeMap::new();
    let mut together = BTreeMap::<(u64, u64), i64>::new();
    for frame in 0..=last {
        let (ours, theirs) = (of(truth, frame), of(tracks, frame));
        for a in &ours {
            for b in theirs.iter().filter(|b| a.bbox.iou(&b.bbox) >= SAME) {
                *together.entry((a.id, b.id)).or_default() += 1;
            }
        }
        // Who was paired stays so while that holds.
        let mut found = Vec::<(usize, usize)>::new();
        for (i, a) in ours.iter().enumerate() {
            let partner = theirs
                .iter()
                .position(|b| partners.get(&a.id) == Some(&b.id) && a.bbox.iou(&b.bbox) >= SAME);
            let free = |j: &usize| found.iter().all(|(_, taken)| taken != j);
            found.extend(partner.filter(free).map(|j| (i, j)));
        }
        let free = |at: usize, taken: &dyn Fn(&(usize, usize)) -> usize| {
            found.iter().all(|pair| taken(pair) != at)
        };
        let new = pairs(ours.len(), theirs.len(), |i, j| {
            let iou = ours[i].bbox.iou(&theirs[j].bbox);
            let counts = free(i, &|pair| pair.0) && free(j, &|pair| pair.1) && iou >= SAME;
            // First as many pairs as there can be, then the best.
            if counts { 1_000_000 + (iou * 1000.0) as i64 } else { 0 }
        });
        found.extend(new);
        for (i, j) in &found {
            let before = partners.insert(ours[*i].id, theirs[*j].id);
            switches += usize::from(before.is_some_and(|before| before != theirs[*j].id));
        }
        errors += ours.len() + theirs.len() - 2 * found.len();
    }
    let ids = |boxes: &[Boxed]| -> Vec<u64> {
        boxes.iter().map(|boxed| boxed.id).collect::<BTreeSet<_>>().into_iter().collect()
    };
    let (ours, theirs) = (ids(truth), ids(tracks));
    let of_both = |i: usize, j: usize| together.get(&(ours[i], theirs[j])).copied().unwrap_or(0);
    let same: i64 =
        pairs(ours.len(), theirs.len(), of_both).into_iter().map(|(i, j)| of_both(i, j)).sum();
    Scores {
        mota: 1.0 - (errors + switches) as f64 / truth.len() as f64,
        idf1: 2.0 * same as f64 / (truth.len() + tracks.len()) as f64,
        switches,
    }
}
