//! Where every value lies in the arena, for a picture of one size.

use crate::{
    Plan, RunError,
    graph::ValueId,
    kernel::{
        View, Window,
        convolution::Run,
        winograd::{PLACES, Tiles},
    },
    plan::{Halo, Inside, Join, Kernel, Part, Source, Step, Value},
};

/// Values begin at multiples of so many floats: a cache line.
const ALIGNMENT: usize = 16;

/// Sizes and places of all values of a plan.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layout {
    /// The number of the plan this layout is for; 0 is none.
    pub(crate) plan: u64,
    /// The size this layout is for: height, width.
    pub(crate) size: [usize; 2],
    pub(crate) views: Vec<View>,
    /// Floats of the arena.
    pub(crate) floats: usize,
    /// What every step needs beyond the views.
    pub(crate) steps: Vec<StepLayout>,
}

/// What depends on the pictures' size in a step.
#[derive(Debug, Clone, Default)]
pub(crate) struct StepLayout {
    /// A value with a halo, whose first part this step makes.
    pub(crate) fresh: Option<ValueId>,
    /// What each output pixel of a dense convolution reads.
    pub(crate) runs: Vec<Run>,
    /// Where the step keeps what it needs only itself.
    pub(crate) scratch: usize,
}

/// Floats of the arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Region {
    start: usize,
    floats: usize,
}

impl Layout {
    /// Lays out a picture of a height and width.
    pub(crate) fn new(plan: &Plan, size: [usize; 2]) -> Result<Self, RunError> {
        let sizes = sizes(plan, size)?;
        let lifetimes = lifetimes(plan);
        let mut layout = Self { plan: plan.number, size, ..Self::default() };

        let mut regions: Vec<Option<Region>> = vec![None; plan.values.len()];
        let mut live: Vec<(Region, usize)> = Vec::new();
        for step in 0..plan.steps.len() {
            live.retain(|(_, last)| *last >= step);
            let mut fresh = None;
            for (value, lifetime) in lifetimes.iter().enumerate() {
                let Some(lifetime) = lifetime.filter(|lifetime| lifetime.first == step) else {
                    continue;
                };
                let [row, column] = sizes[value];
                let Value { channels, halo, .. } = plan.values[value];
                let rows = halo.before[0] + row + halo.after[0];
                let columns = halo.before[1] + column + halo.after[1];
                let floats = rows * columns * channels;
                let region = Region { start: first_gap(&live, floats), floats };
                layout.floats = layout.floats.max(region.start + floats);
                live.push((region, lifetime.last));
                live.sort_by_key(|(region, _)| region.start);
                regions[value] = Some(region);
                if halo != Halo::NONE {
                    fresh = Some(value);
                }
            }
            let floats = scratch_floats(&plan.steps[step], &sizes);
            let scratch = first_gap(&live, floats);
            layout.floats = layout.floats.max(scratch + floats);
            layout.steps.push(StepLayout { fresh, runs: Vec::new(), scratch });
        }

        layout.views = vec![View::default(); plan.values.len()];
        for value in 0..plan.values.len() {
            layout.views[value] = view(plan, &sizes, &regions, value);
        }
        for (step, layout_of) in plan.steps.iter().zip(&mut layout.steps) {
            if let (Kernel::Convolution { inputs, window, .. }, Source::Value(input)) =
                (&step.kernel, step.input)
            {
                layout_of.runs = runs(window, *inputs, &layout.views[input]);
            }
        }
        Ok(layout)
    }
}

/// The runs of input floats that a window reads, from its upper left corner.
fn runs(window: &Window, inputs: usize, input: &View) -> Vec<Run> {
    let [rows, columns] = window.kernel;
    // Neighbouring pixels are one run where nothing lies between them.
    let joined = window.dilation[1] == 1 && input.pixel == inputs;
    let (columns, length) = if joined { (1, columns * inputs) } else { (columns, inputs) };
    (0..rows)
        .flat_map(|ky| (0..columns).map(move |kx| (ky, kx)))
        .map(|(ky, kx)| Run {
            offset: ky * window.dilation[0] * input.row + kx * window.dilation[1] * input.pixel,
            length,
        })
        .collect()
}

