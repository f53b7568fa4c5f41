//! `mask-cli`: the command line of the face-mask detector. Glue only.
//!
//! The way of an image: `inputs` lists the files, `output_images` plans where drawn images go, `pipeline`
//! divides them among workers, `image_work` decodes, searches and draws, `session` counts, `format` prints
//! the results; `detect` sets all of it up.

mod args;
mod detect;
mod font;
mod format;
mod image_work;
mod inputs;
mod interrupt;
mod manual;
mod networks;
mod new_files;
mod output_images;
mod pipeline;
mod progress;
mod results;
mod selection;
mod serve;
mod session;
mod timing;
mod totals;
mod watch;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;

use args::{Cli, Command};

/// Exit status for wrong arguments or nothing to do.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Detect(args) => detect::run(&args),
        Command::Watch(args) => watch::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Completions { shell } => manual::completions(shell),
        Command::Man => manual::man_page(),
    };
    result.unwrap_or_else(|error| {
        // Where even that line cannot be written, the status still tells.
        let _ = writeln!(io::stderr(), "mask-cli: {error:#}");
        ExitCode::from(USAGE)
    })
}
