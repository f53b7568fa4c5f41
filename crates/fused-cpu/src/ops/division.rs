//! How the pixels and output channels of a convolution are divided among tasks.

use std::ops::Range;

use super::tile::TILE_PIXELS;

/// Floats of the input that the output pixels of a task may read, to stay in a core's cache.
const TASK_FLOATS: usize = 48 * 1024;

/// How the pixels and panels of a convolution are divided among tasks.
pub(super) struct Division {
    /// All pixels, and those of a task.
    pixels: usize,
    block: usize,
    /// All panels, and those of a task.
    panels: usize,
    panels_each: usize,
    /// Tasks that divide the panels of a block.
    shares: usize,
}

impl Division {
    /// Most output pixels that one task computes.
    pub(super) const MOST_PIXELS: usize = 392;

    /// `wanted` is how many tasks are wanted, `reads` how many floats of the input there are for an
    /// output pixel. With `by_panels`, tasks divide the panels before the pixels.
    pub(super) fn new(
        wanted: usize,
        pixels: usize,
        reads: usize,
        panels: usize,
        by_panels: bool,
    ) -> Self {
        let shares = if by_panels { wanted.min(panels) } else { 1 };
        let block = (TASK_FLOATS / reads)
            .min(pixels.div_ceil(wanted.div_ceil(shares)))
            .clamp(1, Self::MOST_PIXELS)
            .next_multiple_of(TILE_PIXELS);
        let blocks = pixels.div_ceil(block);
        // Few pixels: tasks also divide the output channels.
        let shares = shares.max(wanted.div_ceil(blocks)).min(panels);
        Self { pixels, block, panels, panels_each: panels.div_ceil(shares), shares }
    }

    pub(super) fn tasks(&self) -> usize {
        self.pixels.div_ceil(self.block) * self.shares
    }

    /// The pixels of a task.
    pub(super) fn pixels(&self, task: usize) -> Range<usize> {
        let first = task / self.shares * self.block;
        first..self.pixels.min(first + self.block)
    }

    /// The panels of a task; there may be none left.
    pub(super) fn panels(&self, task: usize) -> Range<usize> {
        let first = task % self.shares * self.panels_each;
        first.min(self.panels)..(first + self.panels_each).min(self.panels)
    }
}