/// Most tiles of Winograd's convolution that are transformed before they are multiplied.
pub(crate) const WINOGRAD_TILES: usize = 128;

fn scratch_floats(step: &Step, sizes: &[[usize; 2]]) -> usize {
    let Kernel::Winograd { inputs, bias, window, .. } = &step.kernel else { return 0 };
    let tiles = Tiles::new(window, sizes[step.output]).count();
    PLACES * tiles.min(WINOGRAD_TILES) * (inputs + bias.len())
}

/// The lowest start of `floats` floats between what is live, which is sorted.
fn first_gap(live: &[(Region, usize)], floats: usize) -> usize {
    let mut start = 0;
    for (region, _) in live {
        if start + floats <= region.start {
            break;
        }
        start = start.max((region.start + region.floats).next_multiple_of(ALIGNMENT));
    }
    start
}

/// Height and width of every value.
fn sizes(plan: &Plan, [height, width]: [usize; 2]) -> Result<Vec<[usize; 2]>, RunError> {
    let mut sizes = vec![[0; 2]; plan.values.len()];
    sizes[0] = [height, width];
    for step in &plan.steps {
        let [rows, columns] = match step.input {
            Source::Input => [height, width],
            Source::Value(value) => sizes[value],
        };
        let branches = Err(RunError::Branches { width, height });
        let size = match &step.kernel {
            Kernel::Convolution { window, .. }
            | Kernel::Winograd { window, .. }
            | Kernel::Depthwise { window, .. }
            | Kernel::Pool { window, .. } => {
                [window.positions(0, rows), window.positions(1, columns)]
            }
            Kernel::GlobalAverage => [1, 1],
            Kernel::Joined(Join::Flatten) => {
                let Source::Value(input) = step.input else { return branches };
                let channels = plan.values[step.output].channels;
                [1, rows * columns * plan.values[input].channels / channels]
            }
            Kernel::Joined(Join::Pixels(parts)) => {
                [1, parts.iter().map(|part| sizes[*part][1]).sum()]
            }
            Kernel::Joined(Join::Channels(parts)) => {
                if parts.iter().any(|part| sizes[*part] != [rows, columns]) {
                    return branches;
                }
                [rows, columns]
            }
            _ => [rows, columns],
        };
        if size.contains(&0) {
            return Err(RunError::TooSmall { width, height });
        }
        if step.other.is_some_and(|other| sizes[other] != size) {
            return branches;
        }
        sizes[step.output] = size;
    }
    Ok(sizes)
}

/// The first step that writes a value and the last one that reads it.
#[derive(Debug, Clone, Copy)]
struct Lifetime {
    first: usize,
    last: usize,
}

/// The lifetimes of the values that have a place of their own.
fn lifetimes(plan: &Plan) -> Vec<Option<Lifetime>> {
    let mut lifetimes: Vec<Option<Lifetime>> = vec![None; plan.values.len()];
    let mut touch = |value: ValueId, step: usize| {
        let lifetime =
            lifetimes[place_of(plan, value)].get_or_insert(Lifetime { first: step, last: step });
        lifetime.last = lifetime.last.max(step);
    };
    for (at, step) in plan.steps.iter().enumerate() {
        touch(step.output, at);
        if let Source::Value(value) = step.input {
            touch(value, at);
        }
        if let Some(value) = step.other {
            touch(value, at);
        }
    }
    for output in &plan.outputs {
        touch(*output, plan.steps.len());
    }
    lifetimes
}

/// The value that a value lies in, at last.
fn place_of(plan: &Plan, value: ValueId) -> ValueId {
    match &plan.values[value].inside {
        Some(inside) => place_of(plan, inside.parent),
        None => value,
    }
}

fn view(plan: &Plan, sizes: &[[usize; 2]], regions: &[Option<Region>], value: ValueId) -> View {
    let [height, width] = sizes[value];
    let Value { channels, halo, inside } = &plan.values[value];
    let channels = *channels;
    match inside {
        None => {
            // Values that are never touched have no place, and no use for one.
            let start = regions[value].map_or(0, |region| region.start);
            let row = (halo.before[1] + width + halo.after[1]) * channels;
            let origin = start + halo.before[0] * row + halo.before[1] * channels;
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
                    let pixels: usize = before.iter().map(|part| sizes[*part][1]).sum();
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
