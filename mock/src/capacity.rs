//! The workers of an endpoint: a request takes one, waits in a queue for one, or is refused. This is what makes
//! latency rise with load.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::spec::{Capacity, WhenFull};

/// The workers of an endpoint, and how many requests wait for them.
#[derive(Debug)]
pub struct Workers {
    limit: Option<Limit>,
}

#[derive(Debug)]
struct Limit {
    /// One permit for each worker. It is fair: the first that waits is the first that is served.
    free: Semaphore,
    waiting: AtomicU32,
    /// The most that wait.
    queue: u32,
    when_full: WhenFull,
}

/// What a request got.
#[derive(Debug)]
pub enum Admission<'a> {
    /// A worker, until this is dropped.
    Served(Worker<'a>),
    /// Neither a worker nor a place in the queue.
    Overloaded(WhenFull),
}

/// A worker that is taken until this is dropped.
#[derive(Debug)]
pub struct Worker<'a> {
    _permit: Option<SemaphorePermit<'a>>,
}

/// A place in the queue, until this is dropped.
struct Place<'a>(&'a AtomicU32);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Workers {
    /// The workers of a capacity; without one, there is no limit.
    pub fn new(capacity: Option<&Capacity>) -> Self {
        let limit = capacity.map(|capacity| Limit {
            free: Semaphore::new(capacity.workers.get() as usize),
            waiting: AtomicU32::new(0),
            queue: match capacity.when_full {
                WhenFull::Wait => u32::MAX,
                WhenFull::Reject | WhenFull::Close => capacity.queue.unwrap_or(u32::MAX),
            },
            when_full: capacity.when_full,
        });
        Self { limit }
    }

    /// Takes a worker, or waits in the queue for one. A request whose future is dropped leaves the queue.
    pub async fn take(&self) -> Admission<'_> {
        let Some(limit) = &self.limit else {
            return Admission::Served(Worker { _permit: None });
        };
        // It fails while others wait, even if a worker is free for the first of them.
        if let Ok(permit) = limit.free.try_acquire() {
            return Admission::Served(Worker {
                _permit: Some(permit),
            });
        }
        let place = limit
            .waiting
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |waiting| {
                (waiting < limit.queue).then(|| waiting + 1)
            })
            .map(|_| Place(&limit.waiting));
        let Ok(place) = place else {
            return Admission::Overloaded(limit.when_full);
        };
        let permit = limit.free.acquire().await;
        drop(place);
        match permit {
            Ok(permit) => Admission::Served(Worker {
                _permit: Some(permit),
            }),
            // The semaphore is never closed.
            Err(_) => Admission::Overloaded(limit.when_full),
        }
    }

    /// How many requests wait.
    pub fn waiting(&self) -> u32 {
        let limit = self.limit.as_ref();
        limit.map_or(0, |limit| limit.waiting.load(Ordering::Acquire))
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use futures::{FutureExt as _, poll};

    use super::*;

    fn workers(workers: u32, queue: Option<u32>, when_full: WhenFull) -> Workers {
        Workers::new(Some(&Capacity {
            workers: NonZeroU32::new(workers).unwrap(),
            queue,
            when_full,
        }))
    }

    fn is_served(admission: Option<&Admission<'_>>) -> bool {
        matches!(admission, Some(Admission::Served(_)))
    }

    #[tokio::test]
    async fn a_request_waits_if_all_workers_are_taken_and_is_refused_if_the_queue_is_full() {
        let workers = workers(1, Some(1), WhenFull::Reject);
        let first = workers.take().await;
        let mut second = Box::pin(workers.take());
        assert!(poll!(&mut second).is_pending());
        assert_eq!(workers.waiting(), 1);
        let third = workers.take().now_or_never();
        assert!(matches!(third, Some(Admission::Overloaded(WhenFull::Reject))));
        drop(first);
        assert!(is_served(second.now_or_never().as_ref()));
        assert_eq!(workers.waiting(), 0);
    }

    #[tokio::test]
    async fn requests_are_served_in_the_order_of_their_arrival() {
        let workers = workers(1, None, WhenFull::Reject);
        let first = workers.take().await;
        let mut second = Box::pin(workers.take());
        let mut third = Box::pin(workers.take());
        assert!(poll!(&mut second).is_pending());
        assert!(poll!(&mut third).is_pending());
        drop(first);
        assert!(poll!(&mut third).is_pending());
        let second = second.now_or_never();
        assert!(is_served(second.as_ref()));
        drop(second);
        assert!(is_served(third.now_or_never().as_ref()));
    }

    #[tokio::test]
    async fn a_request_that_is_dropped_leaves_the_queue() {
        let workers = workers(1, Some(1), WhenFull::Close);
        let first = workers.take().await;
        let mut second = Box::pin(workers.take());
        assert!(poll!(&mut second).is_pending());
        drop(second);
        assert_eq!(workers.waiting(), 0);
        let mut third = Box::pin(workers.take());
        assert!(poll!(&mut third).is_pending());
        drop(first);
        assert!(is_served(third.now_or_never().as_ref()));
    }

    #[tokio::test]
    async fn without_a_queue_every_request_beyond_the_workers_is_refused() {
        let workers = workers(2, Some(0), WhenFull::Close);
        let taken = (workers.take().await, workers.take().await);
        let third = workers.take().now_or_never();
        assert!(matches!(third, Some(Admission::Overloaded(WhenFull::Close))));
        drop(taken);
        assert!(is_served(workers.take().now_or_never().as_ref()));
    }

    #[tokio::test]
    async fn a_queue_that_may_wait_has_no_limit() {
        let workers = workers(1, Some(0), WhenFull::Wait);
        let first = workers.take().await;
        let mut second = Box::pin(workers.take());
        assert!(poll!(&mut second).is_pending());
        drop(first);
        assert!(is_served(second.now_or_never().as_ref()));
    }

    #[tokio::test]
    async fn without_a_capacity_nothing_waits() {
        let workers = Workers::new(None);
        let all: Vec<_> = (0..1000).map(|_| workers.take().now_or_never()).collect();
        assert!(all.iter().all(|admission| is_served(admission.as_ref())));
    }
}
