#![doc = include_str!("../README.md")]

mod analysis;
#[cfg(feature = "database")]
mod database;
mod error;
mod events;
mod feed;
mod ffmpeg;
mod frames;
#[cfg(feature = "database")]
mod history;
mod scene;
mod source;
mod writer;

pub use analysis::{Analysis, AnalysisConfig, People, Visit};
#[cfg(feature = "database")]
pub use database::Database;
pub use error::StreamError;
pub use events::{Crossings, Observer};
pub use feed::{Feed, FeedConfig, FeedEvent};
pub use ffmpeg::Ffmpeg;
pub use frames::{Frame, FrameSelection};
#[cfg(feature = "database")]
pub use history::{History, PastCount, PastEvent};
pub use scene::{Condition, Rule, Scene};
pub use source::{RawFormat, Source};
pub use writer::VideoWriter;
