//! Steps that run together, some rows at a time.
//!
//! The first images of a network are larger than a core's cache. A step that makes one of them, and
//! the next that reads it, would send every float to the memory and fetch it again. Such steps are
//! chained: each makes the few rows that the next one needs, in a buffer that only these rows fill,
//! down to the last step, which writes to the value's place.

use std::ops::Range;

use crate::{
    Plan, Window,
    execution::Execution,
    graph::ValueId,
    plan::{Operand, Step},
    view::View,
};

/// Values of fewer floats, of which a core's second cache holds several, gain nothing. (Of MobileNetV2,
/// limits of 24 to 96 thousand floats were 3 to 5 % slower on a processor with two megabytes of it.)
pub(crate) const LEAST_FLOATS: usize = 200 * 1024;
/// Floats of all buffers of a chain, which should lie in a core's second cache.
const BUFFER_FLOATS: usize = 160 * 1024;
/// Most rows that the last step makes at once.
const MOST_ROWS: usize = 8;

/// Consecutive steps of a plan, each of which makes what only the next one reads.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    /// Rows of the output that are made at once.
    rows: usize,
    /// Where every step but the last keeps its rows.
    buffers: Vec<Buffer>,
    /// Floats of all buffers.
    pub(crate) floats: usize,
}

/// The rows of a value that are needed for the moment.
#[derive(Debug, Clone)]
struct Buffer {
    /// From the first float of all buffers.
    start: usize,
    /// Most rows.
    rows: usize,
}

impl Chain {
    /// The steps from `first` on that are worth a chain, if there are several: those with a value of
    /// `least_floats` or more between them, given every value's height and width.
    pub(crate) fn at(
        plan: &Plan,
        first: usize,
        sizes: &[[usize; 2]],
        least_floats: usize,
    ) -> Option<Self> {
        let mut steps = 1;
        while steps < MOST_STEPS && links(plan, first + steps - 1) {
            let value = plan.steps[first + steps - 1].output;
            let [height, width] = sizes[value.index()];
            if height * width * plan.values[value.index()].channels < least_floats {
                break;
            }
            steps += 1;
        }
        let steps = &plan.steps[first..first + steps];
        if steps.len() == 1 {
            return None;
        }
        let with_rows = |rows| Self::with_rows(plan, steps, sizes, rows);
        let mut chain = with_rows(1)?;
        for rows in 2..=MOST_ROWS {
            chain = with_rows(rows).filter(|more| more.floats <= BUFFER_FLOATS).unwrap_or(chain);
        }
        Some(chain)
    }

    fn with_rows(plan: &Plan, steps: &[Step], sizes: &[[usize; 2]], rows: usize) -> Option<Self> {
        let (mut buffers, mut floats, mut made) = (Vec::new(), 0usize, rows);
        for pair in steps.windows(2).rev() {
            let window = pair[1].kernel.reads_rows()?;
            let value = pair[0].output;
            let row = plan.row_floats(value, sizes[value.index()][1]);
            made = (made - 1) * window.stride[0] + extent(&window);
            buffers.push(Buffer { start: floats, rows: made });
            floats = floats.checked_add(made.checked_mul(row)?)?;
        }
        buffers.reverse();
        Some(Self { rows, buffers, floats })
    }

    /// Number of steps.
    pub(crate) fn steps(&self) -> usize {
        self.buffers.len() + 1
    }

    /// Makes some rows of the last step's output. `first` is the number of the first step, `start`
    /// where the floats of the buffers begin, which nobody else uses.
    pub(crate) fn run(&self, on: &Execution<'_>, first: usize, start: usize, rows: Range<usize>) {
        let last = self.buffers.len();
        let mut held: [Held; MOST_STEPS] =
            std::array::from_fn(|step| match self.buffers.get(step) {
                Some(buffer) => Held::new(on, first + step, start + buffer.start, buffer.rows),
                None => Held::default(),
            });
        let mut top = rows.start;
        while top < rows.end {
            let bottom = rows.end.min(top + self.rows);
            // What each step has to make, known from the last to the first.
            let mut made: [Range<isize>; MOST_STEPS] = Default::default();
            made[last] = top as isize..bottom as isize;
            for step in (0..last).rev() {
                let inside = held[step + 1].inside(&made[step + 1], step + 1 == last);
                if !inside.is_empty() {
                    let read = read(&on.window(first + step + 1), &inside);
                    made[step] = read.start.max(held[step].rows.end)..read.end;
                    held[step].drop_before(on, read.start);
                }
            }
            for step in 0..=last {
                let rows = held[step].inside(&made[step], step == last);
                if step < last {
                    held[step].extend(on, &made[step], &rows);
                }
                if !rows.is_empty() {
                    let rows = rows.start as usize..rows.end as usize;
                    let output = (step < last).then(|| held[step].view_from(rows.start));
                    let input = step.checked_sub(1).map(|before| {
                        held[before].view_from(rows.start * on.window(first + step).stride[0])
                    });
                    on.rows_of_step(first + step, rows, input, output);
                }
            }
            top = bottom;
        }
    }
}

