//! Boxes found against boxes annotated.

use serde::Serialize;

/// A box in pixels: left, upper, right, lower.
pub type Bounds = [f64; 4];

/// An annotated object.
#[derive(Debug, Clone, PartialEq)]
pub struct Truth {
    /// Where it is.
    pub bounds: Bounds,
    /// Its class.
    pub class: usize,
    /// Whether finding it counts neither for nor against.
    pub difficult: bool,
}

/// A found object.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// Where it is.
    pub bounds: Bounds,
    /// How sure it is that there is an object.
    pub confidence: f64,
    /// Probability of each class, given an object.
    pub probabilities: Vec<f64>,
}

/// A picture's annotated and found objects.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scene {
    /// What is there.
    pub truths: Vec<Truth>,
    /// What was found.
    pub predictions: Vec<Prediction>,
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

/// Intersection over union.
fn iou(a: &Bounds, b: &Bounds) -> f64 {
    let width = a[2].min(b[2]) - a[0].max(b[0]);
    let height = a[3].min(b[3]) - a[1].max(b[1]);
    if width <= 0.0 || height <= 0.0 {
        return 0.0;
    }
    let area = |r: &Bounds| (r[2] - r[0]) * (r[3] - r[1]);
    width * height / (area(a) + area(b) - width * height)
}

/// Average precision, with all-point interpolation, at an IoU of `threshold` or more; none if there
/// is nothing to find.
///
/// Of a class predictions score confidence times the class's probability; without a class all
/// objects count and the confidence alone is the score. Each object is found once, by the best
/// prediction; predictions of difficult objects are passed over.
pub fn average_precision(scenes: &[Scene], class: Option<usize>, threshold: f64) -> Option<f64> {
    let counts = |truth: &Truth| class.is_none_or(|class| truth.class == class);
    let truths = scenes.iter().flat_map(|scene| &scene.truths);
    let total = truths.filter(|truth| counts(truth) && !truth.difficult).count();
    let mut ranked: Vec<(f64, usize, &Prediction)> = Vec::new();
    for (scene, content) in scenes.iter().enumerate() {
        for prediction in &content.predictions {
            let class_score = class.map_or(1.0, |class| prediction.probabilities[class]);
            ranked.push((prediction.confidence * class_score, scene, prediction));
        }
    }
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut found: Vec<Vec<bool>> = scenes.iter().map(|s| vec![false; s.truths.len()]).collect();
    let (mut right, mut seen) = (0, 0);
    let mut curve = Vec::new();
    for (_, scene, prediction) in ranked {
        let mut best = (threshold, None);
        for (index, truth) in scenes[scene].truths.iter().enumerate() {
            let overlap = iou(&prediction.bounds, &truth.bounds);
            if counts(truth) && !found[scene][index] && overlap >= best.0 {
                best = (overlap, Some(index));
            }
        }
        match best.1 {
            Some(index) if scenes[scene].truths[index].difficult => continue,
            Some(index) => {
                found[scene][index] = true;
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

/// For each annotated object that was found, scene, object and prediction: the prediction of at
/// least `confidence` that overlaps it most, at an IoU of `threshold` or more.
pub fn matches(scenes: &[Scene], threshold: f64, confidence: f64) -> Vec<(usize, usize, usize)> {
    let mut found = Vec::new();
    for (scene, content) in scenes.iter().enumerate() {
        for (object, truth) in content.truths.iter().enumerate() {
            let mut best = (threshold, None);
            for (index, prediction) in content.predictions.iter().enumerate() {
                let overlap = iou(&truth.bounds, &prediction.bounds);
                if prediction.confidence >= confidence && overlap >= best.0 {
                    best = (overlap, Some(index));
                }
            }
            found.extend(best.1.map(|prediction| (scene, object, prediction)));
        }
    }
    found
}

/// Recall by size at an IoU of `threshold`, in intervals that begin at `from`, ascending.
pub fn recall_by_size(
    scenes: &[Scene],
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
    let interval = |truth: &Truth| {
        let [x0, y0, x1, y1] = truth.bounds;
        let size = ((x1 - x0) * (y1 - y0)).sqrt();
        from.iter().rposition(|from| size >= *from)
    };
    for truth in scenes.iter().flat_map(|scene| &scene.truths).filter(|truth| !truth.difficult) {
        if let Some(at) = interval(truth) {
            sizes[at].objects += 1;
        }
    }
    for (scene, object, _) in matches(scenes, threshold, confidence) {
        let truth = &scenes[scene].truths[object];
        if let Some(at) = interval(truth).filter(|_| !truth.difficult) {
            sizes[at].found += 1;
        }
    }
    sizes
}
