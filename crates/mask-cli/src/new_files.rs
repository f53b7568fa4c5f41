//! New files of a folder, as they are completed.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    time::{Duration, Instant, SystemTime},
};

use anyhow::Context;
use image_input::{FileKind, is_image_name, is_system_name};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};

use crate::inputs::Input;

/// A file is complete when its size and time have stayed the same for so long.
const SETTLED: Duration = Duration::from_millis(500);
/// How long nobody looks at what is going on.
const PAUSE: Duration = Duration::from_millis(100);
/// Extensions of files that browsers and others rename when they are complete.
const PARTIAL: [&str; 4] = ["part", "crdownload", "download", "tmp"];

/// The files that come into a folder, until it is asked to end or the folder is gone.
pub(crate) struct Watch<'a> {
    folder: PathBuf,
    except: Vec<PathBuf>,
    end: &'a (dyn Fn() -> bool + Sync),
    events: Receiver<notify::Result<Event>>,
    /// Files that may not be complete: what they were like, and since when.
    pending: BTreeMap<PathBuf, (State, Instant)>,
    gone: bool,
    _watcher: RecommendedWatcher,
}

/// What changes while a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    size: u64,
    time: Option<SystemTime>,
}

impl State {
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        Some(Self { size: metadata.len(), time: metadata.modified().ok() })
    }
}

impl<'a> Watch<'a> {
    /// Begins to watch a folder and the folders in it, but not `except`.
    ///
    /// # Errors
    /// If it cannot be watched.
    pub(crate) fn start(
        folder: &Path,
        except: &[&Path],
        end: &'a (dyn Fn() -> bool + Sync),
    ) -> anyhow::Result<Self> {
        let cannot = || format!("cannot watch {}", folder.display());
        // Events name whole paths.
        let folder = folder.canonicalize().with_context(cannot)?;
        let (sender, events) = channel();
        let mut watcher = notify::recommended_watcher(move |event| {
            // Nobody listens any more when the run ends.
            let _ = sender.send(event);
        })?;
        watcher.watch(&folder, RecursiveMode::Recursive).with_context(cannot)?;
        let except = except.iter().filter_map(|path| path.canonicalize().ok()).collect();
        let (pending, gone) = (BTreeMap::new(), false);
        Ok(Self { folder, except, end, events, pending, gone, _watcher: watcher })
    }

    /// Notes the files of an event.
    fn note(&mut self, event: Event) {
        // That somebody reads a file, as this program does, says nothing.
        if event.kind.is_access() || event.kind.is_remove() {
            return;
        }
        for path in event.paths {
            let hidden = |name: &std::ffi::OsStr| {
                name.to_string_lossy().starts_with('.') || is_system_name(name)
            };
            let below = path.strip_prefix(&self.folder).unwrap_or(&path);
            let partial = path.extension().is_some_and(|kind| {
                PARTIAL.iter().any(|partial| kind.eq_ignore_ascii_case(partial))
            });
            let passed_over = partial
                || below.iter().any(hidden)
                || self.except.iter().any(|except| path.starts_with(except));
            if !passed_over && let Some(state) = State::of(&path) {
                self.pending.insert(path, (state, Instant::now()));
            }
        }
    }

    /// A file that has settled.
    fn settled(&mut self) -> Option<PathBuf> {
        for (path, (state, since)) in &mut self.pending {
            let now = State::of(path);
            if now != Some(*state) {
                // What is gone settles, too, and is passed over.
                *state = now.unwrap_or(State { size: 0, time: None });
                *since = if now.is_some() { Instant::now() } else { *since };
            }
        }
        let settled = self.pending.iter().find(|(_, (_, since))| since.elapsed() >= SETTLED);
        let path = settled.map(|(path, _)| path.clone())?;
        self.pending.remove(&path);
        Some(path)
    }
}

impl Iterator for Watch<'_> {
    type Item = Input;

    fn next(&mut self) -> Option<Input> {
        while !(self.end)() && !self.gone {
            if !self.folder.is_dir() {
                self.gone = true;
                let error = "the folder that was watched is gone".to_owned();
                return Some(Input::Failed { path: self.folder.clone(), error });
            }
            match self.events.recv_timeout(PAUSE) {
                Ok(Ok(event)) => self.note(event),
                Ok(Err(_)) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            }
            while let Ok(Ok(event)) = self.events.try_recv() {
                self.note(event);
            }
            let Some(path) = self.settled() else { continue };
            let is_image = |path: &Path| match FileKind::of_file(path) {
                Ok(FileKind::Unknown) => is_image_name(path),
                Ok(_) => true,
                Err(_) => false,
            };
            if is_image(&path) {
                return Some(Input::Image { path, folder: self.folder.clone() });
            }
        }
        None
    }
}
