//! A connected host: one SSH session, one libvirt connection through it.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use super::claim::HostLock;
use super::error::{Cause, HostError};
use super::storage::seed_queue::SeedQueue;
use super::transport::access;
use super::transport::forward::{FarEnd, Forward};
use super::transport::libvirt::Libvirt;
use super::transport::link::HostLink;
use super::transport::uri;
use crate::base::name::HostName;
use crate::inventory::{HostEndpoint, HostFacts};
use crate::ssh::Session;

/// Timeouts.
#[derive(Clone, Copy, Debug)]
pub struct ConnectOptions {
    /// Connection and login, and opening libvirt.
    pub timeout: Duration,
    /// One libvirt call or short script.
    pub call_timeout: Duration,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(20),
            call_timeout: Duration::from_mins(1),
        }
    }
}

pub(super) struct Inner {
    pub(super) name: HostName,
    pub(super) options: ConnectOptions,
    /// Underlay address from the topology.
    pub(super) address: Option<IpAddr>,
    pub(super) link: HostLink,
    pub(super) libvirt: Libvirt,
    pub(super) forward: Arc<Forward>,
    /// libvirt's socket, if the URI names one.
    pub(super) socket: Option<std::path::PathBuf>,
    /// What was last observed.
    pub(super) facts: Mutex<Option<HostFacts>>,
    pub(super) seeds: SeedQueue,
    /// Our locks there.
    pub(super) holds: tokio::sync::Mutex<Vec<HostLock>>,
}

/// A connected bare-metal host. Cheap to clone.
#[derive(Clone)]
pub struct Host {
    pub(super) inner: Arc<Inner>,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Host").field(&self.inner.name).finish()
    }
}

/// A host with an SSH login but no libvirt connection yet: enough to find out why libvirt does not respond.
#[derive(Clone)]
pub struct HostLogin {
    name: HostName,
    options: ConnectOptions,
    address: Option<IpAddr>,
    link: HostLink,
    far: FarEnd,
    socket: Option<std::path::PathBuf>,
}

impl std::fmt::Debug for HostLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("HostLogin").field(&self.name).finish()
    }
}

impl HostLogin {
    /// Opens the SSH session (none for this machine).
    pub async fn open(host: &HostEndpoint, options: &ConnectOptions) -> Result<Self, HostError> {
        let fail = |cause: Cause| HostError::new(&host.name, "log in", cause);
        let place = uri::parse(&host.uri).map_err(|why| fail(Cause::Uri(why)))?;
        let socket = place.socket().map(Into::into);
        let (link, far) = match place.into_target(host, options.timeout) {
            None => (HostLink::local(), FarEnd::Local),
            Some(target) => {
                let session = Session::connect_host(&target)
                    .await
                    .map_err(|error| fail(error.into()))?;
                let session = Arc::new(session);
                (HostLink::ssh(session.clone()), FarEnd::Ssh(session))
            }
        };
        Ok(Self {
            name: host.name.clone(),
            options: *options,
            address: host.address,
            link,
            far,
            socket,
        })
    }

    /// Opens libvirt over the same session.
    pub async fn libvirt(&self) -> Result<Host, HostError> {
        let options = self.options;
        let open = async {
            let forward = Arc::new(Forward::open(self.far.clone(), self.socket.as_deref()).await?);
            let libvirt = Libvirt::open(forward.clone(), options.timeout, options.call_timeout).await?;
            Ok((forward, libvirt))
        };
        let opened = tokio::time::timeout(options.timeout, open)
            .await
            .unwrap_or(Err(Cause::Timeout(options.timeout)));
        let (forward, libvirt) = match opened {
            Ok(opened) => opened,
            Err(cause) => {
                let socket = self.socket.as_deref();
                let cause = access::explained(cause, &self.link, socket, options.call_timeout).await;
                return Err(HostError::new(&self.name, "connect to libvirt", cause));
            }
        };
        Ok(Host {
            inner: Arc::new(Inner {
                name: self.name.clone(),
                options,
                address: self.address,
                link: self.link.clone(),
                libvirt,
                forward,
                socket: self.socket.clone(),
                facts: Mutex::new(None),
                seeds: SeedQueue::default(),
                holds: tokio::sync::Mutex::default(),
            }),
        })
    }

