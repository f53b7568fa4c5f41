#![doc = include_str!("../README.md")]

mod access;
mod answer;
mod body;
mod config;
mod detect;
mod engine;
mod error;
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

pub use config::{Limits, ServerConfig, Tls};
pub use error::ServerError;
pub use server::{Server, Stopper};
