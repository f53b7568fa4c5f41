//! Where every value lies in the arena, for an image of one size.

use crate::{
    Plan, RunError,
    chain::{self, Chain},
    graph::ValueId,
    ops::{Halo, Part, SizeRule, Span},
    plan::{Inside, Operand, Value},
    view::View,
};

/// Values begin at multiples of so many floats: a cache line.
const ALIGNMENT: usize = 16;

/// Largest height or width of a value, in pixels.
pub(crate) const MAX_SIDE: usize = 1 << 24;

/// Sizes and places of all values of a plan.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layout {
    /// The number of the plan this layout is for; 0 is none.
    pub(crate) plan: u64,
    /// The size this layout is for: height, width.
    pub(crate) size: [usize; 2],
    /// Threads that may share an image.
    pub(crate) threads: usize,
    pub(crate) views: Vec<View>,
    /// Floats of the arena.
    pub(crate) floats: usize,
    /// What runs one after the other.
    pub(crate) stages: Vec<Stage>,
    /// By step, see [`crate::ops::Kernel::spans`].
    pub(crate) spans: Vec<Vec<Span>>,
}

/// A step, or several that run together.
#[derive(Debug, Clone)]
pub(crate) struct Stage {
    /// The number of the first step.
    pub(crate) first: usize,
    /// How several run together.
    pub(crate) chain: Option<Chain>,
    /// Values with a halo, whose first part is made here.
    pub(crate) fresh: Vec<ValueId>,
    /// Where the step keeps what only it needs, or the chain its buffers, one after another for each
    /// of the threads that share it.
    pub(crate) scratch: usize,
}

impl Stage {
    fn steps(&self) -> usize {
        self.chain.as_ref().map_or(1, Chain::steps)
    }
}

/// Floats of the arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Region {
    start: usize,
    floats: usize,
}

impl Layout {
    /// Lays out an image of a height and width that so many threads share.
    pub(crate) fn new(plan: &Plan, size: [usize; 2], threads: usize) -> Result<Self, RunError> {
        Self::with_chains(plan, size, threads, chain::LEAST_FLOATS)
    }

    /// As [`Layout::new`]; steps with values of so many floats between them are chained.
    pub(crate) fn with_chains(
        plan: &Plan,
        size: [usize; 2],
        threads: usize,
        least_floats: usize,
    ) -> Result<Self, RunError> {
        let too_large =
            || RunError::TooLarge { shape: [1, size[0], size[1], plan.input_channels()] };
        let sizes = sizes(plan, size)?;
        let mut layout = Self { plan: plan.number, size, threads, ..Self::default() };
        let mut first = 0;
        while first < plan.steps.len() {
            let chain = Chain::at(plan, first, &sizes, least_floats);
            let stage = Stage { first, chain, fresh: Vec::new(), scratch: 0 };
            first += stage.steps();
            layout.stages.push(stage);
        }
        let lifetimes = lifetimes(plan, &layout.stages);

        let mut regions: Vec<Option<Region>> = vec![None; plan.values.len()];
        let mut live: Vec<(Region, usize)> = Vec::new();
        for (number, stage) in layout.stages.iter_mut().enumerate() {
            live.retain(|(_, last)| *last >= number);
            for (value, lifetime) in lifetimes.iter().enumerate() {
                let Some(lifetime) = lifetime.filter(|lifetime| lifetime.first == number) else {
                    continue;
                };
                let Value { channels, halo, .. } = plan.values[value];
                let floats = floats(sizes[value], halo, channels).ok_or_else(too_large)?;
                let start = first_gap(&live, floats).ok_or_else(too_large)?;
                let region = Region { start, floats };
                layout.floats = layout.floats.max(start + floats);
                live.push((region, lifetime.last));
                live.sort_by_key(|(region, _)| region.start);
                regions[value] = Some(region);
                if halo != Halo::NONE {
                    stage.fresh.push(ValueId(value));
                }
            }
            let step = &plan.steps[stage.first];
            let floats = match &stage.chain {
                Some(chain) => chain.floats.checked_mul(threads),
                None => step.kernel.scratch_floats(sizes[step.output.index()], threads),
            };
            let floats = floats.ok_or_else(too_large)?;
            stage.scratch = first_gap(&live, floats).ok_or_else(too_large)?;
            layout.floats = layout.floats.max(stage.scratch + floats);
        }
        // Byte offsets must stay addressable, too.
        if layout.floats > isize::MAX as usize / size_of::<f32>() {
            return Err(too_large());
        }

        layout.views = vec![View::default(); plan.values.len()];
        for value in 0..plan.values.len() {
            layout.views[value] = view(plan, &sizes, &regions, ValueId(value));
        }
        let channels = plan.input_channels();
        let (height, width) = (size[0], size[1]);
        let input =
            View { origin: 0, row: width * channels, pixel: channels, height, width, channels };
        for step in &plan.steps {
            let view = match step.input {
                Operand::Input => &input,
                Operand::Value(value) => &layout.views[value.index()],
            };
            layout.spans.push(step.kernel.spans(view));
        }
        Ok(layout)
    }
}

