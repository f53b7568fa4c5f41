//! A command that hears of events on its standard input.

use std::{
    io::{self, Write},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use detection_schema::EventRecord;

use super::{Ending, Listener};

/// How often a running command is looked at.
const PAUSE: Duration = Duration::from_millis(20);

/// A command that is run for every event.
pub(super) struct ShellCommand {
    command: String,
    limit: Duration,
}

impl ShellCommand {
    /// Runs `command` in a shell, for no longer than `limit` an event.
    pub(super) fn new(command: &str, limit: Duration) -> Self {
        Self { command: command.to_owned(), limit }
    }
}

impl Listener for ShellCommand {
    const ARGUMENT: &'static str = "--on-event";

    fn tell(&mut self, event: &EventRecord, _: &Ending) -> Result<(), String> {
        let Self { command, limit } = self;
        let mut child = shell(command).map_err(|error| format!("cannot be run: {error}"))?;
        let started = Instant::now();
        if let (Some(mut input), Ok(json)) = (child.stdin.take(), serde_json::to_string(event)) {
            // A command need not read it; a pipe takes so little at once.
            let _ = writeln!(input, "{json}");
        }
        loop {
            match child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(status.to_string()),
                Ok(None) if started.elapsed() > *limit => {
                    end(&mut child);
                    return Err(format!("ended after {} s", limit.as_secs_f64()));
                }
                Ok(None) => thread::sleep(PAUSE),
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    fn finish(self) {}
}

/// A command in a shell, whose standard output is that of errors: results alone go to standard output.
fn shell(command: &str) -> io::Result<Child> {
    let mut shell = if cfg!(windows) { Command::new("cmd") } else { Command::new("sh") };
    shell.arg(if cfg!(windows) { "/C" } else { "-c" }).arg(command);
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut shell, 0);
    shell.stdin(Stdio::piped()).stdout(io::stderr()).spawn()
}

/// Ends a command and what it started.
fn end(child: &mut Child) {
    #[cfg(unix)]
    if let Some(group) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        // It may have ended by itself.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let _ = child.kill();
    let _ = child.wait();
}
