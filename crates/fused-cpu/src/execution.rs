//! Running a plan's steps on one image.

use std::ops::Range;

use crate::{
    Activation, Isa, Plan, Window,
    activation::Clamp,
    chain::Chain,
    graph::ValueId,
    layout::{Layout, Stage},
    ops::{Halo, Span},
    plan::Operand,
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

/// A plan with an image and an arena.
pub(crate) struct Execution<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) layout: &'a Layout,
    arena: Arena,
    /// The caller's image, which is only read.
    input: Source,
    input_view: View,
    /// Who shares the work; none if the calling thread does all of it.
    team: Option<&'a Team>,
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
    team: Option<&'a Team>,
}

/// What a step reads and where it writes.
struct Operands {
    source: Source,
    input: View,
    other: Option<(Source, View)>,
    output: View,
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
            team: None,
        }
    }

    /// Runs all steps on so many threads of the current pool; 1 is the calling one.
    pub(crate) fn run(self, threads: usize) {
        if threads == 1 {
            self.run_steps();
        } else {
            Team::lead(threads, |team| {
                Execution { team: Some(team), ..self }.run_steps();
            });
        }
    }

    fn run_steps(&self) {
        for stage in &self.layout.stages {
            for value in &stage.fresh {
                self.clear_halo(*value);
            }
            match &stage.chain {
                None => self.step(stage),
                Some(chain) => self.chain(stage, chain),
            }
        }
    }

    /// Runs a step as a whole.
    fn step(&self, stage: &Stage) {
        let step = &self.plan.steps[stage.first];
        let output = self.layout.views[step.output.index()];
        let (source, input) = self.operand(step.input);
        let other = step.other.map(|other| self.operand(other));
        let operands = Operands { source, input, other, output };
        step.kernel.run(&self.step_run(stage.first, operands, stage.scratch, self.team));
    }

    /// Runs the steps of a chain, each thread on neighbouring rows.
    fn chain(&self, stage: &Stage, chain: &Chain) {
        let last = &self.plan.steps[stage.first + chain.steps() - 1];
        let rows = self.layout.views[last.output.index()].height;
        let shares = self.team.map_or(1, Team::threads).min(self.layout.threads).min(rows);
        run_tasks(self.team, shares, |share, _| {
            let start = stage.scratch + share * chain.floats;
            chain.run(self, stage.first, start, rows * share / shares..rows * (share + 1) / shares);
        });
    }

    /// Runs a step for some rows of its output, here: from the place of these rows' input to theirs,
    /// if they are not those of the values.
    pub(crate) fn rows_of_step(
        &self,
        number: usize,
        rows: Range<usize>,
        input: Option<View>,
        output: Option<View>,
    ) {
        let step = &self.plan.steps[number];
        let from_row =
            |view: View, row: usize| View { origin: view.origin + row * view.row, ..view };
        let (source, input) = match input {
            Some(view) => (self.arena.source(), view),
            None => {
                let (source, view) = self.operand(step.input);
                (source, from_row(view, rows.start * self.window(number).stride[0]))
            }
        };
        let other = step.other.map(|other| {
            let (source, view) = self.operand(other);
            (source, from_row(view, rows.start))
        });
        let whole = || from_row(self.layout.views[step.output.index()], rows.start);
        let output = View { height: rows.len(), ..output.unwrap_or_else(whole) };
        let operands = Operands { source, input, other, output };
        step.kernel.run(&self.step_run(number, operands, 0, None));
    }

    /// The window through which a step of a chain reads its input.
    pub(crate) fn window(&self, number: usize) -> Window {
        self.plan.steps[number].kernel.reads_rows().unwrap_or(Window::POINT)
    }

    fn operand(&self, operand: Operand) -> (Source, View) {
        match operand {
            Operand::Input => (self.input, self.input_view),
            Operand::Value(value) => (self.arena.source(), self.layout.views[value.index()]),
        }
    }

    fn step_run<'s>(
        &'s self,
        number: usize,
        operands: Operands,
        scratch: usize,
        team: Option<&'s Team>,
    ) -> StepRun<'s> {
        let step = &self.plan.steps[number];
        let Operands { source, input, other, output } = operands;
        StepRun {
            isa: self.plan.isa,
            arena: self.arena,
            source,
            input,
            other,
            output,
            clamp: step.activation.clamp(),
            spans: &self.layout.spans[number],
            scratch,
            activation: &step.activation,
            team,
        }
    }

    /// Writes zeros where no other task reads or writes.
    #[allow(unsafe_code, reason = "the caller's duty, as with every place that a task writes")]
    pub(crate) fn clear(&self, start: usize, floats: usize) {
        unsafe { self.arena.slice(start, floats) }.fill(0.0);
    }

    /// Moves floats where no other task reads or writes.
    #[allow(unsafe_code, reason = "the caller's duty, as with every place that a task writes")]
    pub(crate) fn move_floats(&self, from: usize, to: usize, floats: usize) {
        let (low, high) = (from.min(to), from.max(to));
        let both = unsafe { self.arena.slice(low, high - low + floats) };
        both.copy_within(from - low..from - low + floats, to - low);
    }

    /// Writes the zeros around the images of a value, before any task runs.
    fn clear_halo(&self, value: ValueId) {
        let Halo { begin, end } = self.plan.values[value.index()].halo;
        let view = self.layout.views[value.index()].with_border(begin[0], begin[1]);
        let left = begin[1] * view.pixel;
        let right = end[1] * view.pixel;
        self.clear(view.at(0, 0), begin[0] * view.row);
        for y in 0..view.height {
            let row = view.at(begin[0] + y, 0);
            self.clear(row, left);
            self.clear(row + view.row - right, right);
        }
        self.clear(view.at(begin[0] + view.height, 0), end[0] * view.row);
    }
}