    /// Runs a script as root and returns its output; `doing` is for the error: `examine the machine`.
    pub async fn script(&self, doing: &str, script: &str) -> Result<String, HostError> {
        self.link
            .script(script, self.options.call_timeout)
            .await
            .map_err(|cause| HostError::new(&self.name, doing, cause))
    }

    /// Whether the host is this machine.
    pub fn is_local(&self) -> bool {
        self.link.session().is_none()
    }

    /// Ends the session.
    pub async fn close(&self) {
        if let Some(session) = self.link.session() {
            session.close().await;
        }
    }
}

/// The connection to a host.
#[async_trait]
pub trait Connection: Send + Sync {
    /// The host's name in the topology.
    fn name(&self) -> &HostName;

    /// The SSH session through which nodes are reached; `None` for this machine.
    fn session(&self) -> Option<Arc<Session>>;

    /// Time for a connection and login.
    fn connect_timeout(&self) -> Duration;

    /// Ends the connections and frees the locks. Calls in flight fail.
    async fn close(&self);
}

#[async_trait]
impl Connection for Host {
    fn name(&self) -> &HostName {
        &self.inner.name
    }

    fn session(&self) -> Option<Arc<Session>> {
        self.inner.link.session()
    }

    fn connect_timeout(&self) -> Duration {
        self.inner.options.timeout
    }

    async fn close(&self) {
        // Before the connection ends, so that the next command finds them free.
        for held in std::mem::take(&mut *self.inner.holds.lock().await) {
            held.release().await;
        }
        self.inner.libvirt.close().await;
        self.inner.forward.close();
        if let Some(session) = self.session() {
            session.close().await;
        }
    }
}

impl Host {
    /// Opens the SSH session (none for this machine) and libvirt through it.
    pub async fn connect(host: &HostEndpoint, options: &ConnectOptions) -> Result<Self, HostError> {
        HostLogin::open(host, options).await?.libvirt().await
    }

    /// A cause as an error that names this host and what was being done.
    pub(super) fn failed(&self, doing: impl Into<String>) -> impl FnOnce(Cause) -> HostError {
        let (host, doing) = (self.inner.name.clone(), doing.into());
        move |cause| HostError::new(&host, doing, cause)
    }

    /// Runs a script that changes something.
    #[cfg_attr(feature = "fault-points", track_caller)]
    pub(super) fn script<'a>(&'a self, script: &'a str) -> impl Future<Output = Result<String, Cause>> + 'a {
        let script = Box::pin(self.inner.link.script(script, self.inner.options.call_timeout));
        async move {
            self.still_held()?;
            script.await
        }
    }

    /// Fails if a lock that we took here may be free: another command may be changing the cluster.
    pub(super) fn still_held(&self) -> Result<(), Cause> {
        // While a lock is being taken, nothing else runs here.
        match self.inner.holds.try_lock() {
            Ok(holds) if holds.iter().any(HostLock::is_lost) => Err(Cause::LockLost),
            _ => Ok(()),
        }
    }

    /// Runs a script that changes nothing.
    pub(super) async fn query(&self, script: &str) -> Result<String, Cause> {
        self.inner
            .link
            .query(script, self.inner.options.call_timeout)
            .await
    }

    /// Runs libvirt calls on their own thread.
    pub(super) async fn call<T, F>(&self, calls: F) -> Result<T, Cause>
    where
        T: Send + 'static,
        F: FnOnce(&virt::connect::Connect) -> Result<T, virt::error::Error> + Send + 'static,
    {
        self.still_held()?;
        self.inner.libvirt.call(calls).await
    }
}
