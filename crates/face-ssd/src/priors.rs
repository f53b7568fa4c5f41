//! Prior boxes: the boxes at every cell of the six feature maps that the network corrects.

use std::{fmt, str::FromStr};

use geometry::{ImageSize, UnitBox};
use serde::{Deserialize, Serialize};

use crate::FaceSsdError;

/// Scales of the four predicted offsets (centre x, centre y, width, height), from `deploy.prototxt`.
pub const VARIANCES: [f32; 4] = [0.1, 0.1, 0.2, 0.2];

/// One feature map's priors, from the `PriorBox` layers of `deploy.prototxt`. Lengths in pixels of
/// the network's input.
struct PriorLevel {
    min_size: f32,
    max_size: f32,
    /// Each ratio is used upright and flipped, beside the two squares.
    aspect_ratios: &'static [f32],
    /// Distance of neighbouring centres that Caffe was told.
    caffe_step: f32,
    /// Whether that distance is the feature map's stride, so that centres and features agree.
    step_is_stride: bool,
}

#[rustfmt::skip]
const LEVELS: [PriorLevel; 6] = [
    PriorLevel { min_size: 30.0, max_size: 60.0, aspect_ratios: &[2.0], caffe_step: 8.0, step_is_stride: true },
    PriorLevel { min_size: 60.0, max_size: 111.0, aspect_ratios: &[2.0, 3.0], caffe_step: 16.0, step_is_stride: true },
    PriorLevel { min_size: 111.0, max_size: 162.0, aspect_ratios: &[2.0, 3.0], caffe_step: 32.0, step_is_stride: true },
    PriorLevel { min_size: 162.0, max_size: 213.0, aspect_ratios: &[2.0, 3.0], caffe_step: 64.0, step_is_stride: true },
    PriorLevel { min_size: 213.0, max_size: 264.0, aspect_ratios: &[2.0], caffe_step: 100.0, step_is_stride: false },
    PriorLevel { min_size: 264.0, max_size: 315.0, aspect_ratios: &[2.0], caffe_step: 300.0, step_is_stride: false },
];

/// A prior of every cell of a feature map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct CellPrior {
    width: f32,
    height: f32,
    /// Distance of its centre from the cell's, right and down, in cells.
    offset: [f32; 2],
    /// The prior of `deploy.prototxt` on the same map whose weights it starts with.
    pub(crate) starts_as: usize,
}

impl CellPrior {
    fn square(side: f32, starts_as: usize) -> Self {
        Self { width: side, height: side, offset: [0.0; 2], starts_as }
    }

    /// Four squares in the quarters of a cell: a face much smaller than the distance of two cells
    /// overlaps no prior in their middles.
    fn quarters(side: f32, starts_as: usize) -> [Self; 4] {
        [[-0.25, -0.25], [0.25, -0.25], [-0.25, 0.25], [0.25, 0.25]]
            .map(|offset| Self { offset, ..Self::square(side, starts_as) })
    }
}

/// Where the centres of the prior boxes stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PriorLayout {
    /// Every prior stands where its features are: the steps of `deploy.prototxt` for the first four
    /// feature maps, whose strides they are, and the input size over the number of cells for the
    /// last two.
    #[default]
    Corrected,
    /// The centres of [`PriorLayout::Corrected`], other boxes: squares alone, which any face
    /// overlaps well, from 11 pixels on (those of 11 and 15 four times per cell, as FaceBoxes
    /// densifies its anchors) up to 560. Needs weights that were trained with it.
    Squares,
    /// The steps of `deploy.prototxt`. Those of the last two maps, 100 and 300 pixels over 5 x 5
    /// cells, put priors far outside the image and so yield ghost boxes. For parity with OpenCV.
    Caffe,
}

impl fmt::Display for PriorLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Corrected => "corrected",
            Self::Squares => "squares",
            Self::Caffe => "caffe",
        })
    }
}

impl FromStr for PriorLayout {
    type Err = FaceSsdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "corrected" => Ok(Self::Corrected),
            "squares" => Ok(Self::Squares),
            "caffe" => Ok(Self::Caffe),
            _ => Err(FaceSsdError::ParsePriorLayout(text.to_owned())),
        }
    }
}

