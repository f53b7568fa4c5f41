//! Tiles of an image, transformed for Winograd's products and back.

use super::{INPUT, OUTPUT, TILE_POSITIONS};
use crate::{
    Window,
    activation::Clamp,
    simd::{
        dispatch,
        lanes::{Lanes, split},
    },
    view::{Arena, Source, View},
};

/// How the tiles cover the output.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tiles {
    dilation: [usize; 2],
    /// Tiles along each axis, of the largest residue.
    along: [usize; 2],
}

/// Where an output tile begins; its pixels are a dilation apart.
#[derive(Debug, Clone, Copy)]
struct Tile {
    y: usize,
    x: usize,
}

impl Tiles {
    pub(super) fn new(window: &Window, [height, width]: [usize; 2]) -> Self {
        let dilation = window.dilation;
        let along = [height.div_ceil(dilation[0]), width.div_ceil(dilation[1])]
            .map(|pixels| pixels.div_ceil(OUTPUT));
        Self { dilation, along }
    }

    /// Number of tiles.
    pub(super) fn count(&self) -> usize {
        self.along[0] * self.along[1] * self.dilation[0] * self.dilation[1]
    }

    fn tile(&self, index: usize) -> Tile {
        let (index, tile_x) = (index / self.along[1], index % self.along[1]);
        let (index, tile_y) = (index / self.along[0], index % self.along[0]);
        let (residue_y, residue_x) = (index / self.dilation[1], index % self.dilation[1]);
        Tile {
            y: residue_y + tile_y * OUTPUT * self.dilation[0],
            x: residue_x + tile_x * OUTPUT * self.dilation[1],
        }
    }

    /// The output pixels of a tile, `[y, x]`.
    pub(super) fn pixels(
        &self,
        index: usize,
        size: [usize; 2],
    ) -> impl Iterator<Item = [usize; 2]> + use<> {
        let (tile, [step_y, step_x]) = (self.tile(index), self.dilation);
        (0..OUTPUT * OUTPUT)
            .map(move |at| [tile.y + at / OUTPUT * step_y, tile.x + at % OUTPUT * step_x])
            .filter(move |[y, x]| *y < size[0] && *x < size[1])
    }
}

/// One tile to be transformed.
pub(super) struct TileTask<'a> {
    pub(super) arena: Arena,
    pub(super) tiles: &'a Tiles,
    /// Number of the tile.
    pub(super) tile: usize,
    /// The transformed tile's first float, and the distance from position to position.
    pub(super) scratch: usize,
    pub(super) position: usize,
    pub(super) side: Side<'a>,
}

/// Which transform.
pub(super) enum Side<'a> {
    Input(&'a Image),
    /// To the output, with bias, residual and bounds.
    Output {
        view: View,
        bias: &'a [f32],
        residual: Option<(Source, View)>,
        clamp: Clamp,
    },
}

/// What tiles are made from.
pub(super) struct Image {
    pub(super) source: Source,
    /// The input, moved to its border.
    pub(super) view: View,
    /// Rows and columns of image and halo.
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl TileTask<'_> {
    /// The transformed tile's channels from `channel` on, checked up to the last position's.
    #[inline(always)]
    fn scratch_at<V: Lanes>(&self, channel: usize) -> *mut f32 {
        let reach = (TILE_POSITIONS - 1) * self.position + V::COUNT;
        self.arena.at(self.scratch + channel, reach)
    }
}

