//! Observes a host: capacity, our domains of all clusters, our other objects.

use async_trait::async_trait;
use virt::connect::Connect;
use virt::domain::Domain;
use virt::error::Error;
use virt::sys;

use super::probe::{self, Probe};
use super::states::list;
use crate::base::name::ClusterName;
use crate::base::units::MiB;
use crate::host::connect::{Connection, Host};
use crate::host::error::{Cause, HostError, shown};
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

/// What is on a host.
#[async_trait]
pub trait Observation: Send + Sync {
    /// The host's facts, capacity and our objects.
    async fn observe(&self) -> Result<ObservedHost, HostError>;

    /// All objects that carry the mark of a cluster; without an id, of all clusters of that name.
    async fn leftovers(
        &self,
        cluster: &ClusterName,
        short_id: Option<&ShortId>,
    ) -> Result<Vec<ObservedObject>, HostError>;

    /// Share of the last ten seconds in which some task waited for a CPU, in percent; `None` if the kernel does not
    /// measure it.
    async fn cpu_pressure(&self) -> Result<Option<f64>, HostError>;
}

#[async_trait]
impl Observation for Host {
    async fn observe(&self) -> Result<ObservedHost, HostError> {
        let script = probe::script();
        let (output, listing) = tokio::join!(self.query(&script), self.call(list_domains));
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

    async fn leftovers(
        &self,
        cluster: &ClusterName,
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

    async fn cpu_pressure(&self) -> Result<Option<f64>, HostError> {
        let output = self
            .query("cat /proc/pressure/cpu 2>/dev/null || :")
            .await
            .map_err(self.failed("read the CPU pressure"))?;
        let average = output
            .lines()
            .find(|line| line.starts_with("some "))
            .and_then(|line| line.split(' ').find_map(|word| word.strip_prefix("avg10=")));
        Ok(average.and_then(|number| number.parse().ok()))
    }
}

impl Host {
    /// The last observed facts; observes now if there are none.
    pub(crate) async fn facts(&self) -> Result<HostFacts, HostError> {
        let known = self.inner.facts.lock().ok().and_then(|facts| facts.clone());
        match known {
            Some(facts) => Ok(facts),
            None => Ok(self.observe().await?.facts),
        }
    }
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