impl PriorLayout {
    /// The priors of a cell of each feature map.
    pub(crate) fn cell_priors(self) -> [Vec<CellPrior>; 6] {
        let mut levels = [const { Vec::new() }; 6];
        for (priors, level) in levels.iter_mut().zip(&LEVELS) {
            *priors = level.priors();
            if self == Self::Squares {
                priors.truncate(2);
            }
        }
        if self == Self::Squares {
            let small = [11.0, 15.0].into_iter().flat_map(|side| CellPrior::quarters(side, 0));
            levels[0].extend(small.chain([CellPrior::square(21.0, 0)]));
            levels[5].extend([400.0, 560.0].map(|side| CellPrior::square(side, 1)));
        }
        levels
    }

    /// Whether a network with as many outputs for one layout can be used with the other.
    pub(crate) fn shares_weights(self, other: Self) -> bool {
        (self == Self::Squares) == (other == Self::Squares)
    }
}

/// A prior box in fractions of the image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PriorBox {
    /// Centre, from the left.
    pub center_x: f32,
    /// Centre, from the top.
    pub center_y: f32,
    /// Width.
    pub width: f32,
    /// Height.
    pub height: f32,
}

impl PriorBox {
    /// The prior's own edges.
    pub fn to_box(&self) -> UnitBox {
        UnitBox {
            x_min: self.center_x - self.width / 2.0,
            y_min: self.center_y - self.height / 2.0,
            x_max: self.center_x + self.width / 2.0,
            y_max: self.center_y + self.height / 2.0,
        }
    }

    /// The box that four predicted deltas make of this prior (`CENTER_SIZE` code of SSD).
    pub fn decode(&self, deltas: [f32; 4]) -> UnitBox {
        Self {
            center_x: VARIANCES[0] * deltas[0] * self.width + self.center_x,
            center_y: VARIANCES[1] * deltas[1] * self.height + self.center_y,
            width: (VARIANCES[2] * deltas[2]).exp() * self.width,
            height: (VARIANCES[3] * deltas[3]).exp() * self.height,
        }
        .to_box()
    }

    /// The deltas that [`PriorBox::decode`] turns into `bbox`, which must have an area.
    pub fn encode(&self, bbox: &UnitBox) -> [f32; 4] {
        let center_x = (bbox.x_min + bbox.x_max) / 2.0;
        let center_y = (bbox.y_min + bbox.y_max) / 2.0;
        [
            (center_x - self.center_x) / self.width / VARIANCES[0],
            (center_y - self.center_y) / self.height / VARIANCES[1],
            (bbox.width() / self.width).ln() / VARIANCES[2],
            (bbox.height() / self.height).ln() / VARIANCES[3],
        ]
    }
}

/// Thresholds of [`PriorBoxes::match_to`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct MatchConfig {
    /// A prior of at least this IoU with a face is to find it. Default: 0.5, as in SSD's paper.
    pub positive_iou: f32,
    /// A prior of less than this IoU with every face is background; between the two it counts
    /// neither way. Default: 0.5.
    pub negative_iou: f32,
}

impl Default for MatchConfig {
    fn default() -> Self {
        Self { positive_iou: 0.5, negative_iou: 0.5 }
    }
}

/// What a prior is to find in a training image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PriorMatch {
    /// The face of this index.
    Face(usize),
    /// No face.
    Background,
    /// Either: it does not count.
    Ignored,
}

/// All prior boxes for one input size, in the order of the network's output: by feature map, row,
/// column, then size and ratio.
#[derive(Debug, Clone, PartialEq)]
pub struct PriorBoxes(Vec<PriorBox>);

