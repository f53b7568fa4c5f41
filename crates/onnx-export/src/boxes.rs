//! Boxes of a single-shot detector: decoded, chosen among and averaged, in operations on arrays.
//!
//! ONNX's own suppression is not in every runtime, and none averages boxes, so both are written as products of
//! matrices. Whether a box stays depends on those of a higher score that stay: one product with the matrix of
//! overlaps makes the answer right for the first box, and each further one for those behind it in a chain of overlaps.

use crate::proto::{Attribute, Dim, Graph};

/// The name of the file's output of boxes: `[1, candidates, 4]`, left, top, right and bottom in pixels of the input.
pub const BOXES: &str = "boxes";
/// The name of its output of scores: `[1, candidates]`, in [0, 1], highest first; 0 for boxes that do not stay.
pub const SCORES: &str = "scores";

/// Products with the matrix of overlaps, and so the longest chain of boxes that is right for sure.
const ROUNDS: usize = 16;

/// How a detector's outputs become boxes.
#[derive(Debug, Clone, PartialEq)]
pub struct BoxDecoding {
    /// Width and height of the network's input, in pixels.
    pub size: [usize; 2],
    /// Horizontal and vertical centre, width and height of each prior box, as parts of the image.
    pub priors: Vec<[f32; 4]>,
    /// What offsets of centres and of sizes are multiplied by.
    pub variances: [f32; 2],
    /// How many boxes of the highest scores are looked at; at most as many as there are prior boxes.
    pub candidates: usize,
    /// Two boxes that stay overlap by at most this IoU.
    pub iou_threshold: f32,
    /// A box becomes the mean, weighted by the scores, of those whose IoU with it is at least this.
    pub voting_iou: f32,
    /// Boxes of lower scores have no vote.
    pub voting_score: f32,
}

impl BoxDecoding {
    /// Appends the operations after the network, whose outputs are `[1, priors, 4]` and `[1, priors, 2]`.
    pub(crate) fn write(&self, onnx: &mut Graph, offsets: &str, probabilities: &str) {
        let (count, [width, height]) = (self.candidates, self.size.map(|side| side as f32));
        let mut steps = Steps(onnx);
        steps.candidates(self, offsets, probabilities);
        steps.decode(self);
        steps.overlaps(count);

        // Of two that overlap the one behind goes, unless the one before it is gone.
        steps.exceeds("iou", self.iou_threshold, "near");
        let before = (0..count * count).map(|at| f32::from(u8::from(at % count < at / count)));
        steps.0.initializer("before", &[count, count], &before.collect::<Vec<_>>());
        steps.0.node("Mul", "rivals", &["near", "before"], vec![]);
        steps.0.initializer("stay.0", &[count, 1], &vec![1.0; count]);
        for round in 1..=ROUNDS {
            let (last, now) = (format!("stay.{}", round - 1), format!("stay.{round}"));
            let (beaten, left) = (format!("{now}.beaten"), format!("{now}.left"));
            steps.0.node("MatMul", &beaten, &["rivals", &last], vec![]);
            steps.0.node("Sub", &left, &["one", &beaten], vec![]);
            steps.0.node("Relu", &now, &[&left], vec![]);
        }

        // The mean of the boxes around each.
        steps.at_least("iou", self.voting_iou, "around");
        steps.at_least("score.row", self.voting_score, "may.vote");
        steps.0.node("Mul", "voters", &["around", "may.vote"], vec![]);
        steps.0.node("Mul", "votes", &["voters", "score.row"], vec![]);
        steps.0.node("MatMul", "sums", &["votes", "corners"], vec![]);
        steps.0.node("MatMul", "weights", &["votes", "stay.0"], vec![]);
        // A box without a vote has no weight either, and is far below any threshold.
        steps.0.node("Max", "weights.some", &["weights", "tiny"], vec![]);
        steps.0.node("Div", "means", &["sums", "weights.some"], vec![]);
        steps.0.initializer("pixels", &[1, 4], &[width, height, width, height]);
        steps.0.node("Mul", "means.pixels", &["means", "pixels"], vec![]);
        steps.reshape("means.pixels", &[1, count as i64, 4], BOXES);
        let last = format!("stay.{ROUNDS}");
        steps.0.node("Mul", "score.staying", &["score.column", &last], vec![]);
        steps.reshape("score.staying", &[1, count as i64], SCORES);
        onnx.add_output(BOXES, &[Dim::Fixed(1), Dim::Fixed(count), Dim::Fixed(4)]);
        onnx.add_output(SCORES, &[Dim::Fixed(1), Dim::Fixed(count)]);
    }
}

/// Operations that are appended one after the other.
struct Steps<'a>(&'a mut Graph);