/// Floats of an image with its halo; none if they cannot be addressed.
fn floats([height, width]: [usize; 2], halo: Halo, channels: usize) -> Option<usize> {
    let rows = halo.begin[0] + height + halo.end[0];
    let columns = halo.begin[1] + width + halo.end[1];
    rows.checked_mul(columns)?.checked_mul(channels)
}

/// The lowest start of `floats` floats between what is live, which is sorted; none if that is
/// beyond what can be addressed.
fn first_gap(live: &[(Region, usize)], floats: usize) -> Option<usize> {
    let mut start = 0usize;
    for (region, _) in live {
        if start.checked_add(floats)? <= region.start {
            break;
        }
        let end = region.start.checked_add(region.floats)?;
        start = start.max(end.checked_next_multiple_of(ALIGNMENT)?);
    }
    start.checked_add(floats)?;
    Some(start)
}

/// Height and width of every value.
fn sizes(plan: &Plan, [height, width]: [usize; 2]) -> Result<Vec<[usize; 2]>, RunError> {
    let too_large = RunError::TooLarge { shape: [1, height, width, plan.input_channels()] };
    let mut sizes = vec![[0; 2]; plan.values.len()];
    for (value, Value { channels, size, .. }) in plan.values.iter().enumerate() {
        let made = match size {
            None => Some([height, width]),
            Some((rule, inputs)) => {
                let inputs: Vec<([usize; 2], usize)> = inputs
                    .iter()
                    .map(|input| (sizes[input.index()], plan.values[input.index()].channels))
                    .collect();
                apply(*rule, &inputs, *channels).ok_or(RunError::Branches { width, height })?
            }
        };
        let made = made.filter(|made| made.iter().all(|side| *side <= MAX_SIDE));
        let made = made.ok_or_else(|| too_large.clone())?;
        // A value that fusion removed keeps its number; nobody asks for its size.
        if made.contains(&0) && (size.is_some() || value == 0) {
            return Err(RunError::TooSmall { width, height });
        }
        sizes[value] = made;
    }
    for step in &plan.steps {
        let other = match step.other {
            Some(Operand::Value(other)) => sizes[other.index()],
            Some(Operand::Input) => [height, width],
            None => continue,
        };
        if other != sizes[step.output.index()] {
            return Err(RunError::Branches { width, height });
        }
    }
    Ok(sizes)
}