/// Most steps of a chain.
const MOST_STEPS: usize = 8;

/// Rows of a value in their buffer.
#[derive(Debug, Clone, Default)]
struct Held {
    /// Numbers of the rows, the first of which is the buffer's first; those above and below the image
    /// are zeros. Before the first, a range that ends before any other.
    rows: Range<isize>,
    /// The image's height.
    height: isize,
    /// The first row, from its first pixel on.
    view: View,
    /// Floats of a row before that pixel.
    left: usize,
}

impl Held {
    /// No rows yet.
    fn new(on: &Execution<'_>, step: usize, start: usize, rows: usize) -> Self {
        let value = on.plan.steps[step].output;
        let view = on.layout.views[value.index()];
        let left = on.plan.values[value.index()].halo.begin[1] * view.pixel;
        // The zeros to the left and right stay.
        on.clear(start, rows * view.row);
        let height = view.height as isize;
        Self {
            rows: isize::MIN..isize::MIN,
            height,
            view: View { origin: start + left, ..view },
            left,
        }
    }

    /// The rows that are rows of the image, which those of the last step's output are.
    fn inside(&self, rows: &Range<isize>, is_last: bool) -> Range<isize> {
        if is_last { rows.clone() } else { rows.start.max(0)..rows.end.min(self.height) }
    }

    /// The first float of a row that is held.
    fn start_of(&self, row: isize) -> usize {
        self.view.origin - self.left + (row - self.rows.start) as usize * self.view.row
    }

    /// Forgets rows, and moves the others to the front.
    fn drop_before(&mut self, on: &Execution<'_>, row: isize) {
        if row >= self.rows.end {
            self.rows = row..row;
        } else if row > self.rows.start {
            let kept = (self.rows.end - row) as usize * self.view.row;
            on.move_floats(self.start_of(row), self.start_of(self.rows.start), kept);
            self.rows.start = row;
        }
    }

    /// Makes place for further rows, of which those outside the image become zeros.
    fn extend(&mut self, on: &Execution<'_>, rows: &Range<isize>, inside: &Range<isize>) {
        if rows.is_empty() {
            return;
        }
        self.rows.end = rows.end;
        for row in (rows.start..rows.end).filter(|row| !inside.contains(row)) {
            on.clear(self.start_of(row), self.view.row);
        }
    }

    /// The rows from one on.
    fn view_from(&self, row: usize) -> View {
        let origin = self.start_of(row as isize) + self.left;
        View { origin, height: (self.rows.end - row as isize) as usize, ..self.view }
    }
}

/// Whether only the next step reads what a step makes, so that they can be chained.
fn links(plan: &Plan, step: usize) -> bool {
    let Some([this, next]) = plan.steps.get(step..step + 2) else { return false };
    let value = this.output;
    let reads = |step: &Step| {
        [Some(step.input), step.other]
            .into_iter()
            .flatten()
            .filter(|operand| *operand == Operand::Value(value))
            .count()
    };
    next.input == Operand::Value(value)
        && plan.steps.iter().map(reads).sum::<usize>() == 1
        && plan.steps.iter().filter(|step| step.output == value).count() == 1
        && !plan.outputs.contains(&value)
        && is_by_itself(plan, value)
        && this.kernel.reads_rows().is_some()
        && next.kernel.reads_rows().is_some()
}

/// Whether a value lies in no other one and none in it.
fn is_by_itself(plan: &Plan, value: ValueId) -> bool {
    let mut inside = plan.values.iter().filter_map(|value| value.inside.as_ref());
    plan.values[value.index()].inside.is_none() && inside.all(|inside| inside.parent != value)
}

/// Rows from the first to the last that a window reads.
fn extent(window: &Window) -> usize {
    (window.kernel[0] - 1) * window.dilation[0] + 1
}

