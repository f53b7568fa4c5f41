//! Frames from a source on a thread of its own: all of a file's, in order; of a live source the newest.

use std::{
    collections::VecDeque,
    hash::{DefaultHasher, Hasher},
    process::Child,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::{
    Ffmpeg, Frame, FrameSelection, Source, StreamError,
    frames::{Described, Frames},
};

/// How a source is read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FeedConfig {
    /// Which frames.
    pub selection: FrameSelection,
    /// Whether frames that are not taken in time are dropped. Default: as [`Source::is_live`] says.
    pub live: Option<bool>,
    /// For how long a source may bring no frame, or always the same one, before that counts as a fault.
    pub stall: Duration,
    /// Whether a live source that was lost is looked for again.
    pub reconnect: bool,
}

impl Default for FeedConfig {
    fn default() -> Self {
        Self {
            selection: FrameSelection::default(),
            live: None,
            stall: Duration::from_secs(10),
            reconnect: true,
        }
    }
}

/// What a source brings.
#[derive(Debug)]
pub enum FeedEvent {
    /// A frame.
    Frame(Frame),
    /// The source is lost, and why; it is looked for again after some time.
    Lost {
        /// Why.
        reason: String,
        /// How long until the next attempt.
        retry: Duration,
    },
    /// It is there again.
    Back,
    /// It has shown the same picture for as long as it may.
    Frozen,
    /// The picture moves again.
    Moving,
    /// It is over: at its end, or by an error.
    End(Result<(), StreamError>),
}

/// Frames of a file that wait.
const QUEUE: usize = 4;
/// Other events that wait while nobody takes them; older ones are dropped.
const EVENTS: usize = 64;
/// First and longest wait before a lost source is looked for again.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// A source that is being read.
pub struct Feed {
    shared: Arc<Shared>,
    reader: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    live: bool,
}

#[derive(Default)]
struct State {
    events: VecDeque<FeedEvent>,
    dropped: u64,
    stopped: bool,
    described: Described,
    /// The child that decodes, and since when the reader waits for it.
    child: Option<Arc<Mutex<Child>>>,
    waiting: Option<Instant>,
    /// The watchdog ended the child.
    stalled: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an event; frames wait for their turn, or take the place of the one that nobody took.
    fn push(&self, event: FeedEvent) {
        let mut state = self.state();
        let is_frame = |event: &FeedEvent| matches!(event, FeedEvent::Frame(_));
        if is_frame(&event) && self.live {
            let before = state.events.len();
            state.events.retain(|event| !is_frame(event));
            state.dropped += (before - state.events.len()) as u64;
        } else if is_frame(&event) {
            let full = |state: &mut State| !state.stopped && state.events.len() >= QUEUE;
            state = self.changed.wait_while(state, full).unwrap_or_else(PoisonError::into_inner);
        } else if state.events.len() >= EVENTS {
            state.events.pop_front();
        }
        state.events.push_back(event);
        drop(state);
        self.changed.notify_all();
    }

    /// Waits, unless it is stopped; whether it was.
    fn pause(&self, time: Duration) -> bool {
        let running = |state: &mut State| !state.stopped;
        let waited = self.changed.wait_timeout_while(self.state(), time, running);
        waited.unwrap_or_else(PoisonError::into_inner).0.stopped
    }
}

impl Feed {
    /// Begins to read a source.
    pub fn open(source: Source, ffmpeg: Option<Ffmpeg>, config: FeedConfig) -> Self {
        let live = config.live.unwrap_or_else(|| source.is_live());
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new(), live });
        let reads = Arc::clone(&shared);
        let reader = thread::spawn(move || {
            let result = read(&reads, &source, ffmpeg.as_ref(), &config);
            reads.push(FeedEvent::End(result));
        });
        let guards = Arc::clone(&shared);
        thread::spawn(move || watch(&guards, config.stall));
        Self { shared, reader: Some(reader) }
    }

    /// The next event, if there is one within `wait`.
    pub fn next(&self, wait: Duration) -> Option<FeedEvent> {
        let none = |state: &mut State| state.events.is_empty();
        let waited = self.shared.changed.wait_timeout_while(self.shared.state(), wait, none);
        let event = waited.unwrap_or_else(PoisonError::into_inner).0.events.pop_front();
        self.shared.changed.notify_all();
        event
    }

    /// Frames of a live source that nobody took in time.
    pub fn dropped(&self) -> u64 {
        self.shared.state().dropped
    }

    /// The source's length in seconds, as far as it is known.
    pub fn duration(&self) -> Option<f64> {
        self.shared.state().described.duration
    }

    /// The source's frames a second, as far as it is known.
    pub fn rate(&self) -> Option<f64> {
        self.shared.state().described.rate
    }

    /// Whether frames that are not taken in time are dropped.
    pub fn is_live(&self) -> bool {
        self.shared.live
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.stopped = true;
        let child = state.child.take();
        drop(state);
        self.shared.changed.notify_all();
        if let Some(child) = child {
            // It may be gone already.
            let _ = child.lock().unwrap_or_else(PoisonError::into_inner).kill();
        }
        // Standard input cannot be interrupted; its thread ends with the program.
        if let Some(reader) = self.reader.take().filter(JoinHandle::is_finished) {
            let _ = reader.join();
        }
    }
}

