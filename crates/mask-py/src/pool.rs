//! A detector's threads.

use std::{
    process,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use pyo3::{PyResult, exceptions::PyRuntimeError};
use rayon::{ThreadPool, ThreadPoolBuilder};

/// Threads of this process. A process that is forked from another has none of its threads, so it
/// gets its own.
#[derive(Debug)]
pub(crate) struct Pool {
    threads: usize,
    of_process: Mutex<Option<(u32, Arc<ThreadPool>)>>,
}

impl Pool {
    /// So many threads, when they are needed; as many as there are cores, if 0.
    pub(crate) fn new(threads: usize) -> Self {
        Self { threads, of_process: Mutex::default() }
    }

    /// Runs `work` on one of the threads.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> PyResult<T> {
        Ok(self.threads()?.install(work))
    }

    /// The threads.
    pub(crate) fn threads(&self) -> PyResult<Arc<ThreadPool>> {
        let mut of_process = lock(&self.of_process);
        if let Some((process, pool)) = &*of_process
            && *process == process::id()
        {
            return Ok(Arc::clone(pool));
        }
        let pool = ThreadPoolBuilder::new().num_threads(self.threads).build();
        let pool = pool.map_err(|error| {
            PyRuntimeError::new_err(format!("cannot start {} threads: {error}", self.threads))
        })?;
        let pool = Arc::new(pool);
        let before = of_process.replace((process::id(), Arc::clone(&pool)));
        // Its threads are not there to be told of the end.
        std::mem::forget(before);
        Ok(pool)
    }
}

/// Locks what a panic elsewhere leaves whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
