//! Observes a host: capacity, our domains of all clusters, our other objects.

use std::collections::{BTreeMap, HashMap, HashSet};

use virt::connect::Connect;
use virt::domain::Domain;
use virt::enumutil::Enum;
use virt::error::{Error, ErrorNumber};
use virt::sys;

use super::probe::{self, Probe};
use crate::base::units::MiB;
use crate::host::connect::Host;
use crate::host::error::{Cause, HostError, shown};
use crate::host::transport::libvirt::is;
use crate::host::xml::{MARK_URI, read_mark};
use crate::inventory::{
    ClusterRef, DomainState, HostFacts, ObservedHost, ObservedNode, ObservedObject, ShortId, domain_name,
};

/// What libvirt reports.
struct DomainListing {
    hostname: String,
    cpus: u32,
    libvirt_version: u32,
    qemu_version: u32,
    nodes: Vec<ObservedNode>,
    pools: Vec<String>,
    foreign_memory: MiB,
    foreign_vcpus: u32,
}

impl Host {
    /// Observes the host's facts, capacity and our objects.
    pub async fn observe(&self) -> Result<ObservedHost, HostError> {
        let script = probe::script();
        let (output, listing) = tokio::join!(self.ask(&script), self.call(list_domains));
        let listing = listing.map_err(self.failed("query libvirt"))?;
        let probe = output
            .and_then(|output| Probe::read(&output).map_err(Cause::Nonsense))
            .map_err(self.failed("probe the machine"))?;
        let underlay = probe.underlay(self.inner.address);
        let facts = HostFacts {
            hostname: shown(&listing.hostname),
            cpus: listing.cpus,
            // Not libvirt's value: it adds up NUMA nodes, which some machines report wrong.
            memory: probe.memory,
            memory_available: probe.memory_available,
            disk_free: probe.disk_free,
            libvirt_version: listing.libvirt_version,
            qemu_version: listing.qemu_version,
            tsc_khz: probe.tsc_khz,
            underlay,
            underlay_mtu: underlay.and_then(|address| probe.mtu_of(address)),
            vnis: probe.links.iter().filter_map(crate::network::Link::vni).collect(),
            boot_id: Some(probe.boot_id.clone()).filter(|id| !id.is_empty()),
            kvm: probe.kvm(listing.qemu_version),
            routes: probe.routes,
        };
        if let Ok(mut known) = self.inner.facts.lock() {
            *known = Some(facts.clone());
        }
        let mut objects = probe.objects;
        objects.extend(listing.pools.iter().filter_map(|name| {
            let cluster = ClusterRef::of_pool(name)?;
            Some(ObservedObject {
                kind: "pool".into(),
                name: name.clone(),
                cluster: cluster.name,
                short_id: cluster.short_id,
            })
        }));
        objects.sort();
        Ok(ObservedHost {
            name: self.name().clone(),
            facts,
            nodes: listing.nodes,
            objects,
            foreign_memory: listing.foreign_memory,
            foreign_vcpus: listing.foreign_vcpus,
            claims: probe.claims,
            token: probe.token,
            unreadable: probe.unreadable,
        })
    }

    /// States of all domains on the host, by domain name.
    pub async fn states(&self) -> Result<HashMap<String, DomainState>, HostError> {
        self.call(|connection| {
            let domains = list(connection)?;
            domains
                .into_iter()
                .map(|(domain, state)| Ok((domain.name()?, state)))
                .collect()
        })
        .await
        .map_err(self.failed("list the domains"))
    }

    /// Names of the domains that are not off, in one call: cheap enough to be polled.
    pub async fn active(&self) -> Result<HashSet<String>, HostError> {
        self.call(|connection| {
            let domains = connection.list_all_domains(sys::VIR_CONNECT_LIST_DOMAINS_ACTIVE)?;
            domains.iter().map(Domain::name).collect()
        })
        .await
        .map_err(self.failed("list the domains"))
    }

    /// Which of these domains do not run, and why. Cheap enough to be polled: only these domains take a call each.
    pub async fn not_running(&self, domains: &[String]) -> Result<BTreeMap<String, String>, HostError> {
        let (domains, host) = (domains.to_vec(), self.name().clone());
        self.call(move |connection| {
            let running = connection.list_all_domains(sys::VIR_CONNECT_LIST_DOMAINS_RUNNING)?;
            let running: HashSet<String> = running.iter().map(Domain::name).collect::<Result<_, _>>()?;
            let mut dead = BTreeMap::new();
            for name in domains.into_iter().filter(|name| !running.contains(name)) {
                let why = match connection.lookup_domain_by_name(&name) {
                    Ok(domain) => ended(&domain),
                    Err(error) if is(&error, ErrorNumber::NoDomain) => Some("was removed from".to_owned()),
                    Err(error) => return Err(error),
                };
                if let Some(why) = why {
                    dead.insert(name, format!("the guest {why} {host}"));
                }
            }
            Ok(dead)
        })
        .await
        .map_err(self.failed("list the domains"))
    }

