//! Running a plan on a batch: pictures divided among threads, outputs gathered.

use rayon::prelude::*;

use crate::{
    Plan, RunError,
    execution::{Execution, Spread},
    kernel::View,
    layout::Layout,
};

/// The memory that a plan runs in.
///
/// It grows to what the largest picture needs on every thread and is then used again: once warm, a
/// run on as many pictures of the same size allocates nothing. One workspace serves one run at a
/// time.
#[derive(Debug, Default)]
pub struct Workspace {
    /// One a thread, each for one picture.
    arenas: Vec<Vec<f32>>,
    layout: Layout,
    outputs: Vec<Output>,
}

/// An output of all pictures.
#[derive(Debug, Default)]
struct Output {
    values: Vec<f32>,
    /// Where it lies in a picture's arena.
    view: View,
}

impl Workspace {
    /// An empty workspace.
    pub fn new() -> Self {
        Self::default()
    }

    /// An output of the last run: its values, and their shape `[pictures, height, width,
    /// channels]`. Rows of pixels (what was flattened) have a height of 1.
    ///
    /// Empty if the plan has no such output or has not run.
    pub fn output(&self, index: usize) -> (&[f32], [usize; 4]) {
        let Some(Output { values, view }) = self.outputs.get(index) else { return (&[], [0; 4]) };
        let pictures = values.len() / view.floats().max(1);
        (values, [pictures, view.height, view.width, view.channels])
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let outputs = self.outputs.iter().map(|output| output.values.capacity());
        4 * self.arenas.iter().map(Vec::capacity).chain(outputs).sum::<usize>()
    }
}

impl Plan {
    /// Runs the network on pictures of shape `[pictures, height, width, channels]`, whose values
    /// stand in this order.
    ///
    /// Uses the current rayon pool's threads; neither their number nor the other pictures of the
    /// batch change a picture's results. The outputs are then in the workspace.
    ///
    /// # Errors
    /// If `input` does not have this shape, or pictures of this size do not fit the network.
    pub fn run(
        &self,
        workspace: &mut Workspace,
        input: &[f32],
        shape: [usize; 4],
    ) -> Result<(), RunError> {
        let [pictures, height, width, channels] = shape;
        if channels != self.input_channels() {
            return Err(RunError::Channels { expected: self.input_channels(), found: channels });
        }
        if input.len() != shape.iter().product::<usize>() {
            return Err(RunError::Input { shape, found: input.len() });
        }
        self.prepare(workspace, [height, width], pictures)?;
        if pictures == 0 {
            return Ok(());
        }

        let Workspace { arenas, layout, outputs } = workspace;
        let each = height * width * channels;
        let run = |arena: &mut [f32], picture: usize, spread: Spread| {
            let input = &input[picture * each..(picture + 1) * each];
            Execution::new(self, layout, arena, input).run(spread);
        };

        // Threads take a picture each as long as there are enough, and share the others.
        let threads = rayon::current_num_threads();
        let rounds = pictures / threads;
        for round in 0..rounds {
            let first = round * threads;
            if threads == 1 {
                run(&mut arenas[0], first, Spread::Here);
            } else {
                let tasks = arenas[..threads].par_iter_mut().enumerate();
                tasks.for_each(|(thread, arena)| run(arena, first + thread, Spread::Here));
            }
            for (thread, arena) in arenas[..threads].iter().enumerate() {
                gather(outputs, arena, first + thread);
            }
        }
        for picture in rounds * threads..pictures {
            run(&mut arenas[0], picture, Spread::Threads);
            gather(outputs, &arenas[0], picture);
        }
        Ok(())
    }

    /// Makes room for pictures of a size.
    fn prepare(
        &self,
        workspace: &mut Workspace,
        size: [usize; 2],
        pictures: usize,
    ) -> Result<(), RunError> {
        if (workspace.layout.plan, workspace.layout.size) != (self.number, size) {
            workspace.layout = Layout::new(self, size)?;
        }
        let arenas = rayon::current_num_threads().min(pictures.max(1));
        if workspace.arenas.len() < arenas {
            workspace.arenas.resize(arenas, Vec::new());
        }
        for arena in &mut workspace.arenas[..arenas] {
            if arena.len() < workspace.layout.floats {
                arena.resize(workspace.layout.floats, 0.0);
            }
        }
        workspace.outputs.resize_with(self.outputs.len(), Output::default);
        for (output, value) in workspace.outputs.iter_mut().zip(&self.outputs) {
            output.view = workspace.layout.views[*value];
            output.values.resize(pictures * output.view.floats(), 0.0);
        }
        Ok(())
    }
}

/// Copies a picture's outputs to their places among those of the batch.
fn gather(outputs: &mut [Output], arena: &[f32], picture: usize) {
    for Output { values, view } in outputs {
        let floats = view.floats();
        let from = &arena[view.origin..view.origin + floats];
        values[picture * floats..(picture + 1) * floats].copy_from_slice(from);
    }
}
