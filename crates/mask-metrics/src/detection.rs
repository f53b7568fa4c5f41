//! Boxes found against boxes annotated.

use geometry::BoundingBox;
use serde::Serialize;

/// An annotated object.
#[derive(Debug, Clone, PartialEq)]
pub struct GroundTruth {
    /// Where it is.
    pub bbox: BoundingBox,
    /// Its class.
    pub class: usize,
    /// Whether finding it counts neither for nor against.
    pub difficult: bool,
}

/// A found object.
#[derive(Debug, Clone, PartialEq)]
pub struct Detection {
    /// Where it is.
    pub bbox: BoundingBox,
    /// Probability that there is an object.
    pub confidence: f64,
    /// Probability of each class, given an object. Classes beyond the list have none.
    pub probabilities: Vec<f64>,
}

/// An image's annotated and found objects.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ImageResult {
    /// What is there.
    pub truths: Vec<GroundTruth>,
    /// What was found.
    pub detections: Vec<Detection>,
}

/// An annotated object and the detection that found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match {
    /// Index of the image.
    pub image: usize,
    /// Index of the object in the image.
    pub truth: usize,
    /// Index of the detection in the image.
    pub detection: usize,
}

/// How many objects of a size were found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SizeRecall {
    /// Least size: the root of the box's area, in pixels.
    pub from: f64,
    /// The size at which the next interval begins; none for the last.
    pub to: Option<f64>,
    /// Objects of this size.
    pub objects: usize,
    /// Those of them that were found.
    pub found: usize,
}

fn iou(a: &BoundingBox, b: &BoundingBox) -> f64 {
    f64::from(a.iou(b))
}

/// Average precision, with all-point interpolation, at an IoU of `threshold` or more; none if there
/// is nothing to find.
///
/// Of a class detections score confidence times the class's probability; without a class all
/// objects count and the confidence alone is the score. Each object is found once, by the best
/// detection; detections of difficult objects are passed over.
pub fn average_precision(
    images: &[ImageResult],
    class: Option<usize>,
    threshold: f64,
) -> Option<f64> {
    let counts = |truth: &GroundTruth| class.is_none_or(|class| truth.class == class);
    let truths = images.iter().flat_map(|image| &image.truths);
    let total = truths.filter(|truth| counts(truth) && !truth.difficult).count();
    let mut ranked: Vec<(f64, usize, &Detection)> = Vec::new();
    for (image, content) in images.iter().enumerate() {
        for detection in &content.detections {
            let class_score = class.map_or(1.0, |class| probability(detection, class));
            ranked.push((detection.confidence * class_score, image, detection));
        }
    }
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut found: Vec<Vec<bool>> = images.iter().map(|s| vec![false; s.truths.len()]).collect();
    let (mut right, mut seen) = (0, 0);
    let mut curve = Vec::new();
    for (_, image, detection) in ranked {
        let mut best = (threshold, None);
        for (index, truth) in images[image].truths.iter().enumerate() {
            let overlap = iou(&detection.bbox, &truth.bbox);
            if counts(truth) && !found[image][index] && overlap >= best.0 {
                best = (overlap, Some(index));
            }
        }
        match best.1 {
            Some(index) if images[image].truths[index].difficult => continue,
            Some(index) => {
                found[image][index] = true;
                right += 1;
            }
            None => {}
        }
        seen += 1;
        curve.push((right as f64 / total.max(1) as f64, right as f64 / f64::from(seen)));
    }
    let mut envelope: f64 = 0.0;
    for (_, precision) in curve.iter_mut().rev() {
        envelope = envelope.max(*precision);
        *precision = envelope;
    }
    let mut recall = 0.0;
    let area = curve.iter().map(|(reached, precision)| {
        let step = precision * (reached - recall);
        recall = *reached;
        step
    });
    let area = area.sum();
    (total > 0).then_some(area)
}

/// For each annotated object that was found, the detection of at least `confidence` that overlaps it
/// most, at an IoU of `threshold` or more.
pub fn matches(images: &[ImageResult], threshold: f64, confidence: f64) -> Vec<Match> {
    let mut found = Vec::new();
    for (image, content) in images.iter().enumerate() {
        for (object, truth) in content.truths.iter().enumerate() {
            let mut best = (threshold, None);
            for (index, detection) in content.detections.iter().enumerate() {
                let overlap = iou(&truth.bbox, &detection.bbox);
                if detection.confidence >= confidence && overlap >= best.0 {
                    best = (overlap, Some(index));
                }
            }
            found.extend(best.1.map(|detection| Match { image, truth: object, detection }));
        }
    }
    found
}

/// Recall by size at an IoU of `threshold`, in intervals that begin at `from`, ascending.
pub fn recall_by_size(
    images: &[ImageResult],
    threshold: f64,
    confidence: f64,
    from: &[f64],
) -> Vec<SizeRecall> {
    let mut sizes: Vec<SizeRecall> = from
        .iter()
        .enumerate()
        .map(|(at, from_)| SizeRecall {
            from: *from_,
            to: from.get(at + 1).copied(),
            objects: 0,
            found: 0,
        })
        .collect();
    let interval = |truth: &GroundTruth| {
        let size = f64::from(truth.bbox.area()).sqrt();
        from.iter().rposition(|from| size >= *from)
    };
    for truth in images.iter().flat_map(|image| &image.truths).filter(|truth| !truth.difficult) {
        if let Some(at) = interval(truth) {
            sizes[at].objects += 1;
        }
    }
    for found in matches(images, threshold, confidence) {
        let truth = &images[found.image].truths[found.truth];
        if let Some(at) = interval(truth).filter(|_| !truth.difficult) {
            sizes[at].found += 1;
        }
    }
    sizes
}

/// The probability of a class; 0 if the detection does not know it.
fn probability(detection: &Detection, class: usize) -> f64 {
    detection.probabilities.get(class).copied().unwrap_or(0.0)
}
