//! Threads that share the steps of one image.
//!
//! A network has dozens of steps of some tens of microseconds. To wake sleeping threads for each
//! of them takes about as long as a step, so the threads of a [`Team`] join it once a run and then
//! look for the next step without sleeping.
#![allow(unsafe_code, reason = "a step's task outlives the step; see `Team::run`")]

use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU64, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

/// Looks for work before a thread lets others run, some tens of microseconds.
const SPINS: u32 = 1 << 10;
/// The half of a ticket that counts tasks.
const TASK: u64 = u32::MAX as u64;

/// Threads that share the tasks of one step after another.
///
/// One thread leads: it gives out the tasks of a step and takes part. Others help from when they
/// come until the leader is done; whether and when they come changes nothing but the time.
#[derive(Debug, Default)]
pub(crate) struct Team {
    /// Number of the step in its upper half, of the next task in its lower.
    ticket: AtomicU64,
    /// Tasks of the step.
    tasks: AtomicUsize,
    /// What a task does: a [`Job`] on the leader's stack.
    job: AtomicPtr<()>,
    /// Tasks of the step that have ended.
    ended: AtomicUsize,
    over: AtomicBool,
}

/// What the tasks of a step do.
struct Job<'a>(&'a (dyn Fn(usize) + Sync));

impl Team {
    /// Leads threads of the current pool, so that `threads` share the work.
    pub(crate) fn lead<T>(threads: usize, work: impl FnOnce(&Self) -> T) -> T {
        let team = Self::default();
        // The calling thread works itself and is never handed over.
        rayon::in_place_scope(|scope| {
            for _ in 1..threads {
                scope.spawn(|_| team.help());
            }
            let _over = Over(&team);
            work(&team)
        })
    }

    /// Runs the tasks of a step, from 0 to below `tasks`, and returns when all have ended. Only
    /// the leader may call it.
    pub(crate) fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        assert!((tasks as u64) < TASK, "too many tasks");
        let job = Job(task);
        let step = (self.ticket.load(Relaxed) >> 32).wrapping_add(1) << 32;
        self.ended.store(0, Relaxed);
        // Released, so that whoever sees them also sees that the step before was closed.
        self.job.store((&raw const job).cast_mut().cast(), Release);
        self.tasks.store(tasks, Release);
        self.ticket.store(step, Release);
        // Waits for the helpers even when a task panics here: they use `job`.
        let _closed = Closed { team: self, step, tasks };
        while let Some(number) = self.claim() {
            let _ended = Ended(self);
            task(number);
        }
    }

    /// Takes the next task of the current step, if there is one.
    fn claim(&self) -> Option<usize> {
        loop {
            let ticket = self.ticket.load(Acquire);
            let number = ticket & TASK;
            if number >= self.tasks.load(Acquire) as u64 {
                return None;
            }
            // Fails if another thread took it or the step has been closed. If it succeeds, `tasks`
            // was that of the ticket's step: a later one is stored after the ticket is closed.
            if self.ticket.compare_exchange(ticket, ticket + 1, AcqRel, Relaxed).is_ok() {
                return Some(number as usize);
            }
        }
    }

    /// Takes part until the leader is done.
    fn help(&self) {
        let mut idle = Idle::default();
        while !self.over.load(Acquire) {
            let Some(number) = self.claim() else {
                idle.wait();
                continue;
            };
            idle = Idle::default();
            let _ended = Ended(self);
            // Safety: the step of a claimed task goes on until the task has ended, so that `job` is
            // that step's, and lives.
            let Job(task) = unsafe { &*self.job.load(Acquire).cast::<Job<'_>>() };
            task(number);
        }
    }
}

/// Waiting without sleeping.
#[derive(Default)]
struct Idle(u32);

impl Idle {
    fn wait(&mut self) {
        if self.0 < SPINS {
            self.0 += 1;
            std::hint::spin_loop();
        } else {
            std::thread::yield_now();
        }
    }
}

/// Sends the helpers away when the leader is done.
struct Over<'a>(&'a Team);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Release);
    }
}

/// Counts a task as ended, also when it panics.
struct Ended<'a>(&'a Team);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Release);
    }
}

/// Closes a step: no further task is given out, and those that were have ended.
struct Closed<'a> {
    team: &'a Team,
    step: u64,
    tasks: usize,
}

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        let next = self.team.ticket.swap(self.step | TASK, AcqRel) & TASK;
        let given = self.tasks.min(next as usize);
        let mut idle = Idle::default();
        while self.team.ended.load(Acquire) < given {
            idle.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[test]
    fn every_task_of_every_step_runs_once_and_within_it() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build().unwrap();
        let steps = if cfg!(miri) { 20 } else { 2000 };
        for threads in [1, 2, 4, 7] {
            pool.install(|| {
                Team::lead(threads, |team| {
                    for step in 0..steps {
                        let tasks = step % 9;
                        let runs: Vec<AtomicU32> = (0..tasks).map(|_| 0.into()).collect();
                        team.run(tasks, &|task| {
                            runs[task].fetch_add(1, Relaxed);
                        });
                        assert!(runs.iter().all(|runs| runs.load(Relaxed) == 1), "{step}");
                    }
                });
            });
        }
    }

    #[test]
    fn a_panic_in_a_task_reaches_the_caller() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        for bad in 0..8 {
            let run = || Team::lead(2, |team| team.run(8, &|task| assert_ne!(task, bad)));
            let caught =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| pool.install(run)));
            assert!(caught.is_err(), "{bad}");
        }
    }
}
