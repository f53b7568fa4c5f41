#![doc = include_str!("../README.md")]

mod access;
mod answer;
mod body;
mod cameras;
mod config;
mod detect;
mod engine;
mod error;
mod fetch;
mod health;
mod info;
mod live;
mod metrics;
mod openapi;
mod page;
mod parameters;
mod problem;
mod requests;
mod routes;
mod server;
mod streams;

pub use cameras::{Camera, CameraCondition, CameraFrame, CameraStatus, Cameras};
pub use config::{Limits, ServerConfig, Tls};
pub use error::ServerError;
pub use server::{Server, Stopper};
