//! Domains of nodes: define with our mark, start, remove.

use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;
use virt::domain::Domain;
use virt::error::ErrorNumber;

use crate::base::crash_point;
use crate::host::connect::Host;
use crate::host::error::{Cause, HostError};
use crate::host::inspect::observe::mark_of;
use crate::host::inspect::states::{is_suspended, state_of};
use crate::host::layout::directory;
use crate::host::storage::artifact::HostImage;
use crate::host::transport::libvirt::is;
use crate::host::xml::{DomainInput, domain};
use crate::inventory::{ClusterRef, DomainState, Mark};
use crate::plan::{Acceleration, NodePlan};

/// What the domain of a node is made of.
#[derive(Clone, Copy, Debug)]
pub struct Definition<'a> {
    /// Its mark.
    pub mark: &'a Mark,
    /// The node.
    pub node: &'a NodePlan,
    /// Its image on the host.
    pub image: &'a HostImage,
    /// How the host runs it.
    pub acceleration: Acceleration,
    /// The bridge that it is connected to.
    pub bridge: &'a str,
}

/// The domains of nodes on a host.
#[async_trait]
pub trait Domains: Send + Sync {
    /// Defines the domain of a node; returns false if it is already defined as wanted.
    async fn define(&self, definition: &Definition<'_>) -> Result<bool, HostError>;

    /// Starts a domain, or resumes a paused one; returns false if it already runs.
    async fn start(&self, domain: &str) -> Result<bool, HostError>;

    /// Stops the domain with this UUID, as by cutting its power; its definition and its disk stay. Returns false if it
    /// did not run or is not of this cluster.
    async fn stop(&self, cluster: &ClusterRef, uuid: Uuid) -> Result<bool, HostError>;
}

#[async_trait]
impl Domains for Host {
    async fn define(&self, definition: &Definition<'_>) -> Result<bool, HostError> {
        let Definition {
            mark,
            node,
            image,
            acceleration,
            bridge,
        } = *definition;
        let tsc_khz = match acceleration {
            Acceleration::Tcg => self.facts().await?.tsc_khz,
            Acceleration::Kvm => None,
        };
        let xml = domain(&DomainInput {
            node,
            mark,
            image,
            acceleration,
            directory: &directory(&mark.cluster_ref()),
            bridge,
            mtu: node.spec.mtu,
            tsc_khz,
        });
        let (mark, uuid) = (Arc::new(mark.clone()), node.uuid);
        self.call(move |connection| {
            match connection.lookup_domain_by_uuid(uuid) {
                Ok(there) if mark_of(&there).is_some_and(|found| found == *mark) => return Ok(false),
                Ok(_) => {}
                Err(error) if is(&error, ErrorNumber::NoDomain) => {}
                Err(error) => return Err(error),
            }
            // If a domain with this name has another UUID, it is not ours, and libvirt refuses.
            crash_point::point!("domain define before");
            connection.define_domain_xml(&xml)?;
            crash_point::point!("domain define after");
            Ok(true)
        })
        .await
        .map_err(self.failed(format!("define `{}`", node.domain)))
    }

    async fn start(&self, domain: &str) -> Result<bool, HostError> {
        let name = domain.to_owned();
        self.call(move |connection| {
            let domain = connection.lookup_domain_by_name(&name)?;
            crash_point::point!("domain start before");
            let started = domain.create();
            crash_point::point!("domain start after");
            match started {
                Ok(()) => Ok(true),
                Err(error) if is(&error, ErrorNumber::OperationInvalid) => match state_of(&domain) {
                    Some(DomainState::Running) => Ok(false),
                    // A guest that suspended itself cannot be resumed, only woken.
                    Some(DomainState::Paused) if is_suspended(&domain) => domain.pm_wakeup(0).map(|()| true),
                    Some(DomainState::Paused) => domain.resume().map(|()| true),
                    // Kept after its crash, as `on_crash` of a definition that was edited there says.
                    Some(DomainState::Crashed) => {
                        stop(&domain)?;
                        domain.create().map(|()| true)
                    }
                    _ => Err(error),
                },
                Err(error) => Err(error),
            }
        })
        .await
        .map_err(self.failed(format!("start `{domain}`")))
    }

    async fn stop(&self, cluster: &ClusterRef, uuid: Uuid) -> Result<bool, HostError> {
        let cluster = cluster.clone();
        self.call(move |connection| {
            let domain = match connection.lookup_domain_by_uuid(uuid) {
                Ok(domain) => domain,
                Err(error) if is_gone(&error) => return Ok(false),
                Err(error) => return Err(error),
            };
            let ours = mark_of(&domain).is_some_and(|mark| mark.cluster_ref() == cluster);
            if !ours || !domain.is_active()? {
                return Ok(false);
            }
            stop(&domain).map(|()| true)
        })
        .await
        .map_err(self.failed(format!("stop the domain {uuid}")))
    }
}

impl Host {
    /// Runs an operation on the domain with this UUID if it carries the mark of this cluster; returns whether it existed.
    pub(crate) async fn with_domain(
        &self,
        uuid: Uuid,
        cluster: &ClusterRef,
        operation: fn(&Domain) -> Result<(), virt::error::Error>,
    ) -> Result<bool, Cause> {
        let cluster = cluster.clone();
        self.call(move |connection| {
            let domain = match connection.lookup_domain_by_uuid(uuid) {
                Ok(domain) => domain,
                Err(error) if is(&error, ErrorNumber::NoDomain) => return Ok(false),
                Err(error) => return Err(error),
            };
            let ours = mark_of(&domain).is_some_and(|mark| mark.cluster_ref() == cluster);
            if !ours {
                return Ok(false);
            }
            operation(&domain)?;
            Ok(true)
        })
        .await
    }
}

/// Stops and undefines a domain.
pub(crate) fn remove(domain: &Domain) -> Result<(), virt::error::Error> {
    stop(domain)?;
    undefine(domain)
}

fn is_gone(error: &virt::error::Error) -> bool {
    is(error, ErrorNumber::NoDomain)
}

/// Stops a domain, as by cutting its power.
fn stop(domain: &Domain) -> Result<(), virt::error::Error> {
    // `OperationInvalid`: it is already off.
    crash_point::point!("domain destroy before");
    let destroyed = domain.destroy();
    crash_point::point!("domain destroy after");
    match destroyed {
        Err(error) if !is_gone(&error) && !is(&error, ErrorNumber::OperationInvalid) => Err(error),
        _ => Ok(()),
    }
}

/// Undefines a domain that is off.
fn undefine(domain: &Domain) -> Result<(), virt::error::Error> {
    use virt::sys;
    let all = sys::VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
        | sys::VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
        | sys::VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
        | sys::VIR_DOMAIN_UNDEFINE_NVRAM;
    let undefined = domain.undefine_flags(all);
    crash_point::point!("domain undefine after");
    match undefined {
        Err(error) if !is_gone(&error) => Err(error),
        _ => Ok(()),
    }
}
