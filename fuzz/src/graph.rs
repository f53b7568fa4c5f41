//! Graphs of a few random operations: the plan, on every instruction set of the machine, against the
//! naive implementation in double precision.

use arbitrary::{Arbitrary, Result, Unstructured};
use fused_cpu::{
    Activation, Clamp, Graph, Isa, Operation, Plan, ValueId, Workspace,
    ops::{Affine, Convolution, Flatten, L2Norm, Pool, Pooling, Upsample},
};

use crate::naive::{self, Map, WindowOf, input, noise};

/// Most values of an image, so that a graph takes milliseconds.
const MAX_VALUES: usize = 1 << 13;

/// Builds the graph that the bytes tell and compares.
pub fn run(bytes: &[u8]) {
    // Too few bytes are a graph that ends.
    let Ok(case) = Case::draw(&mut Unstructured::new(bytes)) else { return };
    let input = &case.values[0];
    let shape = [input.images, input.height, input.width, input.channels];
    let values: Vec<f32> = input.values.iter().map(|value| *value as f32).collect();
    for isa in Isa::available() {
        let plan = Plan::from_graph_for(isa, case.graph.clone()).unwrap();
        let mut workspace = Workspace::new();
        // Twice, so that what the first run left in the workspace must not matter.
        for _ in 0..2 {
            plan.run(&mut workspace, &values, shape).unwrap();
        }
        for (at, output) in case.graph.outputs().iter().enumerate() {
            let expected = &case.values[output.index()];
            let (ours, shape) = workspace.output(at);
            let Map { images, height, width, channels, values } = expected;
            assert_eq!(shape, [*images, *height, *width, *channels], "{isa}");
            let scale = values.iter().fold(1.0f64, |most, value| most.max(value.abs()));
            for (ours, theirs) in ours.iter().zip(values) {
                let difference = (f64::from(*ours) - theirs).abs();
                assert!(
                    difference <= 1e-3 * scale,
                    "{isa}, output {output:?}: {ours}, not {theirs}\n{}",
                    described(&case.graph)
                );
            }
        }
    }
}

/// The operations, a line each.
fn described(graph: &Graph) -> String {
    let lines = graph.layers().iter().map(|layer| {
        let operation = match &layer.operation {
            Operation::Convolution(c) => {
                format!(
                    "{} to {} channels in {} groups, {:?}",
                    c.inputs,
                    c.outputs(),
                    c.groups,
                    c.window
                )
            }
            Operation::Affine(_) => "Affine".to_owned(),
            other => format!("{other:?}"),
        };
        let activation = match &layer.activation {
            Activation::Prelu(_) => "Prelu".to_owned(),
            other => format!("{other:?}"),
        };
        format!("{:?} = {operation} of {:?}, {activation}\n", layer.output, layer.inputs)
    });
    lines.chain([format!("yields {:?}", graph.outputs())]).collect()
}

/// A graph with all its values by the naive implementation.
struct Case {
    graph: Graph,
    values: Vec<Map>,
}

