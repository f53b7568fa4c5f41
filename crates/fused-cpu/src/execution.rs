//! Running a plan's steps on one image.

use std::sync::Arc;

use crate::{
    Activation, Isa, Plan,
    activation::Clamp,
    graph::ValueId,
    layout::{Layout, StepLayout},
    ops::{Halo, Kernel, Span},
    plan::{Operand, Step},
    team::Team,
    view::{Arena, Source, View},
};

/// Tasks per thread, so that an uneven last one matters little.
const TASKS_PER_THREAD: usize = 8;
/// Multiplications and additions, or what takes as long, that are worth a task of their own: some
/// microseconds.
const LEAST_WORK: usize = 1 << 16;
/// What takes as long as making one float of an output without a product of matrices.
const WORK_OF_FLOAT: usize = 16;

/// Threads that share an image.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crew<'a> {
    team: &'a Team,
    threads: usize,
}

/// A plan with an image and an arena.
pub(crate) struct Execution<'a> {
    plan: &'a Plan,
    layout: &'a Layout,
    arena: Arena,
    /// The caller's image, which is only read.
    input: Source,
    input_view: View,
    /// Who shares the work; none if the calling thread does all of it.
    crew: Option<Crew<'a>>,
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
    crew: Option<Crew<'a>>,
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
            crew: None,
        }
    }

    /// Runs all steps on so many threads of the current pool; 1 is the calling one.
    pub(crate) fn run(self, threads: usize) {
        if threads == 1 {
            self.run_steps();
        } else {
            Team::lead(threads, |team| {
                Execution { crew: Some(Crew { team, threads }), ..self }.run_steps();
            });
        }
    }

    fn run_steps(&self) {
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
            crew: self.crew,
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
    /// Runs `task` for every row of the output, of which each task takes some.
    pub(crate) fn rows(&self, task: impl Fn(usize) + Send + Sync) {
        let rows = self.output.height;
        let tasks = self.wanted_tasks(self.output.floats() * WORK_OF_FLOAT).min(rows);
        self.parallel(tasks, |at| (rows * at / tasks..rows * (at + 1) / tasks).for_each(&task));
    }

    /// The number of tasks that a step of so many multiplications and additions is best divided
    /// into.
    pub(crate) fn wanted_tasks(&self, work: usize) -> usize {
        let most = self.crew.map_or(1, |crew| crew.threads * TASKS_PER_THREAD);
        most.min(work / LEAST_WORK).max(1)
    }

    /// Runs tasks on the threads that share this image.
    pub(crate) fn parallel(&self, tasks: usize, task: impl Fn(usize) + Send + Sync) {
        match self.crew {
            Some(crew) if tasks > 1 => crew.team.run(tasks, &task),
            _ => (0..tasks).for_each(task),
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
