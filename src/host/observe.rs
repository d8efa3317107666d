//! What is on a host: capacity, our domains of all clusters, other traces of ours.

use std::collections::{BTreeMap, HashMap, HashSet};

use virt::connect::Connect;
use virt::domain::Domain;
use virt::enumutil::Enum;
use virt::error::{Error, ErrorNumber};
use virt::sys;

use super::connect::Host;
use super::error::{Cause, HostError, shown};
use super::libvirt::is;
use super::model::{DomainState, HostFacts, ObservedHost, ObservedNode, ObservedObject};
use super::pool::read_pool_name;
use super::probe::{self, Probe};
use super::xml::{MARK_URI, read_mark};
use crate::plan::Plan;
use crate::units::MiB;

/// What libvirt tells.
struct Told {
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
    /// Sees what the host is and holds.
    pub async fn observe(&self) -> Result<ObservedHost, HostError> {
        let script = probe::script();
        let (output, told) = tokio::join!(self.ask(&script), self.call(ask));
        let told = told.map_err(self.failed("ask libvirt"))?;
        let probe = output
            .and_then(|output| Probe::read(&output).map_err(Cause::Nonsense))
            .map_err(self.failed("probe the machine"))?;
        let underlay = probe.underlay(self.inner.address);
        let facts = HostFacts {
            hostname: shown(&told.hostname),
            cpus: told.cpus,
            // Not libvirt's: it adds up NUMA nodes, which some machines report wrong.
            memory: probe.memory,
            memory_available: probe.memory_available,
            disk_free: probe.disk_free,
            libvirt_version: told.libvirt_version,
            qemu_version: told.qemu_version,
            tsc_khz: probe.tsc_khz,
            underlay,
            underlay_mtu: underlay.and_then(|address| probe.mtu_of(address)),
            vnis: probe.links.iter().filter_map(crate::network::Link::vni).collect(),
            boot_id: Some(probe.boot_id.clone()).filter(|id| !id.is_empty()),
            kvm: probe.kvm(told.qemu_version),
            routes: probe.routes,
        };
        if let Ok(mut known) = self.inner.facts.lock() {
            *known = Some(facts.clone());
        }
        let mut objects = probe.objects;
        objects.extend(told.pools.iter().filter_map(|name| {
            let (cluster, short_id) = read_pool_name(name)?;
            Some(ObservedObject {
                kind: "pool".into(),
                name: name.clone(),
                cluster,
                short_id,
            })
        }));
        objects.sort();
        Ok(ObservedHost {
            name: self.name().clone(),
            facts,
            nodes: told.nodes,
            objects,
            foreign_memory: told.foreign_memory,
            foreign_vcpus: told.foreign_vcpus,
            claims: probe.claims,
            token: probe.token,
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

    /// Names of the domains that are not off, in one call: cheap enough to be asked again and again.
    pub async fn active(&self) -> Result<HashSet<String>, HostError> {
        self.call(|connection| {
            let domains = connection.list_all_domains(sys::VIR_CONNECT_LIST_DOMAINS_ACTIVE)?;
            domains.iter().map(Domain::name).collect()
        })
        .await
        .map_err(self.failed("list the domains"))
    }

    /// Which of these domains do not run, with what is known of them. Cheap enough to be asked again and again: only
    /// for those a call of their own is made.
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

    /// Everything that carries the mark of a cluster; with no id, of all clusters of that name.
    pub async fn leftovers(
        &self,
        cluster: &crate::name::ClusterName,
        short_id: Option<&str>,
    ) -> Result<Vec<ObservedObject>, HostError> {
        let seen = self.observe().await?;
        let domains = seen.nodes.into_iter().map(|node| ObservedObject {
            kind: "domain".into(),
            name: node.domain,
            short_id: Plan::short_id(node.mark.cluster_id),
            cluster: node.mark.cluster,
        });
        Ok(domains
            .chain(seen.objects)
            .filter(|object| object.cluster == *cluster && short_id.is_none_or(|id| id == object.short_id))
            .collect())
    }

    /// What was last observed, observing now if nothing was.
    pub(super) async fn facts(&self) -> Result<HostFacts, HostError> {
        let known = self.inner.facts.lock().ok().and_then(|facts| facts.clone());
        match known {
            Some(facts) => Ok(facts),
            None => Ok(self.observe().await?.facts),
        }
    }
}

/// All domains with their states. States come by lists, not by one call for each domain; only what is
/// neither running nor off, or was changing between the lists, is asked for by itself.
pub(super) fn list(connection: &Connect) -> Result<Vec<(Domain, DomainState)>, Error> {
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
                // It went away between the calls.
                None => continue,
            },
        };
        all.push((domain, state));
    }
    Ok(all)
}

pub(super) fn state_of(domain: &Domain) -> Option<DomainState> {
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

/// How a domain came to its end, `is off (destroyed) on`; `None` for one that runs.
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
    // `Destroyed`, `IoError`: libvirt's own words.
    let reason = match reason {
        Enum::Known(Reason::Shutoff(Enum::Known(reason))) => format!("{reason:?}"),
        Enum::Known(Reason::Paused(Enum::Known(reason))) => format!("{reason:?}"),
        Enum::Known(Reason::Crashed(Enum::Known(reason))) => format!("{reason:?}"),
        _ => return Some(what.to_owned()),
    };
    let (verb, on) = what.rsplit_once(' ').unwrap_or((what, "on"));
    Some(format!("{verb} ({}) {on}", reason.to_lowercase()))
}

fn ask(connection: &Connect) -> Result<Told, Error> {
    let node = connection.node_info()?;
    let mut told = Told {
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
            Some(mark) => told.nodes.push(ObservedNode {
                mark,
                domain: domain.name()?,
                uuid: domain.uuid()?,
                state,
            }),
            None if state != DomainState::Off => {
                if let Ok(info) = domain.info() {
                    told.foreign_memory.0 += info.max_mem / 1024;
                    told.foreign_vcpus += info.nr_virt_cpu;
                }
            }
            None => {}
        }
    }
    told.nodes
        .sort_by(|a, b| (&a.mark.cluster, &a.domain).cmp(&(&b.mark.cluster, &b.domain)));
    for pool in connection.list_all_storage_pools(0)? {
        told.pools.push(pool.name()?);
    }
    Ok(told)
}

/// The mark of a domain; `None` if it is not ours.
pub(super) fn mark_of(domain: &Domain) -> Option<super::Mark> {
    let kind = i32::try_from(sys::VIR_DOMAIN_METADATA_ELEMENT).ok()?;
    let mark = read_mark(&domain.metadata(kind, Some(MARK_URI), 0).ok()?)?;
    // Copied by hand to another domain, a mark says nothing about that one.
    (domain.name().ok()? == format!("{}.{}", mark.cluster, mark.node)).then_some(mark)
}
