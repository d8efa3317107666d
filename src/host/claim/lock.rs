//! The lock of a cluster: held by a script on the host whose input stays open, so the kernel frees it when that script
//! ends. The script ends with the connection, or when heartbeats stop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::request::{HEARTBEAT_INTERVAL, LOCK_TIMEOUT, LockRequest, LockState};
use super::script::read_answer;
use crate::host::error::Cause;
use crate::host::transport::link::HostLink;
use crate::inventory::ClusterRef;
use crate::inventory::claim::LIMIT;

/// Time to wait until a released lock is free.
const RELEASING: Duration = Duration::from_secs(5);

/// A lock on a host: freed when this is dropped, and when this process ends, however it ends.
#[derive(Debug)]
pub struct HostLock {
    pub(super) cluster: ClusterRef,
    /// The line in the lock file that identifies the holder; unique to each lock.
    pub(super) holder: String,
    pieces: mpsc::Receiver<Vec<u8>>,
    heartbeat: Arc<Heartbeat>,
    stop: DropGuard,
}

/// The state of our own heartbeat.
#[derive(Debug)]
struct Heartbeat {
    /// When the last heartbeat was sent.
    last_sent: Mutex<Instant>,
    /// Whether a heartbeat was once too late because this process had been suspended.
    suspended: AtomicBool,
}

impl HostLock {
    /// Whether the host may have freed it by now: the connection ended, or this process was suspended.
    pub fn is_lost(&self) -> bool {
        self.pieces.is_closed() || self.heartbeat.is_overdue()
    }

    /// Whether it was lost because this process was suspended, not because the connection ended.
    pub(in crate::host) fn suspended(&self) -> bool {
        self.heartbeat.suspended.load(Ordering::Relaxed)
    }

    /// Frees the lock and waits until it is free.
    pub async fn release(mut self) {
        drop(self.stop);
        let end = async { while self.pieces.recv().await.is_some() {} };
        let _ = tokio::time::timeout(RELEASING, end).await;
    }
}

/// Runs the script of a lock, and keeps its input open if it got the lock.
pub(super) async fn keep_alive(
    link: &HostLink,
    request: &LockRequest<'_>,
    holder: &str,
    script: &str,
    allowed: Duration,
) -> Result<(LockState, Option<HostLock>), Cause> {
    // Before the host starts to wait, so that our timeout never ends after the host's.
    let heartbeat = Arc::new(Heartbeat::new(Instant::now()));
    let (input, mut pieces) = link.stream_with_input(script, allowed).await?;
    let first = async {
        let mut answer = Vec::new();
        while !answer.contains(&b'\n') && answer.len() < 2 * LIMIT {
            match pieces.recv().await {
                Some(piece) => answer.extend(piece),
                None => break,
            }
        }
        answer
    };
    let answer = tokio::time::timeout(allowed, first)
        .await
        .map_err(|_| Cause::Timeout(allowed))?;
    let state = read_answer(request, &String::from_utf8_lossy(&answer))?;
    if !matches!(state, LockState::Held { .. }) {
        return Ok((state, None));
    }
    let stop = CancellationToken::new();
    tokio::spawn(send_heartbeats(input, heartbeat.clone(), stop.clone()));
    let held = HostLock {
        cluster: request.cluster.clone(),
        holder: holder.to_owned(),
        pieces,
        heartbeat,
        stop: stop.drop_guard(),
    };
    Ok((state, Some(held)))
}

async fn send_heartbeats(input: mpsc::Sender<Vec<u8>>, heartbeat: Arc<Heartbeat>, stop: CancellationToken) {
    loop {
        let late = Instant::now() + LOCK_TIMEOUT;
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(HEARTBEAT_INTERVAL) => {}
        }
        // The host may have freed the lock by now: do not treat it as ours again.
        if Instant::now() + HEARTBEAT_INTERVAL >= late {
            heartbeat.suspended.store(true, Ordering::Relaxed);
        }
        let now = Instant::now();
        if heartbeat.is_overdue() || input.send(b".".to_vec()).await.is_err() {
            // Closing the input makes the host free the lock if it still holds it.
            return;
        }
        heartbeat.sent(now);
    }
}

impl Heartbeat {
    fn new(last_sent: Instant) -> Self {
        Self {
            last_sent: Mutex::new(last_sent),
            suspended: AtomicBool::new(false),
        }
    }

    fn sent(&self, now: Instant) {
        *self.last_sent.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    fn is_overdue(&self) -> bool {
        let last_sent = self.last_sent.lock().unwrap_or_else(PoisonError::into_inner);
        last_sent.elapsed() >= LOCK_TIMEOUT || self.suspended.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_lock_is_lost_when_its_script_ends_or_its_holder_was_suspended() {
        let (sender, pieces) = mpsc::channel(1);
        let held = HostLock {
            cluster: ClusterRef::of_directory("demo.0badcafe").unwrap(),
            holder: String::new(),
            pieces,
            heartbeat: Arc::new(Heartbeat::new(Instant::now())),
            stop: CancellationToken::new().drop_guard(),
        };
        assert!(!held.is_lost());
        held.heartbeat
            .sent(Instant::now().checked_sub(LOCK_TIMEOUT).unwrap());
        assert!(held.is_lost());
        held.heartbeat.sent(Instant::now());
        assert!(!held.is_lost() && !held.suspended());
        drop(sender);
        assert!(held.is_lost() && !held.suspended());
    }
}
