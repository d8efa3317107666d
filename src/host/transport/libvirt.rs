//! Runs libvirt's blocking calls on their own threads: at most four at once, each with a deadline.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use tokio::sync::Semaphore;
use virt::connect::Connect;

use super::forward::Forward;
use crate::host::error::Cause;

/// Calls in flight on one connection; libvirtd accepts five from one client before it stops reading.
const CALLS: usize = 4;

/// Time to close a connection cleanly.
const CLOSING: Duration = Duration::from_secs(1);

/// One open connection.
pub(crate) struct Libvirt {
    // `None` once it is closed.
    connection: Mutex<Option<Connect>>,
    forward: Arc<Forward>,
    permits: Arc<Semaphore>,
    timeout: Duration,
    open_timeout: Duration,
    dead: AtomicBool,
    reopening: tokio::sync::Mutex<()>,
}

async fn open(forward: &Forward, timeout: Duration) -> Result<Connect, Cause> {
    let uri = forward.uri();
    let open = tokio::task::spawn_blocking(move || Connect::open(Some(&uri)));
    match tokio::time::timeout(timeout, open).await {
        Ok(Ok(opened)) => Ok(opened?),
        Ok(Err(_)) => Err(Cause::Closed),
        Err(_) => {
            forward.close();
            Err(Cause::Timeout(timeout))
        }
    }
}

impl Libvirt {
    /// Opens a connection through a forward.
    pub(crate) async fn open(
        forward: Arc<Forward>,
        timeout: Duration,
        call_timeout: Duration,
    ) -> Result<Self, Cause> {
        static SILENCE: Once = Once::new();
        // By default libvirt's client library prints every error to stderr.
        SILENCE.call_once(virt::error::clear_error_callback);
        let connection = open(&forward, timeout).await?;
        Ok(Self {
            connection: Mutex::new(Some(connection)),
            forward,
            permits: Arc::new(Semaphore::new(CALLS)),
            open_timeout: timeout,
            timeout: call_timeout,
            reopening: tokio::sync::Mutex::new(()),
            dead: AtomicBool::new(false),
        })
    }

    /// Makes calls on their own thread, all of them within one deadline.
    pub(crate) async fn call<T, F>(&self, calls: F) -> Result<T, Cause>
    where
        T: Send + 'static,
        F: FnOnce(&Connect) -> Result<T, virt::error::Error> + Send + 'static,
    {
        self.call_within(self.timeout, calls).await
    }

    /// Like `call`, with its own deadline.
    pub(crate) async fn call_within<T, F>(&self, timeout: Duration, calls: F) -> Result<T, Cause>
    where
        T: Send + 'static,
        F: FnOnce(&Connect) -> Result<T, virt::error::Error> + Send + 'static,
    {
        let permit = self
            .permits
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| Cause::Closed)?;
        if self.dead.load(Ordering::Relaxed) {
            return Err(Cause::Closed);
        }
        let connection = self.alive().await?;
        let work = tokio::task::spawn_blocking(move || {
            // Held by the thread, not by the caller: an abandoned call still occupies the connection.
            let _permit = permit;
            calls(&connection)
        });
        match tokio::time::timeout(timeout, work).await {
            Ok(Ok(result)) => Ok(result?),
            Ok(Err(_)) => Err(Cause::Closed),
            Err(_) => {
                self.dead.store(true, Ordering::Relaxed);
                self.forward.close();
                Err(Cause::Timeout(timeout))
            }
        }
    }
}

impl Libvirt {
    /// The connection, reopened if the daemon was restarted. The call that was interrupted has failed,
    /// because it may or may not have taken effect; later calls can succeed.
    async fn alive(&self) -> Result<Connect, Cause> {
        // One at a time, so that a restart leads to one new connection.
        let _reopening = self.reopening.lock().await;
        let known = self
            .connection
            .lock()
            .ok()
            .and_then(|connection| connection.clone());
        let Some(known) = known else {
            return Err(Cause::Closed);
        };
        // Checks only the socket; sends nothing.
        if known.is_alive().unwrap_or(false) {
            return Ok(known);
        }
        let opened = open(&self.forward, self.open_timeout).await?;
        if let Ok(mut connection) = self.connection.lock() {
            // Closed meanwhile: it stays closed.
            if connection.is_none() {
                return Err(Cause::Closed);
            }
            *connection = Some(opened.clone());
        }
        Ok(opened)
    }

    /// Closes the connection cleanly, if that is possible in time.
    pub(crate) async fn close(&self) {
        let taken = self
            .connection
            .lock()
            .ok()
            .and_then(|mut connection| connection.take());
        if let Some(connection) = taken {
            let close = tokio::task::spawn_blocking(move || drop(connection));
            // The forward is closed next, which ends a close call that hangs.
            let _ = tokio::time::timeout(CLOSING, close).await;
        }
    }
}

/// Whether an error has this number.
pub(crate) fn is(error: &virt::error::Error, number: virt::error::ErrorNumber) -> bool {
    error.code().is_known_and(|code| code == number)
}

impl Drop for Libvirt {
    fn drop(&mut self) {
        // Closing exchanges messages with the daemon and blocks; the runtime that carries them must not wait for it.
        if let Some(connection) = self.connection.get_mut().ok().and_then(Option::take) {
            let forward = self.forward.clone();
            std::thread::spawn(move || {
                drop(connection);
                forward.close();
            });
        }
    }
}
