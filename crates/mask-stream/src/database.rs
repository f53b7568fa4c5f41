//! Sessions, people, counts and events in an SQLite file, whose schema is in docs/streams.md.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use detection_schema::EventRecord;
use jiff::Timestamp;
use rusqlite::{Connection, Transaction, params};

use crate::{StreamError, Visit};

/// Version of the schema, SQLite's `user_version`.
const VERSION: i64 = 1;

const SCHEMA: &str = "
    CREATE TABLE session (
        id INTEGER PRIMARY KEY,
        source TEXT NOT NULL,
        started TEXT NOT NULL,
        ended TEXT,
        frames INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE track (
        session INTEGER NOT NULL REFERENCES session (id),
        track INTEGER NOT NULL,
        label TEXT NOT NULL,
        first_seen REAL NOT NULL,
        last_seen REAL NOT NULL,
        PRIMARY KEY (session, track)
    ) WITHOUT ROWID;
    CREATE TABLE count (
        session INTEGER NOT NULL REFERENCES session (id),
        begins REAL NOT NULL,
        ends REAL NOT NULL,
        label TEXT NOT NULL,
        mean REAL NOT NULL,
        most INTEGER NOT NULL,
        PRIMARY KEY (session, begins, label)
    ) WITHOUT ROWID;
    CREATE TABLE event (
        id INTEGER PRIMARY KEY,
        session INTEGER NOT NULL REFERENCES session (id),
        at TEXT NOT NULL,
        time REAL NOT NULL,
        rule TEXT NOT NULL,
        message TEXT NOT NULL,
        json TEXT NOT NULL
    );
";

/// How long the file may be locked by others before a write is put off, and for how long it is.
const PATIENCE: Duration = Duration::from_millis(400);
const RETRY: Duration = Duration::from_secs(1);

/// What waits while the file cannot be written; older things are dropped beyond it.
const WAITING: usize = 10_000;

/// A session in a database.
pub struct Database {
    connection: Connection,
    session: i64,
    classes: Vec<String>,
    /// Seconds that a count is over.
    interval: f64,
    frames: u64,
    visits: Vec<Visit>,
    events: Vec<(Timestamp, EventRecord)>,
    counts: Vec<Count>,
    current: Option<Current>,
    /// When the last attempt to write failed.
    failed: Option<Instant>,
}

/// The people of a class over an interval.
struct Count {
    begins: f64,
    ends: f64,
    class: usize,
    mean: f64,
    most: u64,
}

/// The interval that is going on.
struct Current {
    begins: f64,
    last: f64,
    frames: u64,
    /// Of each class the sum over the frames, and the most in one.
    classes: Vec<(u64, u64)>,
}

impl Database {
    /// Opens a file, or makes one, and begins a session in it; people are counted over intervals of so many
    /// seconds.
    ///
    /// # Errors
    /// If it cannot be written, or is of another program or version.
    pub fn open(
        path: &Path,
        source: &str,
        classes: &[String],
        interval: f64,
    ) -> Result<Self, StreamError> {
        let failed = |reason: &dyn std::fmt::Display| {
            StreamError::Source(format!("{}: {reason}", path.display()))
        };
        let open = || -> rusqlite::Result<(Connection, i64, i64)> {
            let connection = Connection::open(path)?;
            // Readers and the writer do not wait for each other; what is written survives a loss of power.
            connection.pragma_update(None, "journal_mode", "wal")?;
            connection.pragma_update(None, "synchronous", "full")?;
            connection.busy_timeout(PATIENCE)?;
            let version = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
            let tables = "SELECT count(*) FROM sqlite_master";
            let tables = connection.query_row(tables, [], |row| row.get(0))?;
            Ok((connection, version, tables))
        };
        let (mut connection, version, tables) = open().map_err(|error| failed(&error))?;
        if version != VERSION && tables > 0 {
            return Err(failed(&"a database of another program or version; give another file"));
        }
        let mut begin = || -> rusqlite::Result<i64> {
            let transaction = connection.transaction()?;
            if tables == 0 {
                transaction.execute_batch(SCHEMA)?;
                transaction.pragma_update(None, "user_version", VERSION)?;
            }
            let now = Timestamp::now().to_string();
            transaction.execute(
                "INSERT INTO session (source, started) VALUES (?1, ?2)",
                params![source, now],
            )?;
            let session = transaction.last_insert_rowid();
            transaction.commit()?;
            Ok(session)
        };
        let session = begin().map_err(|error| failed(&error))?;
        Ok(Self {
            connection,
            session,
            classes: classes.to_vec(),
            interval,
            frames: 0,
            visits: Vec::new(),
            events: Vec::new(),
            counts: Vec::new(),
            current: None,
            failed: None,
        })
    }

    /// Takes note of a frame: who is there, who left, and what happened. Events are written at once, the rest
    /// at the end of each interval; whether something was written.
    ///
    /// # Errors
    /// If the file cannot be written now; what was noted is kept for the next time.
    pub fn frame(
        &mut self,
        time: f64,
        present: &[Visit],
        left: &[Visit],
        events: &[EventRecord],
    ) -> Result<bool, StreamError> {
        self.frames += 1;
        self.visits.extend_from_slice(left);
        let now = Timestamp::now();
        self.events.extend(events.iter().map(|event| (now, event.clone())));
        let over = self.current.as_ref().is_some_and(|now| time >= now.begins + self.interval);
        if over {
            self.close(time);
        }
        let current = self.current.get_or_insert_with(|| Current {
            begins: time,
            last: time,
            frames: 0,
            classes: vec![(0, 0); self.classes.len()],
        });
        current.frames += 1;
        current.last = time;
        for (class, (sum, most)) in current.classes.iter_mut().enumerate() {
            let count = present.iter().filter(|visit| visit.class == class).count() as u64;
            (*sum, *most) = (*sum + count, (*most).max(count));
        }
        let waits = self.failed.is_some_and(|failed| failed.elapsed() < RETRY);
        if !waits && (over || !self.events.is_empty() || self.failed.is_some()) {
            let present = if over { present } else { &[] };
            return self.write(present, false).map(|()| true);
        }
        Ok(false)
    }

    /// Takes note of what happened to the source itself; whether it was written.
    ///
    /// # Errors
    /// As [`Database::frame`].
    pub fn events(&mut self, events: &[EventRecord]) -> Result<bool, StreamError> {
        if events.is_empty() {
            return Ok(false);
        }
        let now = Timestamp::now();
        self.events.extend(events.iter().map(|event| (now, event.clone())));
        self.write(&[], false).map(|()| true)
    }

    /// Ends the session, with those who are still there.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn finish(mut self, present: &[Visit]) -> Result<(), StreamError> {
        if let Some(last) = self.current.as_ref().map(|current| current.last) {
            self.close(last);
        }
        self.write(present, true)
    }

    /// Ends the interval.
    fn close(&mut self, ends: f64) {
        let Some(Current { begins, frames, classes, .. }) = self.current.take() else { return };
        for (class, (sum, most)) in classes.into_iter().enumerate() {
            let mean = sum as f64 / frames.max(1) as f64;
            self.counts.push(Count { begins, ends, class, mean, most });
        }
    }

    fn write(&mut self, present: &[Visit], ended: bool) -> Result<(), StreamError> {
        match self.try_write(present, ended) {
            Ok(()) => {
                self.visits.clear();
                self.events.clear();
                self.counts.clear();
                self.failed = None;
                Ok(())
            }
            Err(error) => {
                self.failed = Some(Instant::now());
                keep_newest(&mut self.visits);
                keep_newest(&mut self.events);
                keep_newest(&mut self.counts);
                Err(StreamError::Source(format!("cannot write the database: {error}")))
            }
        }
    }

    fn try_write(&mut self, present: &[Visit], ended: bool) -> rusqlite::Result<()> {
        let (session, frames) = (self.session, self.frames as i64);
        let transaction = self.connection.transaction()?;
        let ended = ended.then(|| Timestamp::now().to_string());
        transaction.execute(
            "UPDATE session SET frames = ?2, ended = ?3 WHERE id = ?1",
            params![session, frames, ended],
        )?;
        for visit in self.visits.iter().chain(present) {
            put_visit(&transaction, session, visit, &self.classes)?;
        }
        for Count { begins, ends, class, mean, most } in &self.counts {
            transaction.execute(
                "INSERT OR REPLACE INTO count VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![session, begins, ends, self.classes[*class], mean, *most as i64],
            )?;
        }
        for (at, event) in &self.events {
            transaction.execute(
                "INSERT INTO event (session, at, time, rule, message, json) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    session,
                    at.to_string(),
                    event.time,
                    event.rule,
                    event.message,
                    serde_json::to_string(event).unwrap_or_default(),
                ],
            )?;
        }
        transaction.commit()
    }
}

fn put_visit(
    transaction: &Transaction<'_>,
    session: i64,
    visit: &Visit,
    classes: &[String],
) -> rusqlite::Result<usize> {
    transaction.execute(
        "INSERT OR REPLACE INTO track VALUES (?1, ?2, ?3, ?4, ?5)",
        params![session, visit.track as i64, classes[visit.class], visit.since, visit.seen],
    )
}

/// Drops what has waited longest.
fn keep_newest<T>(waiting: &mut Vec<T>) {
    let beyond = waiting.len().saturating_sub(WAITING);
    waiting.drain(..beyond);
}