dispatch! {
    /// Transforms a tile.
    ///
    /// # Safety
    /// The processor must have the instruction set. No other thread may write what is read or
    /// touch what is written.
    pub(super) unsafe fn transform(task: &TileTask<'_>) = transform_tile
}

#[inline(always)]
unsafe fn transform_tile<V: Lanes>(task: &TileTask<'_>) {
    let tile = task.tiles.tile(task.tile);
    let channels = match &task.side {
        Side::Input(Image { view, .. }) | Side::Output { view, .. } => view.channels,
    };
    let (vectors, rest) = split::<V>(channels);
    unsafe {
        for channel in vectors {
            transform_channels::<V>(task, tile, channel);
        }
        for channel in rest {
            transform_channels::<f32>(task, tile, channel);
        }
    }
}

#[inline(always)]
unsafe fn transform_channels<V: Lanes>(task: &TileTask<'_>, tile: Tile, channel: usize) {
    unsafe {
        match &task.side {
            Side::Input(image) => transform_input::<V>(task, tile, channel, image),
            Side::Output { view, bias, residual, clamp } => {
                let bias = V::load(bias.as_ptr().add(channel));
                transform_output::<V>(task, tile, channel, view, residual.as_ref(), bias, clamp);
            }
        }
    }
}

#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "constant bounds, to be unrolled")]
unsafe fn transform_input<V: Lanes>(
    task: &TileTask<'_>,
    tile: Tile,
    channel: usize,
    image: &Image,
) {
    let [step_y, step_x] = task.tiles.dilation;
    let Image { source, view, rows, columns } = *image;
    unsafe {
        // The last pixel that is read lies in the image or its halo.
        let within = |start: usize, step: usize, length: usize| {
            ((length - start).div_ceil(step)).min(INPUT) - 1
        };
        let last = within(tile.y, step_y, rows) * step_y * view.row
            + within(tile.x, step_x, columns) * step_x * view.pixel;
        let from = source.at(view.at(tile.y, tile.x) + channel, last + V::COUNT);
        let mut half = [[V::splat(0.0); INPUT]; INPUT];
        for column in 0..INPUT {
            // What lies beyond the halo meets only outputs that are not wanted.
            if tile.x + column * step_x >= columns {
                continue;
            }
            let mut values = [V::splat(0.0); INPUT];
            for row in 0..INPUT {
                if tile.y + row * step_y < rows {
                    let at = row * step_y * view.row + column * step_x * view.pixel;
                    values[row] = V::load(from.add(at));
                }
            }
            let values = input_transform(values);
            for row in 0..INPUT {
                half[row][column] = values[row];
            }
        }
        let to = task.scratch_at::<V>(channel);
        for row in 0..INPUT {
            let values = input_transform(half[row]);
            for column in 0..INPUT {
                values[column].store(to.add((row * INPUT + column) * task.position));
            }
        }
    }
}

#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "constant bounds, to be unrolled")]
unsafe fn transform_output<V: Lanes>(
    task: &TileTask<'_>,
    tile: Tile,
    channel: usize,
    view: &View,
    residual: Option<&(Source, View)>,
    bias: V,
    clamp: &Clamp,
) {
    let [step_y, step_x] = task.tiles.dilation;
    unsafe {
        let from = task.scratch_at::<V>(channel).cast_const();
        let mut half = [[V::splat(0.0); INPUT]; OUTPUT];
        for column in 0..INPUT {
            let values: [V; INPUT] = std::array::from_fn(|row| {
                V::load(from.add((row * INPUT + column) * task.position))
            });
            let values = output_transform(values);
            for row in 0..OUTPUT {
                half[row][column] = values[row];
            }
        }
        for row in 0..OUTPUT {
            let y = tile.y + row * step_y;
            if y >= view.height {
                break;
            }
            let values = output_transform(half[row]);
            for column in 0..OUTPUT {
                let x = tile.x + column * step_x;
                if x >= view.width {
                    break;
                }
                let mut sum = values[column].add(bias);
                if let Some((source, residual)) = residual {
                    let from = source.at(residual.at(y, x) + channel, V::COUNT);
                    sum = sum.add(V::load(from));
                }
                clamp.apply(sum).store(task.arena.at(view.at(y, x) + channel, V::COUNT));
            }
        }
    }
}

/// Bᵀ times a column.
#[inline(always)]
unsafe fn input_transform<V: Lanes>([a, b, c, d, e, f]: [V; INPUT]) -> [V; INPUT] {
    unsafe {
        let [two, four, minus_five] = [2.0, 4.0, -5.0].map(|value| V::splat(value));
        let (ec, db) = (e.sub(c), d.sub(b));
        let (even, odd) = (c.mul_add(V::splat(-4.0), e), b.mul_add(V::splat(-4.0), d));
        [
            a.mul_add(four, c.mul_add(minus_five, e)),
            even.add(odd),
            even.sub(odd),
            db.mul_add(two, ec),
            db.mul_add(V::splat(-2.0), ec),
            b.mul_add(four, d.mul_add(minus_five, f)),
        ]
    }
}

/// Aᵀ times a column.
#[inline(always)]
unsafe fn output_transform<V: Lanes>([a, b, c, d, e, f]: [V; INPUT]) -> [V; OUTPUT] {
    unsafe {
        let (sum, difference) = (b.add(c), b.sub(c));
        let (far_sum, far_difference) = (d.add(e), d.sub(e));
        [
            a.add(sum).add(far_sum),
            far_difference.mul_add(V::splat(2.0), difference),
            far_sum.mul_add(V::splat(4.0), sum),
            far_difference.mul_add(V::splat(8.0), difference).add(f),
        ]
    }
}