impl PriorBoxes {
    /// Lays the priors out for a network input of a size.
    pub fn new(layout: PriorLayout, size: ImageSize) -> Self {
        let ImageSize { width, height } = size;
        let (input_width, input_height) = (width as f32, height as f32);
        let mut priors = Vec::new();
        let maps = LEVELS.iter().zip(layout.cell_priors()).zip(feature_map_sizes(width, height));
        for ((level, cell), (columns, rows)) in maps {
            let (step_x, step_y) = match layout {
                PriorLayout::Corrected | PriorLayout::Squares if !level.step_is_stride => {
                    (input_width / columns as f32, input_height / rows as f32)
                }
                _ => (level.caffe_step, level.caffe_step),
            };
            for row in 0..rows {
                for column in 0..columns {
                    priors.extend(cell.iter().map(|prior| PriorBox {
                        center_x: (column as f32 + 0.5 + prior.offset[0]) * step_x / input_width,
                        center_y: (row as f32 + 0.5 + prior.offset[1]) * step_y / input_height,
                        width: prior.width / input_width,
                        height: prior.height / input_height,
                    }));
                }
            }
        }
        Self(priors)
    }

    /// What each prior is to find among `faces`: the face it overlaps most, if enough. Every face
    /// also gets the prior that overlaps it most, unless a face before it took that one.
    pub fn match_to(&self, faces: &[UnitBox], config: &MatchConfig) -> Vec<PriorMatch> {
        let mut best_prior = vec![(0.0f32, None); faces.len()];
        let mut matches: Vec<PriorMatch> = Vec::with_capacity(self.0.len());
        for (index, prior) in self.0.iter().enumerate() {
            let edges = prior.to_box();
            let mut best = (0.0, None);
            for (face, bbox) in faces.iter().enumerate() {
                let iou = edges.iou(bbox);
                if iou > best.0 {
                    best = (iou, Some(face));
                }
                if iou > best_prior[face].0 {
                    best_prior[face] = (iou, Some(index));
                }
            }
            matches.push(match best {
                (iou, Some(face)) if iou >= config.positive_iou => PriorMatch::Face(face),
                (iou, _) if iou >= config.negative_iou => PriorMatch::Ignored,
                _ => PriorMatch::Background,
            });
        }
        let mut taken = Vec::new();
        for (face, (_, prior)) in best_prior.into_iter().enumerate() {
            let Some(prior) = prior.filter(|prior| !taken.contains(prior)) else { continue };
            matches[prior] = PriorMatch::Face(face);
            taken.push(prior);
        }
        matches
    }

    /// The priors.
    pub fn as_slice(&self) -> &[PriorBox] {
        &self.0
    }
}

impl PriorLevel {
    /// The priors of a cell, in Caffe's order.
    fn priors(&self) -> Vec<CellPrior> {
        let mean = (self.min_size * self.max_size).sqrt();
        let squares = [(self.min_size, self.min_size), (mean, mean)];
        let rectangles = self.aspect_ratios.iter().flat_map(|ratio| {
            let (long, short) = (self.min_size * ratio.sqrt(), self.min_size / ratio.sqrt());
            [(long, short), (short, long)]
        });
        let sizes = squares.into_iter().chain(rectangles).enumerate();
        let prior =
            |(starts_as, (width, height))| CellPrior { width, height, offset: [0.0; 2], starts_as };
        sizes.map(prior).collect()
    }
}

