//! Convolutions and their like, written for clarity and in double precision.

/// Pictures, `[pictures, height, width, channels]`.
#[derive(Debug, Clone)]
pub(crate) struct Map {
    pub(crate) pictures: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) channels: usize,
    pub(crate) values: Vec<f64>,
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

    /// Positions along an axis: as many as begin within the picture and its padding.
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

impl Map {
    pub(crate) fn at(&self, picture: usize, y: usize, x: usize, channel: usize) -> f64 {
        self.values[((picture * self.height + y) * self.width + x) * self.channels + channel]
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
        pictures: usize,
        [height, width]: [usize; 2],
        channels: usize,
        f: impl Fn(usize, usize, usize, usize) -> f64,
    ) -> Self {
        let mut values = Vec::new();
        for picture in 0..pictures {
            for y in 0..height {
                for x in 0..width {
                    values.extend((0..channels).map(|channel| f(picture, y, x, channel)));
                }
            }
        }
        Self { pictures, height, width, channels, values }
    }

    fn size(&self) -> [usize; 2] {
        [self.height, self.width]
    }
}

fn output_size(input: &Map, window: &WindowOf) -> [usize; 2] {
    [window.positions(0, input.height), window.positions(1, input.width)]
}

/// The pixels of a window at a position: of the kernel, and of the picture if within it.
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
    Map::build(input.pictures, output_size(input, window), outputs, |picture, y, x, output| {
        let group = output / (outputs / groups);
        let mut sum = bias[output];
        for ([ky, kx], pixel) in pixels(input, window, [y, x]) {
            let Some([y, x]) = pixel else { continue };
            for channel in 0..inputs {
                let weight = weights[((output * inputs + channel) * height + ky) * width + kx];
                sum += weight * input.at(picture, y, x, group * inputs + channel);
            }
        }
        sum
    })
}

pub(crate) fn max_pool(input: &Map, window: &WindowOf) -> Map {
    Map::build(input.pictures, output_size(input, window), input.channels, |picture, y, x, c| {
        pixels(input, window, [y, x])
            .filter_map(|(_, pixel)| pixel)
            .map(|[y, x]| input.at(picture, y, x, c))
            .fold(f64::NEG_INFINITY, f64::max)
    })
}

pub(crate) fn average_pool(input: &Map, window: &WindowOf, count_padding: bool) -> Map {
    Map::build(input.pictures, output_size(input, window), input.channels, |picture, y, x, c| {
        let (mut sum, mut count) = (0.0, 0);
        for (tap, pixel) in pixels(input, window, [y, x]) {
            let padded = (0..2).all(|axis| {
                let at = [y, x][axis] * window.stride[axis] + tap[axis] * window.dilation[axis];
                at < input.size()[axis] + window.before[axis] + window.after[axis]
            });
            count += usize::from(pixel.is_some() || (count_padding && padded));
            sum += pixel.map_or(0.0, |[y, x]| input.at(picture, y, x, c));
        }
        sum / count as f64
    })
}

pub(crate) fn global_average(input: &Map) -> Map {
    Map::build(input.pictures, [1, 1], input.channels, |picture, _, _, channel| {
        let mut sum = 0.0;
        for y in 0..input.height {
            for x in 0..input.width {
                sum += input.at(picture, y, x, channel);
            }
        }
        sum / (input.height * input.width) as f64
    })
}

pub(crate) fn l2_norm(input: &Map, epsilon: f64) -> Map {
    Map::build(input.pictures, input.size(), input.channels, |picture, y, x, channel| {
        let squares: f64 = (0..input.channels).map(|c| input.at(picture, y, x, c).powi(2)).sum();
        input.at(picture, y, x, channel) / (squares + epsilon).sqrt()
    })
}

pub(crate) fn softmax(input: &Map) -> Map {
    Map::build(input.pictures, input.size(), input.channels, |picture, y, x, channel| {
        let sum: f64 = (0..input.channels).map(|c| input.at(picture, y, x, c).exp()).sum();
        input.at(picture, y, x, channel).exp() / sum
    })
}

/// A dense layer with weights `[inputs, outputs]`.
pub(crate) fn dense(input: &Map, weights: &[f64], bias: &[f64]) -> Map {
    Map::build(input.pictures, input.size(), bias.len(), |picture, y, x, output| {
        let products = (0..input.channels).map(|channel| {
            input.at(picture, y, x, channel) * weights[channel * bias.len() + output]
        });
        bias[output] + products.sum::<f64>()
    })
}

pub(crate) fn concat_channels(parts: &[&Map]) -> Map {
    let channels = parts.iter().map(|part| part.channels).sum();
    Map::build(parts[0].pictures, parts[0].size(), channels, |picture, y, x, channel| {
        let mut channel = channel;
        for part in parts {
            if channel < part.channels {
                return part.at(picture, y, x, channel);
            }
            channel -= part.channels;
        }
        f64::NAN
    })
}

pub(crate) fn concat_pixels(parts: &[&Map]) -> Map {
    let width = parts.iter().map(|part| part.width).sum();
    Map::build(parts[0].pictures, [1, width], parts[0].channels, |picture, _, x, channel| {
        let mut x = x;
        for part in parts {
            if x < part.width {
                return part.at(picture, 0, x, channel);
            }
            x -= part.width;
        }
        f64::NAN
    })
}
