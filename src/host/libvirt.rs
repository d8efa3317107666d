//! libvirt's blocking calls, on their own threads: at most four at once, each with a deadline.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use tokio::sync::Semaphore;
use virt::connect::Connect;

use super::error::Cause;
use super::forward::Forward;

/// Calls in flight on one connection; libvirtd takes five of one client before it stops reading.
const CALLS: usize = 4;

/// One open connection.
pub(super) struct Libvirt {
    // `None` once it is closed.
    connection: Mutex<Option<Connect>>,
    forward: Arc<Forward>,
    permits: Arc<Semaphore>,
    timeout: Duration,
    dead: AtomicBool,
}

impl Libvirt {
    /// Opens a connection through a forward.
    pub(super) async fn open(
        forward: Arc<Forward>,
        timeout: Duration,
        call_timeout: Duration,
    ) -> Result<Self, Cause> {
        static SILENCE: Once = Once::new();
        // By default libvirt's client library prints every error to stderr, behind our back.
        SILENCE.call_once(virt::error::clear_error_callback);
        let uri = forward.uri();
        let open = tokio::task::spawn_blocking(move || Connect::open(Some(&uri)));
        let connection = match tokio::time::timeout(timeout, open).await {
            Ok(Ok(opened)) => opened?,
            Ok(Err(_)) => return Err(Cause::Closed),
            Err(_) => {
                forward.close();
                return Err(Cause::Timeout(timeout));
            }
        };
        Ok(Self {
            connection: Mutex::new(Some(connection)),
            forward,
            permits: Arc::new(Semaphore::new(CALLS)),
            timeout: call_timeout,
            dead: AtomicBool::new(false),
        })
    }

    /// Makes calls on a thread of their own, all of them within one deadline.
    pub(super) async fn call<T, F>(&self, calls: F) -> Result<T, Cause>
    where
        T: Send + 'static,
        F: FnOnce(&Connect) -> Result<T, virt::error::Error> + Send + 'static,
    {
        self.call_within(self.timeout, calls).await
    }

    /// As `call`, with a deadline of its own.
    pub(super) async fn call_within<T, F>(&self, timeout: Duration, calls: F) -> Result<T, Cause>
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
        let connection = self
            .connection
            .lock()
            .ok()
            .and_then(|connection| connection.clone());
        let Some(connection) = connection else {
            return Err(Cause::Closed);
        };
        if self.dead.load(Ordering::Relaxed) {
            return Err(Cause::Closed);
        }
        let work = tokio::task::spawn_blocking(move || {
            // Held by the thread, not by the waiter: a call that is given up still occupies the connection.
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
    /// Closes the connection politely, within a moment.
    pub(super) async fn close(&self) {
        let taken = self
            .connection
            .lock()
            .ok()
            .and_then(|mut connection| connection.take());
        if let Some(connection) = taken {
            let close = tokio::task::spawn_blocking(move || drop(connection));
            // The forward is closed next, which ends a goodbye that nobody answers.
            let _ = tokio::time::timeout(Duration::from_secs(1), close).await;
        }
    }
}

/// Whether an error has this number.
pub(super) fn is(error: &virt::error::Error, number: virt::error::ErrorNumber) -> bool {
    error.code().is_known_and(|code| code == number)
}

impl Drop for Libvirt {
    fn drop(&mut self) {
        // Closing speaks with the daemon and blocks; the runtime that carries the bytes must not wait for it.
        if let Some(connection) = self.connection.get_mut().ok().and_then(Option::take) {
            let forward = self.forward.clone();
            std::thread::spawn(move || {
                drop(connection);
                forward.close();
            });
        }
    }
}
