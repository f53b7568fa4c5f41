//! Who is told when something happened: a command, a webhook, a broker. Each has a thread and a bounded queue
//! of its own, and never holds up the stream.

mod command;
mod mqtt;
mod webhook;

use std::{
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use detection_schema::EventRecord;

use super::args::StreamArgs;
use command::ShellCommand;
use mqtt::Broker;
use webhook::Webhook;

/// Events that wait for a listener; more are dropped.
const QUEUE: usize = 64;

/// What went wrong since somebody asked, a line each.
pub(super) type Problems = Arc<Mutex<Vec<String>>>;

/// Notes what went wrong.
pub(super) fn note(problems: &Problems, line: String) {
    problems.lock().unwrap_or_else(PoisonError::into_inner).push(line);
}

/// Somebody who hears of events.
trait Listener: Send + 'static {
    /// The argument that asked for it.
    const ARGUMENT: &'static str;

    /// Tells of an event, which may take its time; why it was not heard.
    fn tell(&mut self, event: &EventRecord, ending: &Ending) -> Result<(), String>;

    /// After the last event.
    fn finish(self);
}

/// That the stream is over, and nobody should be waited for much longer.
#[derive(Default)]
struct Ending {
    over: Mutex<bool>,
    changed: Condvar,
}

impl Ending {
    fn begin(&self) {
        *self.over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Waits for some time, but no longer than until the end; whether it has come.
    fn wait(&self, time: Duration) -> bool {
        let over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(over, time, |over| !*over);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// All who are told of a stream's events.
pub(super) struct Actions {
    queues: Vec<Queue>,
    ending: Arc<Ending>,
    problems: Problems,
}

struct Queue {
    argument: &'static str,
    events: SyncSender<EventRecord>,
    worker: JoinHandle<()>,
}

impl Actions {
    /// Those that the settings name.
    ///
    /// # Errors
    /// If an address cannot be used.
    pub(super) fn new(settings: &StreamArgs) -> anyhow::Result<Self> {
        let problems = Problems::default();
        let mut actions = Self { queues: Vec::new(), ending: Arc::default(), problems };
        let limit = Duration::from_secs_f64(settings.event_limit);
        if let Some(command) = &settings.on_event {
            actions.add(ShellCommand::new(command, limit));
        }
        if let Some(address) = &settings.webhook {
            actions.add(Webhook::new(address, limit)?);
        }
        if let Some(address) = &settings.mqtt {
            actions.add(Broker::new(address, limit, &actions.problems)?);
        }
        Ok(actions)
    }

    fn add<L: Listener>(&mut self, listener: L) {
        let (sender, events) = sync_channel(QUEUE);
        let (ending, problems) = (Arc::clone(&self.ending), Arc::clone(&self.problems));
        let worker = thread::spawn(move || work(listener, &events, &ending, &problems));
        self.queues.push(Queue { argument: L::ARGUMENT, events: sender, worker });
    }

    /// Hands over an event to each who has room.
    pub(super) fn send(&self, event: &EventRecord) {
        for Queue { argument, events, .. } in &self.queues {
            if let Err(TrySendError::Full(event)) = events.try_send(event.clone()) {
                let line = format!("{argument}: `{}` is dropped: {QUEUE} wait", event.rule);
                note(&self.problems, line);
            }
        }
    }

    /// Where others note what went wrong.
    pub(super) fn notes(&self) -> Problems {
        Arc::clone(&self.problems)
    }

    /// What went wrong, a line each.
    pub(super) fn problems(&self) -> Vec<String> {
        std::mem::take(&mut self.problems.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until the events that were handed over are told, or cannot be.
    pub(super) fn finish(mut self) -> Vec<String> {
        self.ending.begin();
        for Queue { events, worker, .. } in self.queues.drain(..) {
            drop(events);
            // It does not panic; if it did, there is nothing left to do for it.
            let _ = worker.join();
        }
        self.problems()
    }
}

fn work<L: Listener>(
    mut listener: L,
    events: &Receiver<EventRecord>,
    ending: &Ending,
    problems: &Problems,
) {
    for event in events {
        if let Err(reason) = listener.tell(&event, ending) {
            note(problems, format!("{}, for `{}`: {reason}", L::ARGUMENT, event.rule));
        }
    }
    listener.finish();
}