/// Columns and rows of the six feature maps for an input of `width` x `height` pixels.
pub(crate) fn feature_map_sizes(width: u32, height: u32) -> [(usize, usize); 6] {
    // Each function is a layer's arithmetic: padded 7 x 7 and 3 x 3 convolutions of stride 2, and
    // a 3 x 3 pool of stride 2 that rounds up.
    let stem = |side: u32| (side.saturating_sub(1) / 2 + 1).saturating_sub(3).div_ceil(2) + 1;
    let halve = |side: u32| side.saturating_sub(1) / 2 + 1;
    let mut sides = (stem(width), stem(height));
    let mut next = || {
        sides = (halve(sides.0), halve(sides.1));
        (sides.0 as usize, sides.1 as usize)
    };
    let (first, second, third, fourth) = (next(), next(), next(), next());
    [first, second, third, fourth, fourth, fourth]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_maps_of_the_reference_input() {
        // Cells and priors per cell as documents of the Caffe model give them: 8892 priors in all.
        let maps = feature_map_sizes(300, 300);
        assert_eq!(maps.map(|(columns, _)| columns), [38, 19, 10, 5, 5, 5]);
        assert_eq!(PriorLayout::Caffe.cell_priors().map(|cell| cell.len()), [4, 6, 6, 6, 4, 4]);
        for layout in [PriorLayout::Caffe, PriorLayout::Corrected] {
            assert_eq!(PriorBoxes::new(layout, (300, 300).into()).as_slice().len(), 8892);
        }
    }

    #[test]
    fn corrected_centres_lie_within_a_cell_of_the_image_caffe_ones_do_not() {
        for (width, height) in [(300, 300), (480, 360), (270, 480), (480, 32)] {
            let farthest = |layout| {
                let priors = PriorBoxes::new(layout, (width, height).into());
                let beyond = |prior: &PriorBox| {
                    let right = (prior.center_x - 1.0) * width as f32;
                    right.max((prior.center_y - 1.0) * height as f32)
                };
                priors.as_slice().iter().map(beyond).fold(f32::MIN, f32::max)
            };
            assert!(farthest(PriorLayout::Corrected) < 64.0);
            assert!(farthest(PriorLayout::Caffe) > 100.0);
        }
    }

    #[test]
    fn every_face_overlaps_a_square() {
        // Of faces as broad as high, from 11 pixels to the whole image, wherever they stand: at
        // least half of a prior and a face are common to both.
        for side in [352, 560] {
            let priors = PriorBoxes::new(PriorLayout::Squares, (side, side).into());
            for step in 0..400 {
                let unit =
                    |number: u32| (step as f32 * [0.618, 0.414, 0.732][number as usize]).fract();
                let length = 11.0 / side as f32 * (side as f32 / 11.0).powf(unit(0));
                let (x, y) = (unit(1) * (1.0 - length), unit(2) * (1.0 - length));
                let face = UnitBox { x_min: x, y_min: y, x_max: x + length, y_max: y + length };
                let best =
                    priors.0.iter().map(|prior| prior.to_box().iou(&face)).fold(0.0, f32::max);
                // Between the large maps' coarse cells, somewhat less.
                let wanted = if length * (side as f32) < 120.0 { 0.45 } else { 0.35 };
                assert!(best > wanted, "{face:?} of {}: {best}", length * side as f32);
            }
        }
    }

    #[test]
    fn encoded_boxes_decode_to_themselves() {
        for prior in PriorBoxes::new(PriorLayout::Corrected, (96, 64).into()).as_slice() {
            let bbox = UnitBox { x_min: 0.2, y_min: 0.3, x_max: 0.55, y_max: 0.9 };
            let back = prior.decode(prior.encode(&bbox));
            for (a, b) in [(back.x_min, bbox.x_min), (back.y_max, bbox.y_max)] {
                assert!((a - b).abs() < 1e-5, "{prior:?}: {back:?}");
            }
        }
    }

    #[test]
    fn priors_match_the_faces_they_overlap() {
        let priors = PriorBoxes::new(PriorLayout::Corrected, (300, 300).into());
        // One face on a prior, one so small that no prior overlaps it enough.
        let on_prior = priors.as_slice()[700].to_box();
        let tiny = UnitBox { x_min: 0.8, y_min: 0.8, x_max: 0.82, y_max: 0.82 };
        let config = MatchConfig { positive_iou: 0.5, negative_iou: 0.35 };
        let matches = priors.match_to(&[on_prior, tiny], &config);
        assert_eq!(matches[700], PriorMatch::Face(0));
        assert_eq!(matches.iter().filter(|found| **found == PriorMatch::Face(1)).count(), 1);
        for (found, prior) in matches.iter().zip(priors.as_slice()) {
            let iou = prior.to_box().iou(&on_prior);
            match found {
                PriorMatch::Face(0) => assert!(iou >= 0.5),
                PriorMatch::Ignored => assert!((0.35..0.5).contains(&iou)),
                PriorMatch::Background => assert!(iou < 0.35),
                PriorMatch::Face(_) => {}
            }
        }
        let none = priors.match_to(&[], &config);
        assert!(none.iter().all(|found| *found == PriorMatch::Background));
    }

    #[test]
    fn layouts_parse_back_from_their_names() {
        for layout in [PriorLayout::Caffe, PriorLayout::Corrected, PriorLayout::Squares] {
            assert_eq!(layout.to_string().parse::<PriorLayout>().unwrap(), layout);
        }
        assert!("other".parse::<PriorLayout>().is_err());
    }
}