impl Steps<'_> {
    /// The candidates' scores, offsets and prior boxes, a row each, highest score first.
    fn candidates(&mut self, decoding: &BoxDecoding, offsets: &str, probabilities: &str) {
        let (priors, count) = (decoding.priors.len(), decoding.candidates as i64);
        self.0.initializer("one", &[1], &[1.0]);
        self.0.initializer("tiny", &[1], &[1e-12]);
        self.columns(probabilities, 2, 1, 2, "score.all.column");
        self.reshape("score.all.column", &[1, priors as i64], "score.all");
        self.0.integers("count", &[count]);
        let axis = vec![Attribute::int("axis", 1)];
        let outputs = ["score.best", "best"];
        self.0.node_with_outputs("TopK", &["score.all", "count"], &outputs, axis);
        self.reshape("score.best", &[1, count], "score.row");
        self.reshape("score.best", &[count, 1], "score.column");
        self.reshape("best", &[count], "best.row");
        self.reshape(offsets, &[priors as i64, 4], "offset.all");
        let first = || vec![Attribute::int("axis", 0)];
        self.0.node("Gather", "offset", &["offset.all", "best.row"], first());
        let all = decoding.priors.as_flattened();
        self.0.initializer("prior.all", &[priors, 4], all);
        self.0.node("Gather", "prior", &["prior.all", "best.row"], first());
    }

    /// Their corners: left, top, right and bottom, as parts of the image.
    fn decode(&mut self, decoding: &BoxDecoding) {
        let [center, size] = decoding.variances;
        self.0.initializer("variances", &[1, 4], &[center, center, size, size]);
        self.0.node("Mul", "change", &["offset", "variances"], vec![]);
        for (name, value) in [("change", "moved"), ("prior", "prior.center")] {
            self.columns(name, 1, 0, 2, value);
        }
        for (name, value) in [("change", "grown"), ("prior", "prior.size")] {
            self.columns(name, 1, 2, 4, value);
        }
        self.0.node("Mul", "moved.size", &["moved", "prior.size"], vec![]);
        self.0.node("Add", "center", &["moved.size", "prior.center"], vec![]);
        self.0.node("Exp", "growth", &["grown"], vec![]);
        self.0.node("Mul", "size", &["growth", "prior.size"], vec![]);
        self.0.initializer("half", &[1], &[0.5]);
        self.0.node("Mul", "size.half", &["size", "half"], vec![]);
        self.0.node("Sub", "first", &["center", "size.half"], vec![]);
        self.0.node("Add", "last", &["center", "size.half"], vec![]);
        self.0.node("Concat", "corners", &["first", "last"], vec![Attribute::int("axis", 1)]);
    }

    /// The IoU of every two boxes.
    fn overlaps(&mut self, count: usize) {
        let count = count as i64;
        for (at, side) in ["left", "top", "right", "bottom"].into_iter().enumerate() {
            self.columns("corners", 1, at as i64, at as i64 + 1, side);
            self.reshape(side, &[1, count], &format!("{side}.row"));
        }
        for (length, first, last) in [("width", "left", "right"), ("height", "top", "bottom")] {
            let row = |name: &str| format!("{name}.row");
            let part = |name: &str| format!("common.{length}.{name}");
            self.0.node("Max", &part("first"), &[first, &row(first)], vec![]);
            self.0.node("Min", &part("last"), &[last, &row(last)], vec![]);
            self.0.node("Sub", &part("signed"), &[&part("last"), &part("first")], vec![]);
            self.0.node("Relu", &format!("common.{length}"), &[&part("signed")], vec![]);
            self.0.node("Sub", length, &[last, first], vec![]);
        }
        self.0.node("Mul", "common", &["common.width", "common.height"], vec![]);
        self.0.node("Mul", "area", &["width", "height"], vec![]);
        self.reshape("area", &[1, count], "area.row");
        self.0.node("Add", "areas", &["area", "area.row"], vec![]);
        self.0.node("Sub", "union", &["areas", "common"], vec![]);
        self.0.node("Max", "union.some", &["union", "tiny"], vec![]);
        self.0.node("Div", "iou", &["common", "union.some"], vec![]);
    }

    /// 1 where a value is larger than the threshold, else 0.
    fn exceeds(&mut self, value: &str, threshold: f32, to: &str) {
        let (limit, is) = (format!("{to}.limit"), format!("{to}.is"));
        self.0.initializer(&limit, &[1], &[threshold]);
        self.0.node("Greater", &is, &[value, &limit], vec![]);
        self.0.node("Cast", to, &[&is], vec![Attribute::int("to", 1)]);
    }

    /// 1 where a value is at least the threshold, else 0.
    fn at_least(&mut self, value: &str, threshold: f32, to: &str) {
        self.exceeds(value, threshold.next_down(), to);
    }

    /// Some neighbouring columns along an axis.
    fn columns(&mut self, from: &str, axis: i64, first: i64, end: i64, to: &str) {
        let part = |name: &str| format!("{to}.{name}");
        self.0.integers(&part("from"), &[first]);
        self.0.integers(&part("to"), &[end]);
        self.0.integers(&part("axis"), &[axis]);
        let inputs = [from, &part("from"), &part("to"), &part("axis")];
        self.0.node("Slice", to, &inputs, vec![]);
    }

    fn reshape(&mut self, from: &str, shape: &[i64], to: &str) {
        let dims = format!("{to}.dims");
        self.0.integers(&dims, shape);
        self.0.node("Reshape", to, &[from, &dims], vec![]);
    }
}
