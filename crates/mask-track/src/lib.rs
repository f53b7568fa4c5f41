#![doc = include_str!("../README.md")]

mod assignment;
mod kalman;
mod places;
mod tracker;
mod vote;

pub use places::{Crossing, Line, LineCounter, Zone};
pub use tracker::{Ended, Observation, Track, Tracker, TrackerConfig, TrackerUpdate};
pub use vote::{LabelVote, VoteConfig};
