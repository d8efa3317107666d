//! A bare-metal host behind one trait, and how to connect to it. Each area is a trait of its own in the file of that area,
//! beside its types and what `Host` does for it.
//!
//! Methods are idempotent: `ensure` and `remove` return whether they changed anything. Objects without our mark are never
//! touched.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::claim::Claims;
use super::clear::reaper::Reaper;
use super::clear::remove::Removal;
use super::connect::{ConnectOptions, Connection, Host};
use super::error::HostError;
use super::guest::console::Consoles;
use super::guest::domain::Domains;
use super::guest::kvm::KvmCheck;
use super::inspect::observe::Observation;
use super::inspect::orphans::Sweep;
use super::inspect::states::DomainStates;
use super::net::Networks;
use super::storage::disk::Disks;
use super::storage::image::Images;
use super::storage::pool::Pools;
use crate::inventory::HostEndpoint;

/// A connected bare-metal host: all that it can do.
pub trait Backend:
    Connection
    + Observation
    + DomainStates
    + Claims
    + Networks
    + Pools
    + Images
    + Disks
    + Domains
    + KvmCheck
    + Consoles
    + Removal
    + Sweep
    + Reaper
{
}

impl<T> Backend for T where
    T: Connection
        + Observation
        + DomainStates
        + Claims
        + Networks
        + Pools
        + Images
        + Disks
        + Domains
        + KvmCheck
        + Consoles
        + Removal
        + Sweep
        + Reaper
{
}

/// Connects to hosts.
#[async_trait]
pub trait Connector: Send + Sync {
    /// Connects to a host.
    async fn connect(
        &self,
        host: &HostEndpoint,
        options: &ConnectOptions,
    ) -> Result<Arc<dyn Backend>, HostError>;
}

/// How to connect to hosts.
#[derive(Clone)]
pub struct Access {
    /// Timeouts.
    pub options: ConnectOptions,
    /// The implementation.
    pub connector: Arc<dyn Connector>,
}

impl Access {
    /// Access by SSH and libvirt.
    pub fn libvirt(options: ConnectOptions) -> Self {
        Self {
            options,
            connector: Arc::new(LibvirtHosts),
        }
    }

    /// Connects to a host.
    pub async fn connect(&self, host: &HostEndpoint) -> Result<Arc<dyn Backend>, HostError> {
        self.connector.connect(host, &self.options).await
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Hosts with libvirt, over SSH or on this machine.
struct LibvirtHosts;

#[async_trait]
impl Connector for LibvirtHosts {
    async fn connect(
        &self,
        host: &HostEndpoint,
        options: &ConnectOptions,
    ) -> Result<Arc<dyn Backend>, HostError> {
        Ok(Arc::new(Host::connect(host, options).await?))
    }
}