impl Case {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        let images = u.int_in_range(1..=3)?;
        let [height, width] = [u.int_in_range(1..=20)?, u.int_in_range(1..=20)?];
        let channels = u.int_in_range(1..=48)?;
        let mut case = Self {
            graph: Graph::new(channels),
            values: vec![input(images, height, width, channels)],
        };
        for _ in 0..u.int_in_range(1..=8)? {
            case.add(u)?;
        }
        let last = case.values.len() - 1;
        let mut outputs = vec![case.graph.layers().last().map_or(ValueId::INPUT, |l| l.output)];
        for layer in case.graph.layers() {
            if layer.output.index() != last && bool::arbitrary(u)? {
                outputs.push(layer.output);
            }
        }
        case.graph.set_outputs(&outputs).unwrap();
        Ok(case)
    }

    fn value(&self, at: usize) -> ValueId {
        at.checked_sub(1).map_or(ValueId::INPUT, |layer| self.graph.layers()[layer].output)
    }

    /// Adds an operation, unless it does not fit what there is.
    fn add(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let at = u.choose_index(self.values.len())?;
        let map = &self.values[at];
        let channels = map.channels;
        let seed = self.values.len() as u64;
        let mut inputs = vec![at];
        let (operation, made) = match u.int_in_range(0..=10u8)? {
            0..=2 => {
                // What goes through Winograd's transforms is drawn often.
                let of = if bool::arbitrary(u)? {
                    WindowOf::same(3)
                } else {
                    // Convolutions have no such mode.
                    WindowOf { ceil: false, ..window(u)? }
                };
                let groups = *u.choose(&divisors(channels))?;
                let outputs = groups * u.int_in_range(1..=(48 / groups).max(1))?;
                let count = outputs * channels / groups * of.kernel[0] * of.kernel[1];
                // Sums stay about as large as what they sum.
                let scale = ((count / outputs) as f32).sqrt().recip();
                let weights: Vec<f32> = noise(seed, count).iter().map(|w| w * scale).collect();
                let bias = noise(seed + 99, outputs);
                let made = (positions(map, &of)).then(|| {
                    naive::convolution(map, &doubles(&weights), &doubles(&bias), groups, &of)
                });
                let window = (&of).into();
                let convolution = Convolution { weights, bias, inputs: channels, groups, window };
                (Operation::Convolution(convolution), made)
            }
            3 => {
                let (scale, shift) = (noise(seed, channels), noise(seed + 99, channels));
                let made = map.each(|c, x| f64::from(scale[c]) * x + f64::from(shift[c]));
                (Operation::Affine(Affine { scale, shift }), Some(made))
            }
            4 => {
                let other = u.choose_index(self.values.len())?;
                inputs.push(other);
                let other = &self.values[other];
                (Operation::Add, same_shape(map, other).then(|| map.zip(other, |a, b| a + b)))
            }
            5 => {
                let mut of = window(u)?;
                of.dilation = [1; 2];
                for axis in 0..2 {
                    // A window that sees only padding has no largest value.
                    of.before[axis] = of.before[axis].min(of.kernel[axis] / 2);
                    of.after[axis] = of.before[axis];
                }
                let window = (&of).into();
                let fits = positions(map, &of);
                let (pooling, made) = if bool::arbitrary(u)? {
                    (Pooling::Max, fits.then(|| naive::max_pool(map, &of)))
                } else {
                    let count_padding = bool::arbitrary(u)?;
                    let made = fits.then(|| naive::average_pool(map, &of, count_padding));
                    (Pooling::Average { count_padding }, made)
                };
                (Operation::Pool(Pool { window, pooling }), made)
            }
            6 => (Operation::GlobalAverage, Some(naive::global_average(map))),
            7 => {
                let epsilon = 0.25;
                let made = naive::l2_norm(map, epsilon.into());
                (Operation::L2Norm(L2Norm { epsilon }), Some(made))
            }
            8 => (Operation::Softmax, Some(naive::softmax(map))),
            9 => {
                let factors = [u.int_in_range(1..=3)?, u.int_in_range(1..=3)?];
                let made = naive::upsample(map, factors);
                (Operation::Upsample(Upsample { factors }), Some(made))
            }
            _ => {
                let others = u.choose_index(self.values.len())?;
                let other = &self.values[others];
                let same_size = (map.height, map.width) == (other.height, other.width);
                if bool::arbitrary(u)? {
                    inputs.push(others);
                    let made = same_size.then(|| naive::concat_channels(&[map, other]));
                    (Operation::ConcatChannels, made)
                } else if map.height == 1 && other.height == 1 && channels == other.channels {
                    inputs.push(others);
                    (Operation::ConcatPixels, Some(naive::concat_pixels(&[map, other])))
                } else {
                    let floats = map.height * map.width * channels;
                    let channels = *u.choose(&divisors(floats.min(64)))?;
                    let made = floats.is_multiple_of(channels).then(|| map.as_row(channels));
                    (Operation::Flatten(Flatten { channels }), made)
                }
            }
        };
        let Some(made) = made.filter(|made| (1..MAX_VALUES).contains(&made.values.len())) else {
            return Ok(());
        };
        let inputs: Vec<ValueId> = inputs.into_iter().map(|at| self.value(at)).collect();
        if self.graph.add(operation, &inputs).is_err() {
            return Ok(());
        }
        self.values.push(made);
        self.activate(u)
    }

    /// Perhaps adds an activation of the last value.
    fn activate(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let at = self.values.len() - 1;
        let map = &self.values[at];
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let (activation, made) = match u.int_in_range(0..=7u8)? {
            0 => (Activation::RELU, map.map(|x| x.max(0.0))),
            1 => {
                let clamp = Clamp { min: -0.25, max: 0.5 };
                (Activation::Clamp(clamp), map.map(|x| x.clamp(-0.25, 0.5)))
            }
            2 => (Activation::Sigmoid, map.map(sigmoid)),
            3 => (Activation::Silu, map.map(|x| x * sigmoid(x))),
            4 => (Activation::HardSwish, map.map(|x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0))),
            5 => {
                let slopes = noise(at as u64 + 5, map.channels);
                let made = map.each(|c, x| if x > 0.0 { x } else { f64::from(slopes[c]) * x });
                (Activation::Prelu(slopes), made)
            }
            _ => return Ok(()),
        };
        self.graph.activate(self.value(at), activation).unwrap();
        self.values.push(made);
        Ok(())
    }
}

fn window(u: &mut Unstructured<'_>) -> Result<WindowOf> {
    let mut pair = |from: usize, to: usize| -> Result<[usize; 2]> {
        Ok([u.int_in_range(from..=to)?, u.int_in_range(from..=to)?])
    };
    let (kernel, stride, dilation) = (pair(1, 4)?, pair(1, 3)?, pair(1, 2)?);
    let (before, after) = (pair(0, 3)?, pair(0, 3)?);
    Ok(WindowOf { kernel, stride, dilation, before, after, ceil: bool::arbitrary(u)? })
}

/// Whether a window fits at all.
fn positions(map: &Map, of: &WindowOf) -> bool {
    let fits = |axis: usize, length: usize| {
        of.dilation[axis] * (of.kernel[axis] - 1) < length + of.before[axis] + of.after[axis]
    };
    fits(0, map.height) && fits(1, map.width)
}

fn same_shape(a: &Map, b: &Map) -> bool {
    (a.height, a.width, a.channels) == (b.height, b.width, b.channels)
}

fn divisors(of: usize) -> Vec<usize> {
    (1..=of).filter(|divisor| of.is_multiple_of(*divisor)).collect()
}

fn doubles(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

/// Noise, which draws some of everything.
pub fn seeds() -> Vec<Vec<u8>> {
    (0..40u64)
        .map(|seed| noise(seed, 120).iter().map(|value| (value * 128.0) as i8 as u8).collect())
        .collect()
}
