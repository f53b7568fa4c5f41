//! Parts of large images, each seen by the network at its own size, so that faces of few pixels are
//! found in photographs of many.

use geometry::{BoundingBox, ImageSize, PixelRect, UnitBox, non_maximum_suppression};

use crate::{Face, PostprocessConfig};

/// Neighbouring tiles share this part of their side. A face that is smaller lies whole in a tile.
const SHARED: f32 = 0.25;

/// Of two faces that an image and its tiles show, the smaller lies in the other by at most this part:
/// seen larger, a part of a face may pass for one.
const MERGED_OVERLAP: f32 = 0.6;

/// The tiles of an image, none if it is a tile itself. All are squares of `side` pixels, or as high or
/// wide as the image where that is less.
pub(crate) fn tiles(size: ImageSize, side: u32) -> Vec<PixelRect> {
    if size.width.max(size.height) <= side {
        return Vec::new();
    }
    let (width, height) = (size.width.min(side), size.height.min(side));
    let (columns, rows) = (starts(size.width, width), starts(size.height, height));
    let row = |y: u32| columns.iter().map(move |x| PixelRect { x: *x, y, width, height });
    rows.iter().flat_map(|y| row(*y)).collect()
}

/// Where tiles of a length begin, evenly spread over the whole.
fn starts(whole: u32, length: u32) -> Vec<u32> {
    let (beyond, step) = (whole - length, (length as f32 * (1.0 - SHARED)).max(1.0));
    let steps = (beyond as f32 / step).ceil() as u32;
    let start = |at: u32| (u64::from(beyond) * u64::from(at) / u64::from(steps.max(1))) as u32;
    (0..=steps).map(start).collect()
}

/// Whether a box, in the image's pixels, counts where a tile found it: it is not cut by an edge of the
/// tile inside the image, and no larger than what a neighbour would see whole. Others are found by a
/// neighbour, or in the whole image.
pub(crate) fn counts(bbox: &BoundingBox, tile: PixelRect, image: ImageSize) -> bool {
    let edges = tile.to_box();
    // The network's boxes err by some pixels, more on large faces.
    let (across, along) = (0.1 * bbox.width(), 0.1 * bbox.height());
    let most = SHARED * tile.width.min(tile.height) as f32;
    bbox.width().max(bbox.height()) <= most
        && (tile.x == 0 || bbox.x_min > edges.x_min + across)
        && (tile.y == 0 || bbox.y_min > edges.y_min + along)
        && (tile.x + tile.width == image.width || bbox.x_max < edges.x_max - across)
        && (tile.y + tile.height == image.height || bbox.y_max < edges.y_max - along)
}

/// The faces that an image and its tiles show, each once, highest score first.
pub(crate) fn merged(
    mut faces: Vec<Face>,
    size: ImageSize,
    config: &PostprocessConfig,
) -> Vec<Face> {
    faces.sort_by(|a, b| b.score.total_cmp(&a.score));
    let boxes: Vec<UnitBox> = faces.iter().map(|face| face.bbox.to_unit(size)).collect();
    let overlap = config.overlap_threshold.min(MERGED_OVERLAP);
    let kept = non_maximum_suppression(&boxes, config.iou_threshold, overlap, faces.len());
    kept.into_iter().map(|index| faces[index]).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_image_of_one_tile_has_none() {
        assert!(tiles((640, 480).into(), 640).is_empty());
        assert_eq!(tiles((641, 480).into(), 640).len(), 2);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Wherever a face of up to a fifth of a tile's side stands, a tile counts it.
        #[test]
        fn every_small_face_is_whole_in_a_tile(
            (width, height) in (64..5000_u32, 64..5000_u32),
            side in 64..1500_u32,
            (x, y, face) in (0.0..1.0_f32, 0.0..1.0_f32, 0.05..1.0_f32),
        ) {
            let size = ImageSize { width, height };
            let all = tiles(size, side);
            prop_assume!(!all.is_empty());
            prop_assert!(all.iter().all(|tile| tile.is_inside(size)));
            let face = face * 0.2 * side.min(width).min(height) as f32;
            let (x, y) = (x * (width as f32 - face), y * (height as f32 - face));
            let bbox = BoundingBox { x_min: x, y_min: y, x_max: x + face, y_max: y + face };
            prop_assert!(all.iter().any(|tile| counts(&bbox, *tile, size)));
        }
    }
}
