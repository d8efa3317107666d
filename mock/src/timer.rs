//! Waits with finer steps than those of the timer of tokio, which are 1 ms: too coarse for a service that answers in
//! 0.2 ms. The last part of a wait is left to a thread that sleeps in the kernel. How late it is on a machine is `late`
//! in the report.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering as Memory};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::task::AtomicWaker;

/// The part of a wait that the thread takes over: two steps of the timer of tokio.
const FINE: Duration = Duration::from_millis(2);

/// Waits until a deadline.
pub async fn until(deadline: tokio::time::Instant) {
    // The time of tests is that of tokio, which they can stop.
    if cfg!(test) {
        tokio::time::sleep_until(deadline).await;
        return;
    }
    let left = deadline.saturating_duration_since(tokio::time::Instant::now());
    if left > FINE {
        tokio::time::sleep_until(deadline.checked_sub(FINE).unwrap_or(deadline)).await;
    }
    match thread() {
        Some(alarms) => Alarm::new(alarms, deadline.into_std()).await,
        None => tokio::time::sleep_until(deadline).await,
    }
}

/// The thread of all waits; `None` if it could not be started.
fn thread() -> Option<&'static Alarms> {
    static ALARMS: OnceLock<Option<Arc<Alarms>>> = OnceLock::new();
    let alarms = ALARMS.get_or_init(|| {
        let alarms = Arc::new(Alarms::default());
        let shared = Arc::clone(&alarms);
        let spawned = std::thread::Builder::new()
            .name("timer".to_owned())
            .spawn(move || shared.run());
        spawned.ok().map(|_| alarms)
    });
    alarms.as_deref()
}

/// The waits that have not ended, by deadline.
#[derive(Debug, Default)]
struct Alarms {
    waits: Mutex<BinaryHeap<Reverse<Wait>>>,
    earlier: Condvar,
}

/// One wait.
#[derive(Debug)]
struct Wait {
    deadline: Instant,
    task: Arc<Task>,
}

/// What a wait and its future share.
#[derive(Debug, Default)]
struct Task {
    over: AtomicBool,
    waker: AtomicWaker,
}

impl PartialEq for Wait {
    fn eq(&self, other: &Self) -> bool {
        self.deadline == other.deadline
    }
}

impl Eq for Wait {}

impl PartialOrd for Wait {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Wait {
    fn cmp(&self, other: &Self) -> Ordering {
        self.deadline.cmp(&other.deadline)
    }
}

impl Alarms {
    fn add(&self, wait: Wait) {
        let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        let first = waits
            .peek()
            .is_none_or(|Reverse(next)| wait.deadline < next.deadline);
        waits.push(Reverse(wait));
        drop(waits);
        if first {
            self.earlier.notify_one();
        }
    }

    fn run(&self) {
        exact_sleep();
        let mut due = Vec::new();
        loop {
            let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            while waits.peek().is_some_and(|Reverse(wait)| wait.deadline <= now) {
                due.extend(waits.pop());
            }
            if due.is_empty() {
                let left = waits
                    .peek()
                    .map(|Reverse(wait)| wait.deadline.duration_since(now));
                // Both may end early; the loop looks at the clock again.
                match left {
                    Some(left) => drop(self.earlier.wait_timeout(waits, left)),
                    None => drop(self.earlier.wait(waits)),
                }
                continue;
            }
            drop(waits);
            for Reverse(wait) in due.drain(..) {
                wait.task.over.store(true, Memory::Release);
                wait.task.waker.wake();
            }
        }
    }
}

/// Asks the kernel not to delay the sleeps of this thread, which it does by 50 us otherwise (prctl(2),
/// `PR_SET_TIMERSLACK`).
fn exact_sleep() {
    #[cfg(target_os = "linux")]
    // If it fails, waits are a little longer.
    let _ = nix::sys::prctl::set_timerslack(1);
}

/// The future of a wait. If it is dropped, the wait stays in the heap until its deadline, which is near.
struct Alarm<'a> {
    alarms: &'a Alarms,
    deadline: Instant,
    task: Option<Arc<Task>>,
}

impl<'a> Alarm<'a> {
    fn new(alarms: &'a Alarms, deadline: Instant) -> Self {
        Self {
            alarms,
            deadline,
            task: None,
        }
    }
}

impl Future for Alarm<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if let Some(task) = &self.task {
            task.waker.register(context.waker());
            // After the registration, so that a wake-up in between is not lost.
            if task.over.load(Memory::Acquire) {
                return Poll::Ready(());
            }
            return Poll::Pending;
        }
        if Instant::now() >= self.deadline {
            return Poll::Ready(());
        }
        let task = Arc::new(Task::default());
        task.waker.register(context.waker());
        self.alarms.add(Wait {
            deadline: self.deadline,
            task: Arc::clone(&task),
        });
        self.task = Some(task);
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waits_end_after_their_deadlines_whatever_their_order() {
        let alarms = thread().unwrap();
        let start = Instant::now();
        let waits = [5_u64, 1, 3, 1, 0, 2].map(|milliseconds| async move {
            let deadline = start + Duration::from_millis(milliseconds);
            Alarm::new(alarms, deadline).await;
            Instant::now() >= deadline
        });
        let after = tokio::time::timeout(Duration::from_secs(30), futures::future::join_all(waits)).await;
        assert_eq!(after.unwrap(), [true; 6]);
    }

    #[tokio::test]
    async fn a_wait_that_is_dropped_does_not_keep_others_from_ending() {
        let alarms = thread().unwrap();
        let soon = Instant::now() + Duration::from_millis(2);
        let mut dropped = Box::pin(Alarm::new(alarms, soon));
        assert!(futures::poll!(&mut dropped).is_pending());
        drop(dropped);
        let wait = Alarm::new(alarms, soon + Duration::from_millis(1));
        tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_of_tests_can_be_stopped() {
        let start = tokio::time::Instant::now();
        until(start + Duration::from_hours(1)).await;
        assert_eq!(start.elapsed(), Duration::from_hours(1));
    }
}
