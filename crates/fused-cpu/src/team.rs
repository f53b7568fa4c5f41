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
/// The half of a slot that counts tasks.
const TASK: u64 = u32::MAX as u64;

/// Threads that share the tasks of one step after another.
///
/// One thread leads: it gives out the tasks of a step and takes part. Others help from when they
/// come until the leader is done; whether and when they come changes nothing but the time.
///
/// Each has tasks of its own, neighbours, and takes others' when these are done: what a thread made
/// in one step it mostly reads in the next, and finds it in its own cache.
#[derive(Debug)]
pub(crate) struct Team {
    /// One for each thread.
    slots: Vec<Slot>,
    /// Helpers that have come.
    came: AtomicUsize,
    /// Tasks of the step.
    tasks: AtomicUsize,
    /// What a task does: a [`Job`] on the leader's stack.
    job: AtomicPtr<()>,
    /// Tasks of the step that have ended.
    ended: AtomicUsize,
    over: AtomicBool,
}

/// A thread's own tasks, in a cache line of its own: the number of the step in the upper half, of the
/// next task in the lower.
///
/// Between steps it is closed: its next task is beyond any.
#[derive(Debug)]
#[repr(align(64))]
struct Slot(AtomicU64);

/// What the tasks of a step do, given the task and the thread.
struct Job<'a>(&'a (dyn Fn(usize, usize) + Sync));

impl Team {
    fn new(threads: usize) -> Self {
        Self {
            slots: (0..threads).map(|_| Slot(AtomicU64::new(TASK))).collect(),
            came: AtomicUsize::new(0),
            tasks: AtomicUsize::new(0),
            job: AtomicPtr::default(),
            ended: AtomicUsize::new(0),
            over: AtomicBool::new(false),
        }
    }

    /// Threads that share the work, the leader among them.
    pub(crate) fn threads(&self) -> usize {
        self.slots.len()
    }

    /// Leads threads of the current pool, so that `threads` share the work.
    pub(crate) fn lead<T>(threads: usize, work: impl FnOnce(&Self) -> T) -> T {
        let team = Self::new(threads);
        // The calling thread works itself: to hand all over to the pool would cost two wake-ups more.
        rayon::in_place_scope(|scope| {
            for _ in 1..threads {
                scope.spawn(|_| team.help());
            }
            let _over = Over(&team);
            work(&team)
        })
    }

    /// Runs the tasks of a step, from 0 to below `tasks`, and returns when all have ended. Each is
    /// also given the number of the thread that it runs on, from 0 to below [`Team::threads`]. Only
    /// the leader may call it.
    pub(crate) fn run(&self, tasks: usize, task: &(dyn Fn(usize, usize) + Sync)) {
        assert!((tasks as u64) < TASK, "too many tasks");
        let job = Job(task);
        let step = (self.slots[0].0.load(Relaxed) >> 32).wrapping_add(1) << 32;
        self.ended.store(0, Relaxed);
        // Released, so that whoever sees them also sees that the step before was closed.
        self.job.store((&raw const job).cast_mut().cast(), Release);
        self.tasks.store(tasks, Release);
        for (slot, number) in self.slots.iter().zip(0..) {
            slot.0.store(step | self.start_of(number, tasks) as u64, Release);
        }
        // Waits for the helpers even when a task panics here: they use `job`.
        let _closed = Closed { team: self, step, tasks };
        while let Some(number) = self.claim(0) {
            let _ended = Ended(self);
            task(number, 0);
        }
    }

    /// The first task of a slot.
    fn start_of(&self, slot: usize, tasks: usize) -> usize {
        tasks * slot / self.slots.len()
    }

    /// Takes a task of the current step, if there is one, for the thread of a slot.
    fn claim(&self, own: usize) -> Option<usize> {
        let slots = self.slots.len();
        (own..own + slots).find_map(|slot| self.claim_in(slot % slots))
    }

    /// Takes the next task of a slot, if there is one.
    fn claim_in(&self, slot: usize) -> Option<usize> {
        let ticket = &self.slots[slot].0;
        loop {
            let seen = ticket.load(Acquire);
            let number = seen & TASK;
            if number >= self.start_of(slot + 1, self.tasks.load(Acquire)) as u64 {
                return None;
            }
            // Fails if another thread took it or the step has been closed. If it succeeds, `tasks`
            // was that of the ticket's step: a later one is stored after the ticket is closed.
            if ticket.compare_exchange(seen, seen + 1, AcqRel, Relaxed).is_ok() {
                return Some(number as usize);
            }
        }
    }

    /// Takes part until the leader is done.
    fn help(&self) {
        let own = 1 + self.came.fetch_add(1, Relaxed);
        let mut idle = Idle::default();
        while !self.over.load(Acquire) {
            let Some(number) = self.claim(own) else {
                idle.wait();
                continue;
            };
            idle = Idle::default();
            let _ended = Ended(self);
            // Safety: the step of a claimed task goes on until the task has ended, so that `job` is
            // that step's, and lives.
            let Job(task) = unsafe { &*self.job.load(Acquire).cast::<Job<'_>>() };
            task(number, own);
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
        let mut given = 0;
        for (slot, number) in self.team.slots.iter().zip(0..) {
            let next = (slot.0.swap(self.step | TASK, AcqRel) & TASK) as usize;
            let end = self.team.start_of(number + 1, self.tasks);
            given += next.min(end) - self.team.start_of(number, self.tasks);
        }
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
    #[cfg_attr(target_family = "wasm", ignore = "there are no threads")]
    fn every_task_of_every_step_runs_once_and_within_it() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build().unwrap();
        let steps = if cfg!(miri) { 20 } else { 2000 };
        for threads in [1, 2, 4, 7] {
            pool.install(|| {
                Team::lead(threads, |team| {
                    for step in 0..steps {
                        let tasks = step % 9;
                        let runs: Vec<AtomicU32> = (0..tasks).map(|_| 0.into()).collect();
                        let busy: Vec<AtomicBool> = (0..threads).map(|_| false.into()).collect();
                        team.run(tasks, &|task, thread| {
                            assert!(!busy[thread].swap(true, AcqRel), "{thread} runs two tasks");
                            runs[task].fetch_add(1, Relaxed);
                            busy[thread].store(false, Release);
                        });
                        assert!(runs.iter().all(|runs| runs.load(Relaxed) == 1), "{step}");
                    }
                });
            });
        }
    }

    /// A helper may look while the leader is about to open a step.
    #[test]
    fn nothing_is_given_out_before_a_step_is_open() {
        let team = Team::new(2);
        for step in 0..3 {
            team.tasks.store(8, Relaxed);
            assert_eq!([team.claim(0), team.claim(1)], [None, None], "{step}");
            team.run(8, &|_, _| ());
        }
    }

    #[test]
    fn a_panic_in_a_task_reaches_the_caller() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        for bad in 0..8 {
            let run = || Team::lead(2, |team| team.run(8, &|task, _| assert_ne!(task, bad)));
            let caught =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| pool.install(run)));
            assert!(caught.is_err(), "{bad}");
        }
    }
}
