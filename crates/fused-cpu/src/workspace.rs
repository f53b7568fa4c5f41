//! Running a plan on a batch: images divided among threads, outputs gathered.

use rayon::prelude::*;

use crate::{Plan, RunError, execution::Execution, layout::Layout, memory::Floats, view::View};

/// The memory that a plan runs in.
///
/// It grows to what the largest image needs on every thread and is then used again: once warm, a
/// run on as many images of the same size needs no more. One workspace serves one run at a
/// time.
#[derive(Debug, Default)]
pub struct Workspace {
    /// One per thread, each for one image.
    arenas: Vec<Floats>,
    layout: Layout,
    outputs: Vec<Output>,
}

/// An output of all images.
#[derive(Debug, Default)]
struct Output {
    values: Vec<f32>,
    /// Where it lies in an image's arena.
    view: View,
}

impl Workspace {
    /// An empty workspace.
    pub fn new() -> Self {
        Self::default()
    }

    /// An output of the last run: its values, and their shape `[images, height, width, channels]`.
    /// Rows of pixels (what was flattened) have a height of 1.
    ///
    /// Empty if the plan has no such output or has not run.
    pub fn output(&self, index: usize) -> (&[f32], [usize; 4]) {
        let Some(Output { values, view }) = self.outputs.get(index) else { return (&[], [0; 4]) };
        let images = values.len() / view.floats().max(1);
        (values, [images, view.height, view.width, view.channels])
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let outputs = self.outputs.iter().map(|output| output.values.capacity());
        4 * self.arenas.iter().map(|arena| arena.len()).chain(outputs).sum::<usize>()
    }

    /// Returns all memory; the next run allocates what it needs.
    pub fn trim(&mut self) {
        *self = Self::default();
    }
}

impl Plan {
    /// Runs the network on images of shape `[images, height, width, channels]`, whose values stand
    /// in this order.
    ///
    /// Uses the current rayon pool's threads; neither their number nor the other images of the
    /// batch change an image's results. The outputs are then in the workspace.
    ///
    /// # Errors
    /// If `input` does not have this shape, images of this size do not fit the network, or they
    /// need more memory than there is.
    pub fn run(
        &self,
        workspace: &mut Workspace,
        input: &[f32],
        shape: [usize; 4],
    ) -> Result<(), RunError> {
        let [images, height, width, channels] = shape;
        if channels != self.input_channels() {
            return Err(RunError::Channels { expected: self.input_channels(), found: channels });
        }
        let each = height.checked_mul(width).and_then(|pixels| pixels.checked_mul(channels));
        let each = each.ok_or(RunError::TooLarge { shape })?;
        if each.checked_mul(images) != Some(input.len()) {
            return Err(RunError::Input { shape, found: input.len() });
        }
        self.prepare(workspace, [height, width], images)?;
        if images == 0 {
            return Ok(());
        }

        let Workspace { arenas, layout, outputs } = workspace;
        let threads = rayon::current_num_threads();
        let run = |arena: &mut [f32], image: usize, threads: usize| {
            let input = &input[image * each..(image + 1) * each];
            Execution::new(self, layout, arena, input).run(threads);
        };
        // Threads take an image each as long as there are enough, and share the others.
        for first in (0..images).step_by(threads) {
            let arenas = &mut arenas[..threads.min(images - first)];
            let each = threads / arenas.len();
            if let [arena] = &mut *arenas {
                run(arena, first, each);
            } else {
                let tasks = arenas.par_iter_mut().enumerate();
                tasks.for_each(|(at, arena)| run(arena, first + at, each));
            }
            for (at, arena) in arenas.iter().enumerate() {
                gather(outputs, arena, first + at);
            }
        }
        Ok(())
    }

    /// Makes room for images of a size.
    fn prepare(
        &self,
        workspace: &mut Workspace,
        size: [usize; 2],
        images: usize,
    ) -> Result<(), RunError> {
        let shape = [images, size[0], size[1], self.input_channels()];
        let too_large = || RunError::TooLarge { shape };
        let threads = rayon::current_num_threads();
        let arenas = threads.min(images.max(1));
        // The last images, of which there may be fewer than threads, have more threads each.
        let last = (images.max(1) - 1) % threads + 1;
        let sharing = threads / last;
        let layout = &workspace.layout;
        if (layout.plan, layout.size) != (self.number, size) || layout.threads < sharing {
            workspace.layout = Layout::new(self, size, sharing)?;
        }
        if workspace.arenas.len() < arenas {
            workspace.arenas.resize_with(arenas, Floats::default);
        }
        let floats = workspace.layout.floats;
        for arena in workspace.arenas[..arenas].iter_mut().filter(|arena| arena.len() < floats) {
            // Nothing of the last image is wanted, and the smaller memory can go first.
            *arena = Floats::default();
            *arena = Floats::zeros(floats).ok_or_else(too_large)?;
        }
        workspace.outputs.resize_with(self.outputs.len(), Output::default);
        for (output, value) in workspace.outputs.iter_mut().zip(&self.outputs) {
            output.view = workspace.layout.views[value.index()];
            let floats = images.checked_mul(output.view.floats()).ok_or_else(too_large)?;
            grow(&mut output.values, floats).ok_or_else(too_large)?;
        }
        Ok(())
    }
}

/// Resizes a vector; none if there is not the memory.
fn grow(floats: &mut Vec<f32>, length: usize) -> Option<()> {
    floats.try_reserve_exact(length.saturating_sub(floats.len())).ok()?;
    floats.resize(length, 0.0);
    Some(())
}

/// Copies an image's outputs to their places among those of the batch.
fn gather(outputs: &mut [Output], arena: &[f32], image: usize) {
    for Output { values, view } in outputs {
        let floats = view.floats();
        let from = &arena[view.origin..view.origin + floats];
        values[image * floats..(image + 1) * floats].copy_from_slice(from);
    }
}
