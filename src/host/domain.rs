//! Domains of nodes: defined with our mark, started.

use std::sync::Arc;

use uuid::Uuid;
use virt::domain::Domain;
use virt::error::ErrorNumber;

use super::connect::Host;
use super::error::{Cause, HostError};
use super::image::HostImage;
use super::libvirt::is;
use super::model::{DomainState, Mark};
use super::observe::{mark_of, state_of};
use super::pool;
use super::xml::{Acceleration, DomainInput, domain};
use crate::fault;
use crate::name::ClusterName;
use crate::plan::{NodePlan, Plan};

impl Host {
    /// Defines the domain of a node; returns false if it is defined as wanted already.
    pub async fn define(
        &self,
        plan: &Plan,
        node: &NodePlan,
        image: &HostImage,
        acceleration: Acceleration,
    ) -> Result<bool, HostError> {
        let mark = Mark {
            cluster: plan.cluster.clone(),
            cluster_id: plan.cluster_id,
            node: node.name.clone(),
            group: node.group.clone(),
            index: node.index,
            spec: node.spec.clone(),
        };
        let tsc_khz = match acceleration {
            Acceleration::Tcg => self.facts().await?.tsc_khz,
            Acceleration::Kvm => None,
        };
        let xml = domain(&DomainInput {
            node,
            mark: &mark,
            image,
            acceleration,
            directory: &pool::directory(&plan.cluster, &Plan::short_id(plan.cluster_id)),
            bridge: &plan.network.bridge,
            mtu: plan.network.mtu,
            tsc_khz,
        });
        let (mark, uuid) = (Arc::new(mark), node.uuid);
        self.call(move |connection| {
            match connection.lookup_domain_by_uuid(uuid) {
                Ok(there) if mark_of(&there).is_some_and(|found| found == *mark) => return Ok(false),
                Ok(_) => {}
                Err(error) if is(&error, ErrorNumber::NoDomain) => {}
                Err(error) => return Err(error),
            }
            // A domain of another UUID with this name makes libvirt refuse: it is somebody else's.
            fault::point!("domain define before");
            connection.define_domain_xml(&xml)?;
            fault::point!("domain define after");
            Ok(true)
        })
        .await
        .map_err(self.failed(format!("define `{}`", node.domain)))
    }

    /// Starts a domain, or lets one go on that is paused; returns false if it runs already.
    pub async fn start(&self, domain: &str) -> Result<bool, HostError> {
        let name = domain.to_owned();
        self.call(move |connection| {
            let domain = connection.lookup_domain_by_name(&name)?;
            fault::point!("domain start before");
            let started = domain.create();
            fault::point!("domain start after");
            match started {
                Ok(()) => Ok(true),
                Err(error) if is(&error, ErrorNumber::OperationInvalid) => match state_of(&domain) {
                    Some(DomainState::Running) => Ok(false),
                    Some(DomainState::Paused) => domain.resume().map(|()| true),
                    _ => Err(error),
                },
                Err(error) => Err(error),
            }
        })
        .await
        .map_err(self.failed(format!("start `{domain}`")))
    }

    /// Does something to the domain with this UUID if it carries the mark of this cluster; returns whether there was one.
    pub(super) async fn with_domain(
        &self,
        uuid: Uuid,
        cluster: &ClusterName,
        short_id: &str,
        deed: fn(&Domain) -> Result<(), virt::error::Error>,
    ) -> Result<bool, Cause> {
        let (cluster, short_id) = (cluster.clone(), short_id.to_owned());
        self.call(move |connection| {
            let domain = match connection.lookup_domain_by_uuid(uuid) {
                Ok(domain) => domain,
                Err(error) if is(&error, ErrorNumber::NoDomain) => return Ok(false),
                Err(error) => return Err(error),
            };
            let ours = mark_of(&domain)
                .is_some_and(|mark| mark.cluster == cluster && Plan::short_id(mark.cluster_id) == short_id);
            if !ours {
                return Ok(false);
            }
            deed(&domain)?;
            Ok(true)
        })
        .await
    }
}

/// Stops and undefines a domain.
pub(super) fn remove(domain: &Domain) -> Result<(), virt::error::Error> {
    stop(domain)?;
    undefine(domain)
}

fn is_gone(error: &virt::error::Error) -> bool {
    is(error, ErrorNumber::NoDomain)
}

/// Stops a domain, as by cutting its power.
fn stop(domain: &Domain) -> Result<(), virt::error::Error> {
    // Stopping one that is off is what `OperationInvalid` says.
    fault::point!("domain destroy before");
    let destroyed = domain.destroy();
    fault::point!("domain destroy after");
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
    fault::point!("domain undefine after");
    match undefined {
        Err(error) if !is_gone(&error) => Err(error),
        _ => Ok(()),
    }
}
