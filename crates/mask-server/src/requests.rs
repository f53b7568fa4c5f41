//! Which requests are taken, and how long for.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode},
};
use futures_util::StreamExt;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::{config::Limits, problem::Problem, server::Service};

/// Unit in which the memory of bodies is counted, because a semaphore counts no further than 32 bits.
const UNIT: usize = 1024;
/// So much of a body that is not wanted is read all the same, and for no longer, because most senders only look
/// at an answer when they have sent all.
const UNWANTED: (usize, Duration) = (64 << 20, Duration::from_secs(5));

/// Room for requests and their bodies.
pub(crate) struct Room {
    queue: Arc<Semaphore>,
    size: usize,
    bodies: Arc<Semaphore>,
}

impl Room {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            queue: Arc::new(Semaphore::new(limits.queue)),
            size: limits.queue,
            bodies: Arc::new(Semaphore::new(limits.all_bodies_bytes.div_ceil(UNIT))),
        }
    }

    /// Memory for so many bytes.
    ///
    /// # Errors
    /// If there is not so much now.
    pub(crate) fn reserve(&self, bytes: usize) -> Result<Reserved, Problem> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.bodies).try_acquire_many_owned(units);
        permit.map(Reserved).map_err(|_| full())
    }

    /// Requests that are worked on or wait for it.
    pub(crate) fn taken(&self) -> usize {
        self.size - self.queue.available_permits()
    }
}

/// Memory of bodies that is taken; dropped, it is free.
pub(crate) struct Reserved(#[expect(dead_code, reason = "it is only held")] OwnedSemaphorePermit);

fn full() -> Problem {
    Problem::busy("there is too much to do; try again later")
}

/// A request that was taken, with its whole body. It counts as long as this lives.
pub(crate) struct Taken {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// When it must be answered.
    pub(crate) deadline: Instant,
    _queue: OwnedSemaphorePermit,
    _body: Reserved,
}

impl FromRequest<Service> for Taken {
    type Rejection = Problem;

    async fn from_request(request: Request, service: &Service) -> Result<Self, Problem> {
        let (limits, room) = (&service.config.limits, &service.room);
        let (parts, body) = request.into_parts();
        let declared = body.size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok());
        let reserved = declared.unwrap_or(limits.body_bytes);
        let memory = match reserved {
            _ if reserved > limits.body_bytes => Err(too_large(limits)),
            // A place is only taken when the body is there, so that slow senders keep none.
            _ if room.queue.available_permits() == 0 => Err(full()),
            _ => room.reserve(reserved),
        };
        let memory = match memory {
            Ok(memory) => memory,
            Err(problem) => {
                discard(body).await;
                return Err(problem);
            }
        };
        let arrived = timeout(limits.receive, whole(body, limits, declared)).await;
        let body = arrived.unwrap_or_else(|_| {
            let seconds = limits.receive.as_secs_f64();
            let message = format!("the body did not arrive within {seconds} s");
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, message))
        })?;
        let queue = Arc::clone(&room.queue).try_acquire_owned().map_err(|_| full())?;
        let deadline = Instant::now() + limits.answer;
        Ok(Self { headers: parts.headers, body, deadline, _queue: queue, _body: memory })
    }
}

fn too_large(limits: &Limits) -> Problem {
    let message = format!("the body has more than {} bytes", limits.body_bytes);
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, message)
}

/// A body as it arrives.
async fn whole(body: Body, limits: &Limits, declared: Option<usize>) -> Result<Bytes, Problem> {
    let mut bytes = Vec::with_capacity(declared.unwrap_or_default());
    let mut stream = body.into_data_stream();
    while let Some(part) = stream.next().await {
        let part =
            part.map_err(|error| Problem::bad_request(format!("the body is cut off: {error}")))?;
        if bytes.len() + part.len() > limits.body_bytes {
            return Err(too_large(limits));
        }
        bytes.extend_from_slice(&part);
    }
    Ok(bytes.into())
}

/// Reads what is not wanted.
async fn discard(body: Body) {
    let mut stream = body.into_data_stream();
    let (most, time) = UNWANTED;
    let read = async {
        let mut bytes = 0;
        while let Some(Ok(part)) = stream.next().await {
            bytes += part.len();
            if bytes > most {
                return;
            }
        }
    };
    // Who is too slow is cut off.
    let _ = timeout(time, read).await;
}
