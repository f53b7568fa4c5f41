//! Convolutions and their like, written for clarity and in double precision.

/// Images, `[images, height, width, channels]`.
#[derive(Debug, Clone)]
pub(crate) struct Map {
    pub(crate) images: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) channels: usize,
    pub(crate) values: Vec<f64>,
}

/// Reproducible values in [-1, 1).
pub(crate) fn noise(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// Images of reproducible values.
pub(crate) fn input(images: usize, height: usize, width: usize, channels: usize) -> Map {
    let values = noise(7, images * height * width * channels);
    let values = values.into_iter().map(f64::from).collect();
    Map { images, height, width, channels, values }
}

/// How a window moves.
#[derive(Debug, Clone)]
pub(crate) struct WindowOf {
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    pub(crate) dilation: [usize; 2],
    pub(crate) before: [usize; 2],
    pub(crate) after: [usize; 2],
    pub(crate) ceil: bool,
}

impl WindowOf {
    /// A window that keeps the size.
    pub(crate) fn same(side: usize) -> Self {
        let pad = [side / 2; 2];
        Self {
            kernel: [side; 2],
            stride: [1; 2],
            dilation: [1; 2],
            before: pad,
            after: pad,
            ceil: false,
        }
    }

    /// Positions along an axis: as many as begin within the image and its padding.
    fn positions(&self, axis: usize, length: usize) -> usize {
        let end = length + self.before[axis] + self.after[axis];
        let extent = self.dilation[axis] * (self.kernel[axis] - 1) + 1;
        let fits = |start: usize| {
            if self.ceil {
                // The window before it did not reach the end, and it begins before the end.
                let previous_end = start.checked_sub(self.stride[axis]).map(|start| start + extent);
                start + extent <= end
                    || (previous_end.is_some_and(|previous| previous < end)
                        && start < length + self.before[axis])
            } else {
                start + extent <= end
            }
        };
        (0..).take_while(|position| fits(position * self.stride[axis])).count()
    }
}

impl From<&WindowOf> for fused_cpu::Window {
    fn from(of: &WindowOf) -> Self {
        Self {
            kernel: of.kernel,
            stride: of.stride,
            dilation: of.dilation,
            padding_begin: of.before,
            padding_end: of.after,
            ceil: of.ceil,
        }
    }
}

impl Map {
    pub(crate) fn at(&self, image: usize, y: usize, x: usize, channel: usize) -> f64 {
        self.values[((image * self.height + y) * self.width + x) * self.channels + channel]
    }

    /// Every value with its channel, mapped.
    pub(crate) fn each(&self, f: impl Fn(usize, f64) -> f64) -> Self {
        let values = self.values.iter().enumerate();
        let values = values.map(|(at, value)| f(at % self.channels, *value)).collect();
        Self { values, ..self.clone() }
    }

    pub(crate) fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        self.each(|_, value| f(value))
    }

    pub(crate) fn zip(&self, other: &Self, f: impl Fn(f64, f64) -> f64) -> Self {
        let values = self.values.iter().zip(&other.values).map(|(a, b)| f(*a, *b)).collect();
        Self { values, ..self.clone() }
    }

    /// The same values as one row.
    pub(crate) fn as_row(&self, channels: usize) -> Self {
        let width = self.height * self.width * self.channels / channels;
        Self { height: 1, width, channels, ..self.clone() }
    }

    fn build(
        images: usize,
        [height, width]: [usize; 2],
        channels: usize,
        f: impl Fn(usize, usize, usize, usize) -> f64,
    ) -> Self {
        let mut values = Vec::new();
        for image in 0..images {
            for y in 0..height {
                for x in 0..width {
                    values.extend((0..channels).map(|channel| f(image, y, x, channel)));
                }
            }
        }
        Self { images, height, width, channels, values }
    }

    fn size(&self) -> [usize; 2] {
        [self.height, self.width]
    }
}

fn output_size(input: &Map, window: &WindowOf) -> [usize; 2] {
    [window.positions(0, input.height), window.positions(1, input.width)]
}

/// The pixels of a window at a position: of the kernel, and of the image if within it.
fn pixels<'a>(
    input: &'a Map,
    window: &'a WindowOf,
    position: [usize; 2],
) -> impl Iterator<Item = ([usize; 2], Option<[usize; 2]>)> + 'a {
    let along = move |axis: usize, tap: usize| {
        let padded = position[axis] * window.stride[axis] + tap * window.dilation[axis];
        padded.checked_sub(window.before[axis]).filter(|at| *at < input.size()[axis])
    };
    (0..window.kernel[0]).flat_map(move |ky| {
        (0..window.kernel[1]).map(move |kx| {
            let pixel = along(0, ky).zip(along(1, kx)).map(|(y, x)| [y, x]);
            ([ky, kx], pixel)
        })
    })
}