/// Reads until the end; a live source again and again.
fn read(
    shared: &Shared,
    source: &Source,
    ffmpeg: Option<&Ffmpeg>,
    config: &FeedConfig,
) -> Result<(), StreamError> {
    let started = Instant::now();
    let (mut retry, mut lost, mut count) = (RETRY.0, false, 0);
    loop {
        let mut frames = Frames::open(source, ffmpeg, &config.selection, shared.live)?;
        {
            let mut state = shared.state();
            if state.stopped {
                return Ok(());
            }
            (state.child, state.stalled) = (frames.child(), false);
        }
        let mut still = Still::default();
        let ended = loop {
            shared.state().waiting = Some(Instant::now());
            let next = frames.next();
            let mut state = shared.state();
            (state.waiting, state.described) = (None, frames.described());
            if state.stopped {
                return Ok(());
            }
            drop(state);
            let mut frame = match next {
                Ok(Some(frame)) => frame,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            };
            if lost {
                shared.push(FeedEvent::Back);
                lost = false;
            }
            retry = RETRY.0;
            if shared.live {
                // A camera's own clock begins anew whenever it is lost.
                frame.time = frame.arrived.duration_since(started).as_secs_f64();
                if let Some(event) = still.see(&frame, config.stall) {
                    shared.push(event);
                }
            }
            frame.index = frame.index.max(count);
            count = frame.index + u64::from(config.selection.every);
            shared.push(FeedEvent::Frame(frame));
        };
        drop(frames);
        let stalled = shared.state().stalled;
        if !(config.reconnect && source.may_come_back()) {
            return match (stalled, ended) {
                (true, _) => Err(StreamError::Ffmpeg(no_frame(config.stall))),
                (false, ended) => ended,
            };
        }
        let reason = match ended {
            _ if stalled => no_frame(config.stall),
            Ok(()) => "the source ended".to_owned(),
            Err(error) => error.to_string(),
        };
        lost = true;
        shared.push(FeedEvent::Lost { reason, retry });
        if shared.pause(retry) {
            return Ok(());
        }
        retry = (2 * retry).min(RETRY.1);
    }
}

fn no_frame(stall: Duration) -> String {
    format!("no frame for {} s", stall.as_secs_f64())
}

/// Ends a child that brings no frame.
fn watch(shared: &Shared, stall: Duration) {
    while !shared.pause((stall / 10).min(Duration::from_millis(500))) {
        let mut state = shared.state();
        let stalled = state.waiting.is_some_and(|since| since.elapsed() > stall);
        if stalled && let Some(child) = state.child.take() {
            state.stalled = true;
            drop(state);
            // It may be gone already.
            let _ = child.lock().unwrap_or_else(PoisonError::into_inner).kill();
        }
    }
}

/// Whether the picture moves.
#[derive(Default)]
struct Still {
    last: Option<(u64, Instant)>,
    frozen: bool,
}

impl Still {
    fn see(&mut self, frame: &Frame, stall: Duration) -> Option<FeedEvent> {
        // A sensor's noise alone changes some of so many bytes.
        let mut hasher = DefaultHasher::new();
        for bytes in frame.image.as_raw().chunks(64) {
            hasher.write_u8(bytes[0]);
        }
        let hash = hasher.finish();
        match self.last {
            Some((last, since)) if last == hash => {
                let now = since.elapsed() > stall;
                let event = (now && !self.frozen).then_some(FeedEvent::Frozen);
                self.frozen |= now;
                event
            }
            _ => {
                self.last = Some((hash, frame.arrived));
                std::mem::take(&mut self.frozen).then_some(FeedEvent::Moving)
            }
        }
    }
}