/// Runs tasks on a team's threads, or on the calling one. A task is given its number and its thread's.
fn run_tasks(team: Option<&Team>, tasks: usize, task: impl Fn(usize, usize) + Send + Sync) {
    match team {
        Some(team) if tasks > 1 => team.run(tasks, &task),
        _ => (0..tasks).for_each(|number| task(number, 0)),
    }
}

impl StepRun<'_> {
    /// Runs `task` for every row of the output.
    pub(crate) fn rows(&self, task: impl Fn(usize) + Send + Sync) {
        self.row_ranges(|rows| rows.for_each(&task));
    }

    /// Runs `task` for all rows of the output, some at a time.
    pub(crate) fn row_ranges(&self, task: impl Fn(Range<usize>) + Send + Sync) {
        let rows = self.output.height;
        let tasks = self.wanted_tasks(self.output.floats() * WORK_OF_FLOAT).min(rows);
        self.parallel(tasks, |at| task(rows * at / tasks..rows * (at + 1) / tasks));
    }

    /// The number of tasks that a step of so many multiplications and additions is best divided
    /// into.
    pub(crate) fn wanted_tasks(&self, work: usize) -> usize {
        let most = self.team.map_or(1, |team| team.threads() * TASKS_PER_THREAD);
        most.min(work / LEAST_WORK).max(1)
    }

    /// Threads that share this image.
    pub(crate) fn threads(&self) -> usize {
        self.team.map_or(1, Team::threads)
    }

    /// Runs tasks on the threads that share this image.
    pub(crate) fn parallel(&self, tasks: usize, task: impl Fn(usize) + Send + Sync) {
        self.parallel_on(tasks, |number, _| task(number));
    }

    /// As [`StepRun::parallel`]; a task is also told which of the [`StepRun::threads`] it runs on.
    pub(crate) fn parallel_on(&self, tasks: usize, task: impl Fn(usize, usize) + Send + Sync) {
        run_tasks(self.team, tasks, task);
    }

    /// The step without the other threads: for what one task does.
    pub(crate) fn alone(&self) -> StepRun<'_> {
        StepRun { team: None, ..*self }
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