pub(crate) fn convolution(
    input: &Map,
    weights: &[f64],
    bias: &[f64],
    groups: usize,
    window: &WindowOf,
) -> Map {
    let (outputs, inputs) = (bias.len(), input.channels / groups);
    let [height, width] = window.kernel;
    Map::build(input.images, output_size(input, window), outputs, |image, y, x, output| {
        let group = output / (outputs / groups);
        let mut sum = bias[output];
        for ([ky, kx], pixel) in pixels(input, window, [y, x]) {
            let Some([y, x]) = pixel else { continue };
            for channel in 0..inputs {
                let weight = weights[((output * inputs + channel) * height + ky) * width + kx];
                sum += weight * input.at(image, y, x, group * inputs + channel);
            }
        }
        sum
    })
}

pub(crate) fn max_pool(input: &Map, window: &WindowOf) -> Map {
    Map::build(input.images, output_size(input, window), input.channels, |image, y, x, c| {
        pixels(input, window, [y, x])
            .filter_map(|(_, pixel)| pixel)
            .map(|[y, x]| input.at(image, y, x, c))
            .fold(f64::NEG_INFINITY, f64::max)
    })
}

pub(crate) fn average_pool(input: &Map, window: &WindowOf, count_padding: bool) -> Map {
    Map::build(input.images, output_size(input, window), input.channels, |image, y, x, c| {
        let (mut sum, mut count) = (0.0, 0);
        for (tap, pixel) in pixels(input, window, [y, x]) {
            let padded = (0..2).all(|axis| {
                let at = [y, x][axis] * window.stride[axis] + tap[axis] * window.dilation[axis];
                at < input.size()[axis] + window.before[axis] + window.after[axis]
            });
            count += usize::from(pixel.is_some() || (count_padding && padded));
            sum += pixel.map_or(0.0, |[y, x]| input.at(image, y, x, c));
        }
        sum / count as f64
    })
}

pub(crate) fn global_average(input: &Map) -> Map {
    Map::build(input.images, [1, 1], input.channels, |image, _, _, channel| {
        let mut sum = 0.0;
        for y in 0..input.height {
            for x in 0..input.width {
                sum += input.at(image, y, x, channel);
            }
        }
        sum / (input.height * input.width) as f64
    })
}

pub(crate) fn l2_norm(input: &Map, epsilon: f64) -> Map {
    Map::build(input.images, input.size(), input.channels, |image, y, x, channel| {
        let squares: f64 = (0..input.channels).map(|c| input.at(image, y, x, c).powi(2)).sum();
        input.at(image, y, x, channel) / (squares + epsilon).sqrt()
    })
}

/// Every pixel repeated.
pub(crate) fn upsample(input: &Map, [down, right]: [usize; 2]) -> Map {
    let size = [input.height * down, input.width * right];
    Map::build(input.images, size, input.channels, |image, y, x, channel| {
        input.at(image, y / down, x / right, channel)
    })
}

pub(crate) fn softmax(input: &Map) -> Map {
    Map::build(input.images, input.size(), input.channels, |image, y, x, channel| {
        let sum: f64 = (0..input.channels).map(|c| input.at(image, y, x, c).exp()).sum();
        input.at(image, y, x, channel).exp() / sum
    })
}

pub(crate) fn concat_channels(parts: &[&Map]) -> Map {
    let channels = parts.iter().map(|part| part.channels).sum();
    Map::build(parts[0].images, parts[0].size(), channels, |image, y, x, channel| {
        let mut channel = channel;
        for part in parts {
            if channel < part.channels {
                return part.at(image, y, x, channel);
            }
            channel -= part.channels;
        }
        f64::NAN
    })
}

pub(crate) fn concat_pixels(parts: &[&Map]) -> Map {
    let width = parts.iter().map(|part| part.width).sum();
    Map::build(parts[0].images, [1, width], parts[0].channels, |image, _, x, channel| {
        let mut x = x;
        for part in parts {
            if x < part.width {
                return part.at(image, 0, x, channel);
            }
            x -= part.width;
        }
        f64::NAN
    })
}