/// The rows that are read to make others.
fn read(window: &Window, made: &Range<isize>) -> Range<isize> {
    let stride = window.stride[0] as isize;
    let first = |row: isize| row * stride - window.padding_begin[0] as isize;
    first(made.start)..first(made.end - 1) + extent(window) as isize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        Activation, Graph, Isa, Operation, layout::Layout, memory::Floats, ops::Convolution,
    };

    /// A convolution of a chain: output channels (as many as input channels if depthwise), whether
    /// it is depthwise, kernel, stride, dilation, paddings.
    type Link = (usize, bool, [usize; 2], [usize; 2], [usize; 2], [usize; 2], [usize; 2]);

    fn link() -> impl Strategy<Value = Link> {
        let two = |most: usize| [1..=most, 1..=most];
        let padding = || [0..=2_usize, 0..=2_usize];
        (1..20_usize, any::<bool>(), two(3), two(2), two(2), padding(), padding())
    }

    /// The links, and a block with a residual behind them.
    fn graph(links: &[Link]) -> Graph {
        let mut graph = Graph::new(3);
        let (mut value, mut inputs) = (ValueId::INPUT, 3);
        for link in links {
            (value, inputs) = add_link(&mut graph, value, inputs, *link);
        }
        let (one, three) = ([1; 2], [3; 2]);
        let expand = (8, false, one, one, one, [0; 2], [0; 2]);
        let (block, channels) = add_link(&mut graph, value, inputs, expand);
        let depthwise = (8, true, three, one, one, one, one);
        let (block, channels) = add_link(&mut graph, block, channels, depthwise);
        let project = (inputs, false, one, one, one, [0; 2], [0; 2]);
        let (block, _) = add_link(&mut graph, block, channels, project);
        let sum = graph.add(Operation::Add, &[block, value]).unwrap();
        graph.set_outputs(&[sum]).unwrap();
        graph
    }

    /// Its value and channels.
    fn add_link(graph: &mut Graph, value: ValueId, inputs: usize, link: Link) -> (ValueId, usize) {
        let (outputs, depthwise, kernel, stride, dilation, padding_begin, padding_end) = link;
        let (outputs, groups) = if depthwise { (inputs, inputs) } else { (outputs, 1) };
        let window = Window { kernel, stride, dilation, padding_begin, padding_end, ceil: false };
        let number = |at: usize| (at * 7919 % 1000) as f32 / 500.0 - 1.0;
        let weights = (0..kernel[0] * kernel[1] * inputs / groups * outputs).map(number).collect();
        let bias = (0..outputs).map(number).collect();
        let convolution = Convolution { weights, bias, inputs, groups, window };
        let value = graph.add(Operation::Convolution(convolution), &[value]).unwrap();
        (graph.activate(value, Activation::RELU).unwrap(), outputs)
    }

    /// The output of a plan whose values of `least` floats are chained; how many steps are.
    fn run(
        plan: &Plan,
        size: [usize; 2],
        threads: usize,
        least: usize,
    ) -> Option<(Vec<f32>, usize)> {
        let layout = Layout::with_chains(plan, size, threads, least).ok()?;
        let mut arena = Floats::zeros(layout.floats).unwrap();
        // What was there before must not matter.
        arena.fill(f32::NAN);
        let input: Vec<f32> =
            (0..size[0] * size[1] * 3).map(|at| (at % 251) as f32 / 125.0 - 1.0).collect();
        Execution::new(plan, &layout, &mut arena, &input).run(threads);
        let view = layout.views[plan.outputs[0].index()];
        let chained = layout.stages.iter().filter_map(|stage| stage.chain.as_ref());
        let chained = chained.map(Chain::steps).sum();
        Some((arena[view.origin..view.origin + view.floats()].to_vec(), chained))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 500 }))]

        #[test]
        fn chained_steps_make_the_same_values(
            links in prop::collection::vec(link(), 0..9),
            size in [1..40_usize, 1..40_usize],
            threads in 1..4_usize,
        ) {
            let plan = Plan::from_graph_for(Isa::best(), graph(&links)).unwrap();
            // Images may be too small for the windows.
            let whole = run(&plan, size, 1, usize::MAX);
            prop_assume!(whole.is_some());
            let (expected, chained) = whole.unwrap();
            prop_assert_eq!(chained, 0);
            let (found, chained) = run(&plan, size, threads, 0).unwrap();
            prop_assert!(chained > 1);
            prop_assert_eq!(found, expected);
        }
    }
}
