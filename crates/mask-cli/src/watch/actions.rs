//! What is done when something happened: a command, which never holds up the stream.

use std::{
    io::{self, Write},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use detection_schema::EventRecord;

/// Events that wait for the command; more are dropped.
const QUEUE: usize = 64;
/// How often a running command is looked at.
const PAUSE: Duration = Duration::from_millis(20);

/// A command that is run for every event, one after the other, on a thread of its own.
pub(super) struct Actions {
    events: Option<SyncSender<EventRecord>>,
    worker: Option<JoinHandle<()>>,
    /// What went wrong since somebody asked.
    problems: Arc<Mutex<Vec<String>>>,
}

impl Actions {
    /// Runs `command` in a shell, for no longer than `limit` an event.
    pub(super) fn new(command: &str, limit: Duration) -> Self {
        let (sender, events) = sync_channel(QUEUE);
        let problems = Arc::new(Mutex::new(Vec::new()));
        let (command, reports) = (command.to_owned(), Arc::clone(&problems));
        let worker = thread::spawn(move || work(&command, limit, &events, &reports));
        Self { events: Some(sender), worker: Some(worker), problems }
    }

    /// Hands over an event, if there is room.
    pub(super) fn send(&self, event: &EventRecord) {
        let Some(events) = &self.events else { return };
        if let Err(TrySendError::Full(event)) = events.try_send(event.clone()) {
            note(&self.problems, format!("the event `{}` is dropped: {QUEUE} wait", event.rule));
        }
    }

    /// What went wrong, a line each.
    pub(super) fn problems(&self) -> Vec<String> {
        std::mem::take(&mut self.problems.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until the events that were handed over are done.
    pub(super) fn finish(mut self) -> Vec<String> {
        self.events = None;
        if let Some(worker) = self.worker.take() {
            // It does not panic; if it did, there is nothing left to do for it.
            let _ = worker.join();
        }
        self.problems()
    }
}

fn note(problems: &Mutex<Vec<String>>, line: String) {
    problems.lock().unwrap_or_else(PoisonError::into_inner).push(line);
}

fn work(
    command: &str,
    limit: Duration,
    events: &Receiver<EventRecord>,
    problems: &Mutex<Vec<String>>,
) {
    for event in events {
        if let Err(reason) = run(command, limit, &event) {
            note(problems, format!("--on-event, for `{}`: {reason}", event.rule));
        }
    }
}

fn run(command: &str, limit: Duration, event: &EventRecord) -> Result<(), String> {
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
            Ok(None) if started.elapsed() > limit => {
                end(&mut child);
                return Err(format!("ended after {} s", limit.as_secs_f64()));
            }
            Ok(None) => thread::sleep(PAUSE),
            Err(error) => return Err(error.to_string()),
        }
    }
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
