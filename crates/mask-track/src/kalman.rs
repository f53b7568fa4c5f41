//! Where a box will be: a Kalman filter of constant velocity, as DeepSORT and ByteTrack have it.
//!
//! Their filter has eight dimensions: centre, aspect ratio and height of the box, and the velocity of each.
//! Every matrix in it couples a coordinate with its own velocity alone, so it is four filters of two
//! dimensions here, with the same results.

use geometry::BoundingBox;

/// Seconds of a step: ByteTrack's noise is per frame of a video of 30 frames a second.
const STEP: f64 = 1.0 / 30.0;
/// Standard deviation of a measured position, in heights of the box (ByteTrack, `kalman_filter.py`).
const MEASUREMENT_NOISE: f64 = 1.0 / 20.0;
/// By how much a position strays from its velocity in a step, in heights of the box. ByteTrack has 1/20 for
/// this and 1/160 for velocities, of pedestrians; of heads, these lose fewer (docs/streams.md).
const POSITION_NOISE: f64 = 1.0 / 80.0;
/// By how much a velocity changes in a step, in heights of the box per step.
const VELOCITY_NOISE: f64 = 1.0 / 80.0;
/// The same of aspect ratios, which have no unit: position, velocity and measurement (ByteTrack).
const ASPECT_NOISE: (f64, f64, f64) = (1e-2, 1e-5, 1e-1);

/// A coordinate with its velocity, and the covariance of both.
#[derive(Debug, Clone, Copy)]
struct Coordinate {
    position: f64,
    velocity: f64,
    /// Variance of the position, covariance, variance of the velocity.
    covariance: [f64; 3],
}

impl Coordinate {
    fn new(position: f64, [position_noise, velocity_noise]: [f64; 2]) -> Self {
        let covariance = [position_noise * position_noise, 0.0, velocity_noise * velocity_noise];
        Self { position, velocity: 0.0, covariance }
    }

    fn predict(&mut self, steps: f64, [position_noise, velocity_noise]: [f64; 2]) {
        self.position += steps * self.velocity;
        let [position, both, velocity] = self.covariance;
        self.covariance = [
            position
                + 2.0 * steps * both
                + steps * steps * velocity
                + steps * position_noise * position_noise,
            both + steps * velocity,
            velocity + steps * velocity_noise * velocity_noise,
        ];
    }

    fn correct(&mut self, measured: f64, noise: f64) {
        let [position, both, velocity] = self.covariance;
        let total = position + noise * noise;
        let (gain, velocity_gain) = (position / total, both / total);
        let surprise = measured - self.position;
        self.position += gain * surprise;
        self.velocity += velocity_gain * surprise;
        self.covariance =
            [position - gain * position, both - gain * both, velocity - velocity_gain * both];
    }

    /// In a unit that is `factor` times smaller.
    fn scale(&mut self, factor: f64) {
        self.position *= factor;
        self.velocity *= factor;
        self.covariance = self.covariance.map(|entry| entry * factor * factor);
    }
}

/// A box in motion.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MovingBox {
    x: Coordinate,
    y: Coordinate,
    aspect: Coordinate,
    height: Coordinate,
}

impl MovingBox {
    /// Stands still, as far as is known.
    pub(crate) fn new(bbox: &BoundingBox) -> Self {
        let [x, y, aspect, height] = measured(bbox);
        // As uncertain at first as ByteTrack has it.
        let noise = [2.0 * MEASUREMENT_NOISE * height, 10.0 * VELOCITY_NOISE * height];
        let (position, velocity, _) = ASPECT_NOISE;
        Self {
            x: Coordinate::new(x, noise),
            y: Coordinate::new(y, noise),
            aspect: Coordinate::new(aspect, [position, velocity]),
            height: Coordinate::new(height, noise),
        }
    }

    /// Moves on by some time. A box that is `lost` keeps its height.
    pub(crate) fn predict(&mut self, seconds: f64, lost: bool) {
        let steps = seconds / STEP;
        if lost {
            self.height.velocity = 0.0;
        }
        let height = self.height.position;
        let noise = [POSITION_NOISE * height, VELOCITY_NOISE * height];
        let (position, velocity, _) = ASPECT_NOISE;
        self.x.predict(steps, noise);
        self.y.predict(steps, noise);
        self.aspect.predict(steps, [position, velocity]);
        self.height.predict(steps, noise);
    }

    /// Takes a measurement into account.
    pub(crate) fn correct(&mut self, bbox: &BoundingBox) {
        let [x, y, aspect, height] = measured(bbox);
        let noise = MEASUREMENT_NOISE * self.height.position;
        self.x.correct(x, noise);
        self.y.correct(y, noise);
        self.aspect.correct(aspect, ASPECT_NOISE.2);
        self.height.correct(height, noise);
    }

    /// In a picture that is wider and higher by these factors.
    pub(crate) fn scale(&mut self, horizontal: f64, vertical: f64) {
        self.x.scale(horizontal);
        self.y.scale(vertical);
        self.aspect.scale(horizontal / vertical);
        self.height.scale(vertical);
    }

    /// Where it is.
    pub(crate) fn bbox(&self) -> BoundingBox {
        let height = self.height.position.max(0.0);
        let (right, down) = (height * self.aspect.position.max(0.0) / 2.0, height / 2.0);
        BoundingBox {
            x_min: (self.x.position - right) as f32,
            y_min: (self.y.position - down) as f32,
            x_max: (self.x.position + right) as f32,
            y_max: (self.y.position + down) as f32,
        }
    }
}

/// Centre, ratio of width to height, and height.
fn measured(bbox: &BoundingBox) -> [f64; 4] {
    let (width, height) = (f64::from(bbox.width()), f64::from(bbox.height()).max(1e-3));
    let middle = |low: f32, high: f32| f64::midpoint(low.into(), high.into());
    [middle(bbox.x_min, bbox.x_max), middle(bbox.y_min, bbox.y_max), width / height, height]
}
