//! Zones in which tracks are counted, and lines that they cross.

use std::collections::BTreeMap;

/// A part of the picture.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Zone {
    /// What it is called.
    pub name: String,
    /// Its corners in order, in parts of the picture's width and height: `[0, 0]` is the upper left corner,
    /// `[1, 1]` the lower right one.
    pub polygon: Vec<[f32; 2]>,
}

impl Zone {
    /// Whether a point lies in it, by the even-odd rule.
    pub fn contains(&self, [x, y]: [f32; 2]) -> bool {
        let corners = self.polygon.iter();
        let edges = corners.clone().zip(corners.cycle().skip(1));
        edges
            .filter(|([ax, ay], [bx, by])| {
                (*ay > y) != (*by > y) && x < (bx - ax) * (y - ay) / (by - ay) + ax
            })
            .count()
            % 2
            == 1
    }
}

/// A line that is counted when it is crossed.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Line {
    /// What it is called.
    pub name: String,
    /// One end, in parts of the picture's width and height.
    pub from: [f32; 2],
    /// The other end.
    pub to: [f32; 2],
}

/// Which way a line was crossed, for somebody at its beginning who looks to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Crossing {
    /// From the left to the right.
    In,
    /// From the right to the left.
    Out,
}

/// Who stands where beside a line.
#[derive(Debug, Clone)]
pub struct LineCounter {
    line: Line,
    /// The last point of each track that was clearly on a side.
    sides: BTreeMap<u64, [f32; 2]>,
}

/// Of a line's length, so much on both sides is neither side: somebody who stands on it and sways crosses
/// it once.
const DEAD_BAND: f32 = 0.02;

impl LineCounter {
    /// Nobody yet.
    pub fn new(line: Line) -> Self {
        Self { line, sides: BTreeMap::new() }
    }

    /// The line.
    pub fn line(&self) -> &Line {
        &self.line
    }

    /// Takes note of where a track is, in parts of the picture; whether it crossed the line on its way.
    pub fn see(&mut self, track: u64, point: [f32; 2]) -> Option<Crossing> {
        let side = self.side(point);
        if side.abs() <= DEAD_BAND {
            return None;
        }
        let last = self.sides.insert(track, point)?;
        let last_side = self.side(last);
        if last_side.signum() == side.signum() {
            return None;
        }
        // Where its way meets the line, from 0 at the line's beginning to 1 at its end.
        let part = last_side / (last_side - side);
        let meeting = [0, 1].map(|axis| last[axis] + part * (point[axis] - last[axis]));
        let [ax, ay] = self.line.from;
        let (dx, dy) = self.direction();
        let along = ((meeting[0] - ax) * dx + (meeting[1] - ay) * dy) / (dx * dx + dy * dy);
        let crossing = if side > 0.0 { Crossing::In } else { Crossing::Out };
        (0.0..=1.0).contains(&along).then_some(crossing)
    }

    /// Forgets a track.
    pub fn forget(&mut self, track: u64) {
        self.sides.remove(&track);
    }

    fn direction(&self) -> (f32, f32) {
        let ([ax, ay], [bx, by]) = (self.line.from, self.line.to);
        (bx - ax, by - ay)
    }

    /// Distance from the line in lengths of it; positive on the right.
    fn side(&self, [x, y]: [f32; 2]) -> f32 {
        let [ax, ay] = self.line.from;
        let (dx, dy) = self.direction();
        (dx * (y - ay) - dy * (x - ax)) / (dx * dx + dy * dy).max(f32::EPSILON)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counter() -> LineCounter {
        // Upwards, so that the right of the picture is its right.
        LineCounter::new(Line { name: "door".to_owned(), from: [0.5, 0.8], to: [0.5, 0.2] })
    }

    #[test]
    fn lines_are_crossed_once_and_in_a_direction() {
        let mut door = counter();
        let walk = [0.3, 0.4, 0.49, 0.505, 0.495, 0.505, 0.55, 0.7];
        let crossings: Vec<_> = walk.iter().filter_map(|x| door.see(1, [*x, 0.5])).collect();
        assert_eq!(crossings, [Crossing::In]);
        assert_eq!(door.see(1, [0.2, 0.5]), Some(Crossing::Out));
        // Past its end, and another track that never was on the other side.
        assert_eq!(door.see(2, [0.4, 0.1]), None);
        assert_eq!(door.see(2, [0.6, 0.1]), None);
        assert_eq!(door.see(3, [0.6, 0.5]), None);
        door.forget(3);
        assert_eq!(door.see(3, [0.4, 0.5]), None);
    }

    #[test]
    fn zones_may_have_any_shape() {
        let polygon = vec![[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.5, 0.5], [0.0, 1.0]];
        let zone = Zone { name: "arrow".to_owned(), polygon };
        assert!(
            zone.contains([0.5, 0.4]) && zone.contains([0.1, 0.8]) && zone.contains([0.9, 0.8])
        );
        assert!(!zone.contains([0.5, 0.6]) && !zone.contains([1.1, 0.5]));
    }
}