    /// Everything that carries the mark of a cluster; without an id, of all clusters of that name.
    pub async fn leftovers(
        &self,
        cluster: &crate::base::name::ClusterName,
        short_id: Option<&ShortId>,
    ) -> Result<Vec<ObservedObject>, HostError> {
        let seen = self.observe().await?;
        let domains = seen.nodes.into_iter().map(|node| ObservedObject {
            kind: "domain".into(),
            name: node.domain,
            short_id: ShortId::of(node.mark.cluster_id),
            cluster: node.mark.cluster,
        });
        Ok(domains
            .chain(seen.objects)
            .filter(|object| object.cluster == *cluster && short_id.is_none_or(|id| *id == object.short_id))
            .collect())
    }

    /// The last observed facts; observes now if there are none.
    pub(crate) async fn facts(&self) -> Result<HostFacts, HostError> {
        let known = self.inner.facts.lock().ok().and_then(|facts| facts.clone());
        match known {
            Some(facts) => Ok(facts),
            None => Ok(self.observe().await?.facts),
        }
    }
}

/// All domains with their states. States come from lists, not from one call per domain; only a domain that is
/// neither running nor off, or that changed between the lists, takes its own call.
pub(crate) fn list(connection: &Connect) -> Result<Vec<(Domain, DomainState)>, Error> {
    let mut states = HashMap::new();
    let domains = connection.list_all_domains(0)?;
    for (flag, state) in [
        (sys::VIR_CONNECT_LIST_DOMAINS_RUNNING, DomainState::Running),
        (sys::VIR_CONNECT_LIST_DOMAINS_SHUTOFF, DomainState::Off),
    ] {
        for domain in connection.list_all_domains(flag)? {
            states.insert(domain.uuid()?, state);
        }
    }
    let mut all = Vec::with_capacity(domains.len());
    for domain in domains {
        let state = match states.get(&domain.uuid()?) {
            Some(state) => *state,
            None => match state_of(&domain) {
                Some(state) => state,
                // It was removed between the calls.
                None => continue,
            },
        };
        all.push((domain, state));
    }
    Ok(all)
}

pub(crate) fn state_of(domain: &Domain) -> Option<DomainState> {
    use virt::domain::DomainState as Virt;
    let (Enum::Known(state), _) = domain.state().ok()? else {
        return Some(DomainState::Running);
    };
    Some(match state {
        Virt::Crashed => DomainState::Crashed,
        Virt::Shutoff => DomainState::Off,
        Virt::Paused | Virt::PMSuspended => DomainState::Paused,
        Virt::NoState | Virt::Running | Virt::Blocked | Virt::Shutdown => DomainState::Running,
    })
}

/// Why a domain does not run: `is off (destroyed) on`; `None` if it runs.
fn ended(domain: &Domain) -> Option<String> {
    use virt::domain::{DomainState as Virt, DomainStateReason as Reason};
    let (Enum::Known(state), reason) = domain.state().ok()? else {
        return None;
    };
    let what = match state {
        Virt::Crashed => "crashed on",
        Virt::Shutoff => "is off on",
        Virt::Paused => "is paused on",
        Virt::PMSuspended => "is suspended on",
        Virt::NoState | Virt::Running | Virt::Blocked | Virt::Shutdown => return None,
    };
    // `Destroyed`, `IoError`: libvirt's own terms.
    let reason = match reason {
        Enum::Known(Reason::Shutoff(Enum::Known(reason))) => format!("{reason:?}"),
        Enum::Known(Reason::Paused(Enum::Known(reason))) => format!("{reason:?}"),
        Enum::Known(Reason::Crashed(Enum::Known(reason))) => format!("{reason:?}"),
        _ => return Some(what.to_owned()),
    };
    let (verb, on) = what.rsplit_once(' ').unwrap_or((what, "on"));
    Some(format!("{verb} ({}) {on}", reason.to_lowercase()))
}

fn list_domains(connection: &Connect) -> Result<DomainListing, Error> {
    let node = connection.node_info()?;
    let mut listing = DomainListing {
        hostname: connection.hostname()?,
        cpus: node.cpus,
        libvirt_version: connection.lib_version()?,
        qemu_version: connection.hyp_version()?,
        nodes: Vec::new(),
        pools: Vec::new(),
        foreign_memory: MiB(0),
        foreign_vcpus: 0,
    };
    for (domain, state) in list(connection)? {
        match mark_of(&domain) {
            Some(mark) => listing.nodes.push(ObservedNode {
                mark,
                domain: domain.name()?,
                uuid: domain.uuid()?,
                state,
            }),
            None if state != DomainState::Off => {
                if let Ok(info) = domain.info() {
                    listing.foreign_memory.0 += info.max_mem / 1024;
                    listing.foreign_vcpus += info.nr_virt_cpu;
                }
            }
            None => {}
        }
    }
    listing
        .nodes
        .sort_by(|a, b| (&a.mark.cluster, &a.domain).cmp(&(&b.mark.cluster, &b.domain)));
    for pool in connection.list_all_storage_pools(0)? {
        listing.pools.push(pool.name()?);
    }
    Ok(listing)
}

/// The mark of a domain; `None` if it is not ours.
pub(crate) fn mark_of(domain: &Domain) -> Option<crate::inventory::Mark> {
    let kind = i32::try_from(sys::VIR_DOMAIN_METADATA_ELEMENT).ok()?;
    let mark = read_mark(&domain.metadata(kind, Some(MARK_URI), 0).ok()?)?;
    // A mark that was copied to another domain does not count.
    (domain.name().ok()? == domain_name(&mark.cluster, &mark.node)).then_some(mark)
}
