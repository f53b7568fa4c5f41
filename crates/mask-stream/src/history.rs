//! What a database has of a source, for who looks back.

use std::path::Path;

use detection_schema::EventRecord;
use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OpenFlags, Row, params};

use crate::StreamError;

/// A database that is read, also while others write it.
pub struct History {
    connection: Connection,
}

/// An event that was recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct PastEvent {
    /// When it happened, RFC 3339 in UTC.
    pub at: String,
    /// What happened.
    pub event: EventRecord,
}

/// People of a class over an interval.
#[derive(Debug, Clone, PartialEq)]
pub struct PastCount {
    /// When it began, RFC 3339 in UTC, if the source's time is that of the clock.
    pub begins: String,
    /// Its length in seconds.
    pub seconds: f64,
    /// The class.
    pub label: String,
    /// People in a frame, on average.
    pub mean: f64,
    /// The most people in a frame.
    pub most: u64,
}

impl History {
    /// Opens a file.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn open(path: &Path) -> Result<Self, StreamError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection =
            Connection::open_with_flags(path, flags).map_err(|error| failed(&error))?;
        Ok(Self { connection })
    }

    /// The last events of a source, the newest first.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn events(&self, source: &str, most: u32) -> Result<Vec<PastEvent>, StreamError> {
        let sql = "SELECT at, json FROM event JOIN session ON session.id = event.session
                   WHERE source = ?1 ORDER BY event.id DESC LIMIT ?2";
        self.rows(sql, source, most, |row| {
            let (at, json): (String, String) = (row.get(0)?, row.get(1)?);
            // What cannot be read is of a later version.
            Ok(serde_json::from_str(&json).ok().map(|event| PastEvent { at, event }))
        })
    }

    /// The last counts of a source, the newest first.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn counts(&self, source: &str, most: u32) -> Result<Vec<PastCount>, StreamError> {
        let sql = "SELECT started, begins, ends, label, mean, most FROM count
                   JOIN session ON session.id = count.session
                   WHERE source = ?1 ORDER BY session.id DESC, begins DESC, label LIMIT ?2";
        self.rows(sql, source, most, |row| {
            let (started, begins, ends): (String, f64, f64) =
                (row.get(0)?, row.get(1)?, row.get(2)?);
            let (label, mean, most): (String, f64, i64) = (row.get(3)?, row.get(4)?, row.get(5)?);
            let Ok(started) = started.parse::<Timestamp>() else { return Ok(None) };
            let begin = SignedDuration::try_from_secs_f64(begins).ok();
            let begin = begin.and_then(|after| started.checked_add(after).ok());
            let most = most.unsigned_abs();
            Ok(begin.map(|at| PastCount {
                begins: at.to_string(),
                seconds: ends - begins,
                label,
                mean,
                most,
            }))
        })
    }

    fn rows<T>(
        &self,
        sql: &str,
        source: &str,
        most: u32,
        row: impl Fn(&Row<'_>) -> rusqlite::Result<Option<T>>,
    ) -> Result<Vec<T>, StreamError> {
        let read = || -> rusqlite::Result<Vec<T>> {
            let mut statement = self.connection.prepare(sql)?;
            let rows = statement.query_map(params![source, most], row)?;
            rows.filter_map(Result::transpose).collect()
        };
        read().map_err(|error| failed(&error))
    }
}

fn failed(error: &rusqlite::Error) -> StreamError {
    StreamError::Source(format!("cannot read the database: {error}"))
}
