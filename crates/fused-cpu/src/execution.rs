//! Running a plan's steps on one image.

use std::sync::Arc;

use rayon::prelude::*;

use crate::{
    Activation, Isa, Plan,
    activation::Clamp,
    graph::ValueId,
    layout::{Layout, StepLayout},
    ops::{Halo, Kernel, Span},
    plan::{Operand, Step},
    view::{Arena, Source, View},
};

/// Tasks per thread, so that an uneven last one matters little.
const TASKS_PER_THREAD: usize = 3;

/// Which threads compute an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spread {
    /// The calling one.
    Here,
    /// Those of the current pool.
    Threads,
}

/// A plan with an image and an arena.
pub(crate) struct Execution<'a> {
    plan: &'a Plan,
    layout: &'a Layout,
    arena: Arena,
    /// The caller's image, which is only read.
    input: Source,
    input_view: View,
    /// Threads that share the work.
    threads: usize,
}

/// A step with everything that its kernel needs.
pub(crate) struct StepRun<'a> {
    pub(crate) isa: Isa,
    pub(crate) arena: Arena,
    /// Where the input lies: the arena, or the caller's image.
    pub(crate) source: Source,
    pub(crate) input: View,
    /// A residual or a second summand.
    pub(crate) other: Option<(Source, View)>,
    pub(crate) output: View,
    /// The bounds of the results, to be applied by the kernel.
    pub(crate) clamp: Clamp,
    /// What every output pixel reads, for kernels that ask for it.
    pub(crate) spans: &'a [Span],
    /// Where the step's own floats begin.
    pub(crate) scratch: usize,
    activation: &'a Activation,
    threads: usize,
}

impl<'a> Execution<'a> {
    /// # Panics
    /// If the arena or the image is smaller than the layout says.
    pub(crate) fn new(
        plan: &'a Plan,
        layout: &'a Layout,
        arena: &'a mut [f32],
        input: &'a [f32],
    ) -> Self {
        let ([height, width], channels) = (layout.size, plan.input_channels());
        assert!(arena.len() >= layout.floats && input.len() == height * width * channels);
        let row = width * channels;
        Self {
            plan,
            layout,
            arena: Arena::new(arena),
            input: Source::new(input),
            input_view: View { origin: 0, row, pixel: channels, height, width, channels },
            threads: 1,
        }
    }

    /// Runs all steps.
    pub(crate) fn run(mut self, spread: Spread) {
        if spread == Spread::Threads {
            self.threads = rayon::current_num_threads();
        }
        for (step, layout) in self.plan.steps.iter().zip(&self.layout.steps) {
            self.step(step, layout);
        }
    }

    fn step(&self, step: &Step, layout: &StepLayout) {
        for value in &layout.fresh {
            self.clear_halo(*value);
        }
        let operand = |operand: Operand| match operand {
            Operand::Input => (self.input, self.input_view),
            Operand::Value(value) => (self.arena.source(), self.layout.views[value.index()]),
        };
        let (source, input) = operand(step.input);
        let kernel: &Arc<dyn Kernel> = &step.kernel;
        kernel.run(&StepRun {
            isa: self.plan.isa,
            arena: self.arena,
            source,
            input,
            other: step.other.map(operand),
            output: self.layout.views[step.output.index()],
            clamp: step.activation.clamp(),
            spans: &layout.spans,
            scratch: layout.scratch,
            activation: &step.activation,
            threads: self.threads,
        });
    }

    /// Writes the zeros around the images of a value.
    #[allow(unsafe_code, reason = "no other task runs yet")]
    fn clear_halo(&self, value: ValueId) {
        let Halo { begin, end } = self.plan.values[value.index()].halo;
        let view = self.layout.views[value.index()].with_border(begin[0], begin[1]);
        let left = begin[1] * view.pixel;
        let right = end[1] * view.pixel;
        // Safety: no other task runs yet.
        let clear = |start, floats| unsafe { self.arena.slice(start, floats) }.fill(0.0);
        clear(view.at(0, 0), begin[0] * view.row);
        for y in 0..view.height {
            let row = view.at(begin[0] + y, 0);
            clear(row, left);
            clear(row + view.row - right, right);
        }
        clear(view.at(begin[0] + view.height, 0), end[0] * view.row);
    }
}

impl StepRun<'_> {
    /// Runs a task for every row of the output.
    pub(crate) fn rows(&self, task: impl Fn(usize) + Send + Sync) {
        self.parallel(self.output.height, task);
    }

    /// The number of tasks that a step is best divided into.
    pub(crate) fn wanted_tasks(&self) -> usize {
        if self.threads == 1 { 1 } else { self.threads * TASKS_PER_THREAD }
    }

    /// Runs tasks on the threads that share this image.
    pub(crate) fn parallel(&self, tasks: usize, task: impl Fn(usize) + Send + Sync) {
        if self.threads == 1 || tasks == 1 {
            (0..tasks).for_each(task);
        } else {
            let least = tasks.div_ceil(self.threads * TASKS_PER_THREAD);
            (0..tasks).into_par_iter().with_min_len(least).for_each(task);
        }
    }

    /// Whether something is left to do to stored results.
    pub(crate) fn has_curve(&self) -> bool {
        !matches!(self.activation, Activation::Clamp(_))
    }

    /// Applies the activation to stored results: channels of one pixel from `channel` on.
    pub(crate) fn finish(&self, values: &mut [f32], channel: usize) {
        self.activation.finish(self.isa, values, channel);
    }

    /// Applies the activation to a stored row of the output.
    ///
    /// # Safety
    /// The row must be the caller's alone.
    #[allow(unsafe_code, reason = "see above")]
    pub(crate) unsafe fn finish_row(&self, y: usize) {
        if self.has_curve() {
            for x in 0..self.output.width {
                let start = self.output.at(y, x);
                self.finish(unsafe { self.arena.slice(start, self.output.channels) }, 0);
            }
        }
    }
}
