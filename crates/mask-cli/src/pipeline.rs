//! Inputs divided among workers, each of which does everything with its images; results in the inputs' order.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

/// Inputs that a worker may be ahead of the next result, which one slow image may hold up.
const AHEAD: usize = 16;

/// How many workers there are, and what each of them takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Workers {
    /// Inputs that are worked on at the same time, a batch each.
    pub(crate) count: usize,
    /// Threads of all of them together.
    pub(crate) threads: usize,
    /// Most inputs that one takes at once.
    pub(crate) batch: usize,
}

impl Workers {
    /// For a CPU: an image a thread, as far as there are so many; the threads share fewer.
    ///
    /// `inputs` is none where nobody knows how many will come.
    pub(crate) fn of_cpu(threads: usize, inputs: Option<usize>, batch: usize) -> Self {
        let batches = inputs.map_or(threads, |inputs| inputs.div_ceil(batch));
        Self { count: threads.min(batches).max(1), threads, batch }
    }

    /// For a GPU: enough to decode and draw while one of them is in the networks.
    pub(crate) fn of_gpu(threads: usize, batch: usize) -> Self {
        const MOST: usize = 4;
        Self { count: threads.clamp(1, MOST), threads, batch }
    }

    /// Threads of the worker of a number.
    fn threads_of(&self, worker: usize) -> usize {
        (self.threads / self.count + usize::from(worker < self.threads % self.count)).max(1)
    }
}

/// An input on its way to a worker, with the place of its result.
struct Job<I, T> {
    input: I,
    result: SyncSender<T>,
}

/// Passes every input to one of the workers, until `stop` says so. A worker's `work` hands over a result for
/// each of its inputs, in their order; `each` then sees all results in the inputs' order.
///
/// # Errors
/// The first of `each`, after which nothing new is begun.
pub(crate) fn run<I: Send, T: Send, E>(
    inputs: impl Iterator<Item = I> + Send,
    workers: Workers,
    stop: &(dyn Fn() -> bool + Sync),
    work: impl Fn(Vec<I>, &mut dyn FnMut(T)) + Sync,
    mut each: impl FnMut(T) -> Result<(), E>,
) -> Result<(), E> {
    let (to_workers, jobs) = sync_channel::<Job<I, T>>(workers.count * workers.batch);
    let jobs = Mutex::new(jobs);
    let ahead = (workers.count * workers.batch).saturating_mul(AHEAD);
    let (to_each, results) = sync_channel::<Receiver<T>>(ahead);
    thread::scope(|scope| {
        scope.spawn(move || {
            for input in inputs {
                let (result, place) = sync_channel(1);
                let given =
                    to_each.send(place).is_ok() && to_workers.send(Job { input, result }).is_ok();
                if !given || stop() {
                    return;
                }
            }
        });
        for worker in 0..workers.count {
            let (jobs, work) = (&jobs, &work);
            scope.spawn(move || {
                let work = || work_off(jobs, workers.batch, stop, work);
                if workers.count == 1 {
                    return work();
                }
                // Plans run on the threads of the pool that they are called from: this worker's own.
                let pool = rayon::ThreadPoolBuilder::new()
                    .num_threads(workers.threads_of(worker))
                    .use_current_thread()
                    .build();
                // Without it there are only more threads than there need be.
                work();
                drop(pool);
            });
        }
        // Whoever stopped leaves the places of what it did not begin without a result.
        let result = results.iter().filter_map(|place| place.recv().ok()).try_for_each(&mut each);
        drop(results);
        result
    })
}

/// Works on the jobs until there are no more.
fn work_off<I, T>(
    jobs: &Mutex<Receiver<Job<I, T>>>,
    batch: usize,
    stop: &(dyn Fn() -> bool + Sync),
    work: &impl Fn(Vec<I>, &mut dyn FnMut(T)),
) {
    loop {
        let (mut inputs, mut places) = (Vec::new(), Vec::new());
        {
            // The next that comes, and what is there already.
            let jobs = lock(jobs);
            let first = jobs.recv().ok();
            for Job { input, result } in first.into_iter().chain(jobs.try_iter()).take(batch) {
                inputs.push(input);
                places.push(result);
            }
        }
        if inputs.is_empty() {
            return;
        }
        if stop() {
            // Whoever gives inputs waits for a free place before it sees that it is to stop, too.
            continue;
        }
        let mut places = places.into_iter();
        work(inputs, &mut |result| {
            if let Some(place) = places.next() {
                // Nobody wants it once printing has failed.
                let _ = place.send(result);
            }
        });
    }
}

/// Locks what a panic elsewhere leaves whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use super::*;

    const NEVER: &(dyn Fn() -> bool + Sync) = &|| false;

    /// Numbers as inputs, of which every seventh takes a while.
    fn slowly(inputs: Vec<usize>, hand_over: &mut dyn FnMut(usize)) {
        for input in inputs {
            if input % 7 == 0 {
                thread::sleep(Duration::from_millis(2));
            }
            hand_over(input);
        }
    }

    #[test]
    fn results_come_in_the_inputs_order() {
        for (count, batch) in [(1, 1), (2, 1), (3, 4), (8, 1)] {
            let workers = Workers { count, threads: count, batch };
            let mut seen = Vec::new();
            let result: Result<(), ()> = run(0..200, workers, NEVER, slowly, |number| {
                seen.push(number);
                Ok(())
            });
            assert_eq!((result, seen), (Ok(()), (0..200).collect()));
        }
    }

    #[test]
    fn whoever_stops_or_fails_is_not_waited_for() {
        let workers = Workers { count: 2, threads: 2, batch: 3 };
        let seen = AtomicUsize::new(0);
        let stop = || seen.load(Ordering::Relaxed) >= 10;
        let mut last = None;
        let result: Result<(), ()> = run(0.., workers, &stop, slowly, |number| {
            assert!(last < Some(number), "{number}");
            last = Some(number);
            seen.fetch_add(1, Ordering::Relaxed);
            Ok(())
        });
        assert_eq!(result, Ok(()));
        let failing = |number| if number == 20 { Err(number) } else { Ok(()) };
        assert_eq!(run(0.., workers, NEVER, slowly, failing), Err(20));
    }

    #[test]
    fn every_thread_has_an_image_as_long_as_there_are_enough() {
        let cpu = |threads, inputs, batch| {
            let workers = Workers::of_cpu(threads, inputs, batch);
            (0..workers.count).map(|worker| workers.threads_of(worker)).collect::<Vec<_>>()
        };
        assert_eq!(cpu(4, Some(100), 1), [1; 4]);
        assert_eq!(cpu(4, None, 1), [1; 4]);
        assert_eq!(cpu(8, Some(3), 1), [3, 3, 2]);
        assert_eq!(cpu(4, Some(10), 8), [2, 2]);
        assert_eq!(cpu(4, Some(0), 1), [4]);
        assert_eq!(cpu(1, Some(1), 1), [1]);
    }
}
