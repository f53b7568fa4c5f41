//! Winograd's convolution: 3 x 3 with a stride of 1, in a quarter of the multiplications.
//!
//! F(4 x 4, 3 x 3) of A. Lavin and S. Gray, "Fast Algorithms for Convolutional Neural Networks"
//! (2015): tiles of 6 x 6 input pixels are transformed, multiplied with transformed weights at each
//! of their 36 places (as a matrix product over the channels, by [`super::convolution`]), and
//! transformed to 4 x 4 output pixels. With a dilation, every residue of the pixels' coordinates is
//! a picture of its own.

use super::{
    Epilogue, View, Window,
    isa::dispatch,
    lanes::{Lanes, split},
};

/// Side of an output tile.
const OUTPUT: usize = 4;
/// Side of an input tile.
const INPUT: usize = 6;
/// Places in an input tile, each with a matrix of weights.
pub(crate) const PLACES: usize = INPUT * INPUT;

/// The transform of the weights, G.
const WEIGHTS: [[f32; 3]; INPUT] = [
    [1.0 / 4.0, 0.0, 0.0],
    [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
    [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
    [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
    [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
    [0.0, 0.0, 1.0],
];

/// The transformed weights of one input and output channel, G w Gᵀ, of 3 x 3 weights.
pub(crate) fn transform_weights(weights: &[f32; 9]) -> [f32; PLACES] {
    let mut half = [[0.0; 3]; INPUT];
    for (half, row) in half.iter_mut().zip(&WEIGHTS) {
        for (column, value) in half.iter_mut().enumerate() {
            *value = (0..3).map(|tap| row[tap] * weights[3 * tap + column]).sum();
        }
    }
    std::array::from_fn(|place| {
        let (half, row) = (&half[place / INPUT], &WEIGHTS[place % INPUT]);
        (0..3).map(|tap| half[tap] * row[tap]).sum()
    })
}

/// How the tiles cover the output.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tiles {
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
    pub(crate) fn new(window: &Window, [height, width]: [usize; 2]) -> Self {
        let dilation = window.dilation;
        let along = [height.div_ceil(dilation[0]), width.div_ceil(dilation[1])]
            .map(|pixels| pixels.div_ceil(OUTPUT));
        Self { dilation, along }
    }

    /// Number of tiles.
    pub(crate) fn count(&self) -> usize {
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
}

/// One tile to be transformed.
pub(crate) struct TileTask<'a> {
    pub(crate) arena: *mut f32,
    pub(crate) tiles: &'a Tiles,
    /// Number of the tile.
    pub(crate) tile: usize,
    /// The transformed tile's first float, and the distance from place to place.
    pub(crate) scratch: usize,
    pub(crate) place: usize,
    pub(crate) side: Side<'a>,
}

/// Which transform.
pub(crate) enum Side<'a> {
    /// From the input, moved to its border; `rows` and `columns` count halo and picture.
    Input { view: View, rows: usize, columns: usize },
    /// To the output, with bias, residual and bounds.
    Output { view: View, bias: &'a [f32], residual: Option<View>, epilogue: Epilogue },
}

dispatch! {
    /// Transforms a tile.
    ///
    /// # Safety
    /// The processor must have the instruction set. The pictures and the scratch must lie within
    /// the arena; no other thread may write what is read or touch what is written.
    pub(crate) unsafe fn transform(task: &TileTask<'_>) = transform_tile
}

#[inline(always)]
unsafe fn transform_tile<V: Lanes>(task: &TileTask<'_>) {
    let tile = task.tiles.tile(task.tile);
    let channels = match &task.side {
        Side::Input { view, .. } | Side::Output { view, .. } => view.channels,
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
            Side::Input { view, rows, columns } => {
                transform_input::<V>(task, tile, channel, view, [*rows, *columns]);
            }
            Side::Output { view, bias, residual, epilogue } => {
                let bias = V::load(bias.as_ptr().add(channel));
                transform_output::<V>(task, tile, channel, view, residual.as_ref(), bias, epilogue);
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
    view: &View,
    [rows, columns]: [usize; 2],
) {
    let [step_y, step_x] = task.tiles.dilation;
    unsafe {
        let from = task.arena.add(view.at(tile.y, tile.x) + channel);
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
        let to = task.arena.add(task.scratch + channel);
        for row in 0..INPUT {
            let values = input_transform(half[row]);
            for column in 0..INPUT {
                values[column].store(to.add((row * INPUT + column) * task.place));
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
    residual: Option<&View>,
    bias: V,
    epilogue: &Epilogue,
) {
    let [step_y, step_x] = task.tiles.dilation;
    unsafe {
        let from = task.arena.add(task.scratch + channel).cast_const();
        let mut half = [[V::splat(0.0); INPUT]; OUTPUT];
        for column in 0..INPUT {
            let values: [V; INPUT] =
                std::array::from_fn(|row| V::load(from.add((row * INPUT + column) * task.place)));
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
                if let Some(residual) = residual {
                    let residual = residual.at(y, x) + channel;
                    sum = sum.add(V::load(task.arena.add(residual)));
                }
                epilogue.clamp(sum).store(task.arena.add(view.at(y, x) + channel));
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