/// The size that a rule makes of the inputs' sizes and channels. The outer option is none if the
/// inputs do not agree, the inner one if the result cannot be addressed.
pub(crate) fn apply(
    rule: SizeRule,
    inputs: &[([usize; 2], usize)],
    channels: usize,
) -> Option<Option<[usize; 2]>> {
    let &(first @ [rows, columns], input_channels) = inputs.first()?;
    Some(match rule {
        SizeRule::Same => {
            if inputs.iter().any(|(size, _)| *size != first) {
                return None;
            }
            Some(first)
        }
        SizeRule::Window(window) => Some([window.positions(0, rows), window.positions(1, columns)]),
        SizeRule::Pixel => Some([1, 1]),
        SizeRule::Scaled(factors) => {
            rows.checked_mul(factors[0]).zip(columns.checked_mul(factors[1])).map(<[_; 2]>::from)
        }
        SizeRule::Row { channels: each } => {
            debug_assert_eq!(each, channels);
            let floats = rows.checked_mul(columns).and_then(|n| n.checked_mul(input_channels));
            floats.map(|floats| [1, floats / each])
        }
        SizeRule::Pixels => {
            if inputs.iter().any(|(size, _)| size[0] != 1) {
                return None;
            }
            let sum = inputs.iter().try_fold(0usize, |sum, (size, _)| sum.checked_add(size[1]));
            sum.map(|sum| [1, sum])
        }
    })
}

/// The first stage that writes a value and the last one that reads it.
#[derive(Debug, Clone, Copy)]
struct Lifetime {
    first: usize,
    last: usize,
}

/// The lifetimes of the values that have a place of their own.
fn lifetimes(plan: &Plan, stages: &[Stage]) -> Vec<Option<Lifetime>> {
    let mut lifetimes: Vec<Option<Lifetime>> = vec![None; plan.values.len()];
    let mut touch = |value: ValueId, stage: usize| {
        let lifetime = lifetimes[place_of(plan, value).index()]
            .get_or_insert(Lifetime { first: stage, last: stage });
        lifetime.last = lifetime.last.max(stage);
    };
    for (at, stage) in stages.iter().enumerate() {
        let last = stage.first + stage.steps() - 1;
        for (number, step) in plan.steps.iter().enumerate().take(last + 1).skip(stage.first) {
            // What lies between the steps of a chain is in its buffers.
            if number == last {
                touch(step.output, at);
            }
            let input = (number == stage.first).then_some(step.input);
            for operand in [input, step.other].into_iter().flatten() {
                if let Operand::Value(value) = operand {
                    touch(value, at);
                }
            }
        }
    }
    for output in &plan.outputs {
        touch(*output, stages.len());
    }
    lifetimes
}

/// The value that a value lies in, at last.
fn place_of(plan: &Plan, value: ValueId) -> ValueId {
    match &plan.values[value.index()].inside {
        Some(inside) => place_of(plan, inside.parent),
        None => value,
    }
}

fn view(plan: &Plan, sizes: &[[usize; 2]], regions: &[Option<Region>], value: ValueId) -> View {
    let [height, width] = sizes[value.index()];
    let Value { channels, halo, inside, .. } = &plan.values[value.index()];
    let channels = *channels;
    match inside {
        None => {
            // Values that are never touched have no place, and no use for one.
            let start = regions[value.index()].map_or(0, |region| region.start);
            let row = (halo.begin[1] + width + halo.end[1]) * channels;
            let origin = start + halo.begin[0] * row + halo.begin[1] * channels;
            View { origin, row, pixel: channels, height, width, channels }
        }
        Some(Inside { parent, part }) => {
            let parent = view(plan, sizes, regions, *parent);
            match part {
                Part::Whole => {
                    let row = width * channels;
                    View { origin: parent.origin, row, pixel: channels, height, width, channels }
                }
                Part::PixelsAfter(before) => {
                    let pixels: usize = before.iter().map(|part| sizes[part.index()][1]).sum();
                    let origin = parent.origin + pixels * parent.pixel;
                    View { origin, height, width, channels, ..parent }
                }
                Part::Channels(before) => {
                    let origin = parent.origin + before;
                    View { origin, height, width, channels, ..parent }
                }
            }
        }
    }
}
