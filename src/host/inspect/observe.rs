//! Observes a host: capacity, our domains of all clusters, our other objects.

use async_trait::async_trait;
use uuid::Uuid;
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
use crate::host::xml::{MARK_URI, first_bridge, read_mark};
use crate::inventory::{
    ClusterRef, DomainState, HostFacts, Mark, ObservedCopy, ObservedHost, ObservedNode, ObservedObject,
    ShortId, domain_name, domain_uuid,
};

/// What libvirt reports.
struct DomainListing {
    hostname: String,
    cpus: u32,
    libvirt_version: u32,
    qemu_version: u32,
    uefi: bool,
    nodes: Vec<ObservedNode>,
    copies: Vec<ObservedCopy>,
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
        let (broken_bridges, unplugged) = (probe.broken_bridges(), probe.unplugged());
        let facts = HostFacts {
            hostname: shown(&listing.hostname),
            cpus: listing.cpus,
            // Not libvirt's value: it adds up NUMA nodes, which some machines report wrong.
            memory: probe.memory,
            memory_available: probe.memory_available,
            disk_free: probe.disk_free,
            libvirt_version: listing.libvirt_version,
            qemu_version: listing.qemu_version,
            uefi: listing.uefi,
            tsc_khz: probe.tsc_khz,
            underlay,
            underlay_mtu: underlay.and_then(|address| probe.mtu_of(address)),
            vnis: probe.links.iter().filter_map(crate::network::Link::vni).collect(),
            boot_id: Some(probe.boot_id.clone()).filter(|id| !id.is_empty()),
            kvm: probe.kvm(listing.qemu_version),
            addresses: probe.addresses(),
            routers: probe.routers(),
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
            copies: listing.copies,
            broken_bridges,
            unplugged,
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
        uefi: offers_uefi(connection),
        nodes: Vec::new(),
        copies: Vec::new(),
        pools: Vec::new(),
        foreign_memory: MiB(0),
        foreign_vcpus: 0,
    };
    for (domain, state) in list(connection)? {
        if let Some(mut mark) = written_mark(&domain) {
            let (name, uuid) = (domain.name()?, domain.uuid()?);
            if is_ours(&mark, &name, uuid) {
                // Earlier releases did not write it.
                if mark.spec.bridge.is_none() {
                    mark.spec.bridge = connected_to(&domain);
                }
                listing.nodes.push(ObservedNode {
                    mark,
                    domain: name,
                    uuid,
                    state,
                });
                continue;
            }
            listing.copies.push(ObservedCopy {
                domain: shown(&name),
                cluster: mark.cluster_ref(),
                node: mark.node,
            });
        }
        if state != DomainState::Off
            && let Ok(info) = domain.info()
        {
            listing.foreign_memory.0 += info.max_mem / 1024;
            listing.foreign_vcpus += info.nr_virt_cpu;
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

/// The bridge that the first interface of a domain is connected to, if libvirt says so.
fn connected_to(domain: &Domain) -> Option<String> {
    Some(shown(&first_bridge(&domain.xml_desc(0).ok()?)?))
}

/// Whether libvirt knows a UEFI without Secure Boot for the machine that such guests get. Asked of emulation: the answer
/// is the same for KVM, and a host without KVM answers too.
fn offers_uefi(connection: &Connect) -> bool {
    let about = connection.domain_capabilities(None, Some("x86_64"), Some("q35"), Some("qemu"), 0);
    about.is_ok_and(|xml| uefi_in(&xml))
}

/// The same, from the domain capabilities as libvirt writes them: what may be in `<os firmware='efi'>`, and whether the
/// loaders can go without Secure Boot.
fn uefi_in(xml: &str) -> bool {
    let Some((_, os)) = xml.split_once("<os ") else {
        return false;
    };
    let os = os.split("</os>").next().unwrap_or(os);
    let lists = |name: &str, value: &str| {
        let Some((_, list)) = os.split_once(&format!("<enum name='{name}'>")) else {
            return false;
        };
        let list = list.split("</enum>").next().unwrap_or(list);
        list.contains(&format!("<value>{value}</value>"))
    };
    lists("firmware", "efi") && lists("secure", "no")
}

/// The mark of a domain; `None` if it is not ours.
pub(crate) fn mark_of(domain: &Domain) -> Option<Mark> {
    let mark = written_mark(domain)?;
    is_ours(&mark, &domain.name().ok()?, domain.uuid().ok()?).then_some(mark)
}

/// The mark that a domain carries, which may be a copy.
fn written_mark(domain: &Domain) -> Option<Mark> {
    let kind = i32::try_from(sys::VIR_DOMAIN_METADATA_ELEMENT).ok()?;
    read_mark(&domain.metadata(kind, Some(MARK_URI), 0).ok()?)
}

/// A mark that was copied to another domain does not count. A domain that was renamed is still the one that we created:
/// it keeps its UUID.
fn is_ours(mark: &Mark, name: &str, uuid: Uuid) -> bool {
    name == domain_name(&mark.cluster, &mark.node) || uuid == domain_uuid(mark.cluster_id, &mark.node)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::{Firmware, Mac, NodeSpec};

    #[test]
    fn a_renamed_domain_is_ours_and_a_copy_is_not() {
        let address = std::net::Ipv4Addr::new(10, 77, 0, 1);
        let mark = Mark {
            cluster: "demo".parse().unwrap(),
            cluster_id: Uuid::from_u128(7),
            node: "n001".parse().unwrap(),
            group: "n".parse().unwrap(),
            index: 0,
            spec: NodeSpec {
                image: "micro".parse().unwrap(),
                image_key: String::new(),
                firmware: Firmware::default(),
                user_data: None,
                vcpus: 1,
                memory: MiB(96),
                disk: None,
                disks: Vec::new(),
                interfaces: Vec::new(),
                bridge: None,
                address,
                mac: Mac([0; 6]),
                mtu: 1450,
                gateway: None,
                dns: Vec::new(),
                client_key: String::new(),
            },
        };
        let (own, other) = (domain_uuid(mark.cluster_id, &mark.node), Uuid::from_u128(1));
        let name = domain_name(&mark.cluster, &mark.node);
        assert!(is_ours(&mark, &name, own) && is_ours(&mark, "renamed", own));
        assert!(!is_ours(&mark, "demo.n001-clone", other));
        // A node of an earlier release.
        assert!(is_ours(&mark, &name, other));
    }

    /// What libvirt 9.0 writes with OVMF installed, shortened.
    const WITH: &str = "<domainCapabilities>\n  <machine>pc-q35-7.2</machine>\n  <os supported='yes'>\n    \
        <enum name='firmware'>\n      <value>bios</value>\n      <value>efi</value>\n    </enum>\n    \
        <loader supported='yes'>\n      <value>/usr/share/OVMF/OVMF_CODE_4M.fd</value>\n      \
        <enum name='secure'>\n        <value>yes</value>\n        <value>no</value>\n      </enum>\n    \
        </loader>\n  </os>\n  <cpu>\n  </cpu>\n</domainCapabilities>";

    #[test]
    fn a_host_offers_uefi_only_with_its_firmware_and_without_secure_boot() {
        assert!(uefi_in(WITH));
        assert!(!uefi_in(&WITH.replace("<value>efi</value>", "")));
        assert!(!uefi_in(&WITH.replace("<value>no</value>", "")));
        assert!(!uefi_in(""));
        assert!(!uefi_in(
            "<os supported='no'/><enum name='firmware'><value>efi</value></enum>"
        ));
    }
}
