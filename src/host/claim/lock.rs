//! The lock of who works on a cluster: held by a script on the host whose input stays open, so the kernel frees it
//! when that script ends. It ends with the connection, and when its holder is silent for too long.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::script::read_answer;
use super::{HoldRequest, LIMIT, Standing};
use crate::host::error::Cause;
use crate::host::link::HostLink;

/// How often the holder of a lock says that he is alive.
pub(super) const BEAT: Duration = Duration::from_secs(20);
/// After so long without a word the lock is free: the controller's machine or network died without a farewell.
pub(super) const SILENCE: Duration = Duration::from_mins(2);

/// A lock on a host: free again when this is dropped, or when this process ends, however it ends.
#[derive(Debug)]
pub struct Held {
    pub(super) short_id: String,
    /// The line that the host keeps of its holder; no two locks have the same.
    pub(super) holder: String,
    pieces: mpsc::Receiver<Vec<u8>>,
    voice: Arc<Voice>,
    stop: DropGuard,
}

/// What is known of the holder's own voice.
#[derive(Debug)]
struct Voice {
    /// When he last spoke.
    spoke: Mutex<Instant>,
    /// Whether he once woke too late to speak: this process had been stopped.
    overslept: AtomicBool,
}

impl Held {
    /// Whether the host may have freed it by now: the connection ended, or this process stood still.
    pub fn is_lost(&self) -> bool {
        self.pieces.is_closed() || self.voice.is_silent()
    }

    /// Whether it was lost because this process stood still, and not by its connection.
    pub(in crate::host) fn overslept(&self) -> bool {
        self.voice.overslept.load(Ordering::Relaxed)
    }

    /// Frees the lock and waits until it is free.
    pub async fn release(mut self) {
        drop(self.stop);
        let end = async { while self.pieces.recv().await.is_some() {} };
        let _ = tokio::time::timeout(Duration::from_secs(5), end).await;
    }
}

/// Runs the script of a lock, and keeps its input open if that took the lock.
pub(super) async fn attend(
    link: &HostLink,
    request: &HoldRequest<'_>,
    holder: &str,
    script: &str,
    allowed: Duration,
) -> Result<(Standing, Option<Held>), Cause> {
    // Before the host begins to wait, so that we give it up no later than the host does.
    let voice = Arc::new(Voice::new(Instant::now()));
    let (input, mut pieces) = link.attend(script, allowed).await?;
    let first = async {
        let mut said = Vec::new();
        while !said.contains(&b'\n') && said.len() < 2 * LIMIT {
            match pieces.recv().await {
                Some(piece) => said.extend(piece),
                None => break,
            }
        }
        said
    };
    let said = tokio::time::timeout(allowed, first)
        .await
        .map_err(|_| Cause::Timeout(allowed))?;
    let standing = read_answer(request, &String::from_utf8_lossy(&said))?;
    if !matches!(standing, Standing::Held { .. }) {
        return Ok((standing, None));
    }
    let stop = CancellationToken::new();
    tokio::spawn(beat(input, voice.clone(), stop.clone()));
    let held = Held {
        short_id: request.short_id.to_owned(),
        holder: holder.to_owned(),
        pieces,
        voice,
        stop: stop.drop_guard(),
    };
    Ok((standing, Some(held)))
}

async fn beat(input: mpsc::Sender<Vec<u8>>, voice: Arc<Voice>, stop: CancellationToken) {
    loop {
        let late = Instant::now() + SILENCE;
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(BEAT) => {}
        }
        // The host has waited as long: what it freed must not be taken for ours again.
        if Instant::now() + BEAT >= late {
            voice.overslept.store(true, Ordering::Relaxed);
        }
        let now = Instant::now();
        if voice.is_silent() || input.send(b".".to_vec()).await.is_err() {
            // With the input's end the host frees what may be left of the lock.
            return;
        }
        voice.speak(now);
    }
}

impl Voice {
    fn new(spoke: Instant) -> Self {
        Self {
            spoke: Mutex::new(spoke),
            overslept: AtomicBool::new(false),
        }
    }

    fn speak(&self, now: Instant) {
        *self.spoke.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    fn is_silent(&self) -> bool {
        let spoke = self.spoke.lock().unwrap_or_else(PoisonError::into_inner);
        spoke.elapsed() >= SILENCE || self.overslept.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_lock_is_lost_when_its_script_ends_or_its_holder_stood_still() {
        let (sender, pieces) = mpsc::channel(1);
        let held = Held {
            short_id: "0badcafe".into(),
            holder: String::new(),
            pieces,
            voice: Arc::new(Voice::new(Instant::now())),
            stop: CancellationToken::new().drop_guard(),
        };
        assert!(!held.is_lost());
        held.voice.speak(Instant::now().checked_sub(SILENCE).unwrap());
        assert!(held.is_lost());
        held.voice.speak(Instant::now());
        assert!(!held.is_lost() && !held.overslept());
        drop(sender);
        assert!(held.is_lost() && !held.overslept());
    }
}
