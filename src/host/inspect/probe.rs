//! One script that collects what libvirt does not report, and the parser of its output.
//! The output is untrusted: whatever does not parse is ignored.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::base::name::ClusterName;
use crate::base::shell::with_variables;
use crate::base::units::MiB;
use crate::host::error::shown;
use crate::host::layout::{BASE, DIRECTORY_FUNCTIONS, KVM_RESULT, Owner, ROOT, token};
use crate::inventory::{Claim, ClusterRef, Mac, ObservedClaim, ObservedObject, ShortId};
use crate::network::{self, Link, section};

/// The script. `$1` is `SSH_CONNECTION`.
pub(crate) fn script() -> String {
    let variables = [("base", BASE), ("root", ROOT), ("kvm", KVM_RESULT)];
    token() + DIRECTORY_FUNCTIONS + &with_variables(&variables, include_str!("probe.sh"))
}

/// The cached result of the KVM check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KvmKnown {
    /// It is valid until the host reboots.
    pub(crate) boot_id: String,
    /// It is valid for this QEMU version.
    pub(crate) qemu_version: u32,
    /// Whether a guest under KVM printed anything.
    pub(crate) works: bool,
}

/// The parsed output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Probe {
    pub(crate) memory: MiB,
    pub(crate) memory_available: MiB,
    pub(crate) disk_free: MiB,
    /// The address that our SSH connection reached.
    pub(crate) ssh_address: Option<IpAddr>,
    pub(crate) links: Vec<Link>,
    pub(crate) routes: Vec<(Ipv4Net, String)>,
    pub(crate) default_device: Option<String>,
    /// Routers of default routes, and of all others.
    default_routers: Vec<Ipv4Addr>,
    other_routers: Vec<Ipv4Addr>,
    pub(crate) tsc_khz: Option<u64>,
    /// Our directories, links and tables.
    pub(crate) objects: Vec<ObservedObject>,
    pub(crate) boot_id: String,
    pub(crate) has_kvm: bool,
    pub(crate) kvm_known: Option<KvmKnown>,
    pub(crate) claims: Vec<ObservedClaim>,
    /// Clusters with a claim that cannot be read.
    pub(crate) unreadable: Vec<ClusterRef>,
    pub(crate) token: String,
}

#[derive(Debug, Deserialize)]
struct Route {
    dst: String,
    #[serde(default)]
    dev: String,
    #[serde(default)]
    gateway: String,
    /// In place of `dev` and `gateway`, if it has several.
    #[serde(default)]
    nexthops: Vec<NextHop>,
}

#[derive(Debug, Deserialize)]
struct NextHop {
    #[serde(default)]
    gateway: String,
}

impl Route {
    /// Its routers. One of the other family is in another field.
    fn routers(&self) -> impl Iterator<Item = Ipv4Addr> + '_ {
        let hops = self.nexthops.iter().map(|hop| &hop.gateway);
        let gateways = std::iter::once(&self.gateway).chain(hops);
        gateways.filter_map(|gateway| gateway.parse().ok())
    }
}

impl Probe {
    /// Parses the output; only a missing essential value is an error.
    pub(crate) fn read(output: &str) -> Result<Self, String> {
        let part = |name| section(output, name);
        let links = network::read_links(part("links")).map_err(|error| error.to_string())?;
        if links.is_empty() {
            return Err("no links in the output (is `ip` of iproute2 installed?)".into());
        }
        let mut probe = Self {
            memory: memory(part("mem"), "MemTotal:").ok_or("no MemTotal")?,
            memory_available: memory(part("mem"), "MemAvailable:").ok_or("no MemAvailable")?,
            disk_free: free(part("disk")).ok_or("no free disk space")?,
            ssh_address: part("ssh")
                .split_ascii_whitespace()
                .nth(2)
                .and_then(|text| text.parse().ok()),
            tsc_khz: tsc(part("tsc")),
            boot_id: part("boot").trim().chars().take(64).collect(),
            has_kvm: part("kvm").trim() == "yes",
            kvm_known: serde_json::from_str(part("kvmknown").trim()).ok(),
            links,
            ..Self::default()
        };
        probe.read_routes(part("routes"));
        probe.read_objects(part("dirs"), part("tables"));
        probe.token = part("token").trim().chars().take(64).collect();
        for line in part("claims").lines() {
            match read_claim(line) {
                Some(claim) => probe.claims.push(claim),
                None => probe.unreadable.extend(unreadable(line)),
            }
        }
        Ok(probe)
    }

    fn read_routes(&mut self, json: &str) {
        let routes: Vec<Route> = serde_json::from_str(json.trim()).unwrap_or_default();
        for route in routes {
            if route.dst == "default" {
                self.default_routers.extend(route.routers());
                self.default_device = self.default_device.take().or(Some(route.dev));
                continue;
            }
            let ours = self
                .links
                .iter()
                .any(|link| link.ifname == route.dev && network::read_alias(&link.ifalias).is_some());
            let net = match route.dst.parse() {
                Ok(net) => Some(net),
                // A host route has no prefix length.
                Err(_) => route.dst.parse::<std::net::Ipv4Addr>().ok().map(Ipv4Net::from),
            };
            if !ours {
                self.other_routers.extend(route.routers());
            }
            if let (Some(net), false) = (net, ours) {
                self.routes.push((net, route.dev.chars().take(15).collect()));
            }
        }
    }

    fn read_objects(&mut self, directories: &str, tables: &str) {
        for link in &self.links {
            let kind = link.kind();
            if let (Some((cluster, id)), "bridge" | "vxlan") = (network::read_alias(&link.ifalias), kind) {
                self.objects.push(object(kind, &link.ifname, cluster, id));
            }
        }
        for (name, json) in directories.lines().filter_map(|line| line.split_once('\t')) {
            if json == "half" {
                if let Some(cluster) = ClusterRef::of_directory(name) {
                    self.objects
                        .push(named("directory", name, cluster.name, cluster.short_id));
                }
                continue;
            }
            let Ok(owner) = serde_json::from_str::<Owner>(json) else {
                continue;
            };
            if name == owner.directory_name() {
                self.objects
                    .push(object("directory", name, owner.cluster, owner.id));
            }
        }
        for (name, line) in tables.lines().filter_map(|line| line.split_once('\t')) {
            let comment = line.split('"').nth(1).unwrap_or_default();
            let mark = comment.split(' ').next().unwrap_or_default();
            let Some((cluster, id)) = network::read_alias(mark) else {
                continue;
            };
            if network::read_table_name(name) == Some(ShortId::of(id)) {
                self.objects.push(object("nft table", name, cluster, id));
            }
        }
        self.read_half_made_links();
    }

    /// Links that were created but not marked yet belong to the cluster whose directory exists: the directory is
    /// created first and removed last.
    fn read_half_made_links(&mut self) {
        for link in &self.links {
            let Some((kind, id)) = network::read_link_name(&link.ifname) else {
                continue;
            };
            let owner = self
                .objects
                .iter()
                .find(|object| object.kind == "directory" && object.short_id == id);
            if let (Some(owner), true) = (owner, link.is_half_made(kind)) {
                let cluster = owner.cluster.clone();
                self.objects.push(named(kind, &link.ifname, cluster, id));
            }
        }
    }

    /// The underlay address: the one in the topology, else the one that SSH reached, else the one
    /// of the default route.
    pub(crate) fn underlay(&self, wanted: Option<IpAddr>) -> Option<IpAddr> {
        let usable = |address: &IpAddr| !address.is_loopback() && !address.is_unspecified();
        let of_default_route = || {
            let device = self.default_device.as_ref()?;
            let link = self.links.iter().find(|link| link.ifname == *device)?;
            link.addresses().map(|(address, _)| address).find(IpAddr::is_ipv4)
        };
        wanted
            .or(self.ssh_address.filter(usable))
            .or_else(of_default_route)
    }

    /// The host's IPv4 addresses, without those of our own devices, and those of its default routers.
    pub(crate) fn addresses(&self) -> Vec<Ipv4Addr> {
        let ours = |link: &Link| network::read_alias(&link.ifalias).is_some();
        let links = self.links.iter().filter(|link| !ours(link));
        let addresses = links.flat_map(Link::addresses).map(|(address, _)| address);
        let own = addresses.filter_map(|address| match address {
            IpAddr::V4(address) if !address.is_loopback() => Some(address),
            _ => None,
        });
        sorted(own.chain(self.default_routers.iter().copied()))
    }

    /// The routers of its other routes.
    pub(crate) fn routers(&self) -> Vec<Ipv4Addr> {
        sorted(self.other_routers.iter().copied())
    }

    /// Our bridges that are down or have no IPv4 address, those that were left half-made included.
    pub(crate) fn broken_bridges(&self) -> Vec<String> {
        let ours = |link: &&Link| {
            let mut objects = self.objects.iter();
            objects.any(|object| object.kind == "bridge" && object.name == link.ifname)
        };
        let works = |link: &Link| link.is_up() && link.addresses().any(|(address, _)| address.is_ipv4());
        let bridges = self.links.iter().filter(ours);
        let broken = bridges.filter(|link| !works(link));
        broken.map(|link| link.ifname.clone()).collect()
    }

    /// The guests' interfaces that are on no bridge.
    pub(crate) fn unplugged(&self) -> Vec<Mac> {
        let loose = self.links.iter().filter(|link| link.master.is_none());
        loose.filter_map(Link::node).collect()
    }

    /// MTU of the device that holds an address.
    pub(crate) fn mtu_of(&self, address: IpAddr) -> Option<u32> {
        let holder = self
            .links
            .iter()
            .find(|link| link.addresses().any(|(own, _)| own == address))?;
        Some(holder.mtu)
    }

    /// Whether KVM works, if known.
    pub(crate) fn kvm(&self, qemu_version: u32) -> Option<bool> {
        if !self.has_kvm {
            return Some(false);
        }
        let known = self.kvm_known.as_ref()?;
        (known.boot_id == self.boot_id && known.qemu_version == qemu_version).then_some(known.works)
    }
}

fn sorted(addresses: impl Iterator<Item = Ipv4Addr>) -> Vec<Ipv4Addr> {
    let sorted: BTreeSet<Ipv4Addr> = addresses.collect();
    sorted.into_iter().collect()
}

fn read_claim(line: &str) -> Option<ObservedClaim> {
    let mut parts = line.splitn(3, '\t');
    let (directory, holder, json) = (parts.next()?, parts.next()?, parts.next()?);
    Some(ObservedClaim {
        claim: Claim::read(directory, json)?,
        holder: (!holder.is_empty()).then(|| shown(holder)),
    })
}

/// The cluster of a line whose claim cannot be parsed: another release may have written it.
fn unreadable(line: &str) -> Option<ClusterRef> {
    ClusterRef::of_directory(line.split('\t').next()?)
}

fn object(kind: &str, name: &str, cluster: ClusterName, id: Uuid) -> ObservedObject {
    named(kind, name, cluster, ShortId::of(id))
}

fn named(kind: &str, name: &str, cluster: ClusterName, short_id: ShortId) -> ObservedObject {
    ObservedObject {
        kind: kind.to_owned(),
        name: name.to_owned(),
        cluster,
        short_id,
    }
}

fn memory(meminfo: &str, what: &str) -> Option<MiB> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(what))?;
    let kib: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    Some(MiB(kib / 1024))
}

fn free(df: &str) -> Option<MiB> {
    let kib: u64 = df.lines().nth(1)?.split_ascii_whitespace().nth(3)?.parse().ok()?;
    Some(MiB(kib / 1024))
}

/// Prefers `tsc: Refined TSC clocksource calibration: 2596.148 MHz`, then `tsc: Detected 2596.150 MHz processor`,
/// then the processor's frequency if that is constant.
fn tsc(lines: &str) -> Option<u64> {
    let mhz = |line: &str| -> Option<f64> {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let unit = words.iter().position(|word| *word == "MHz");
        if let Some(number) = unit.and_then(|at| words[at.checked_sub(1)?].parse().ok()) {
            return Some(number);
        }
        words.last()?.parse().ok()
    };
    let find = |word: &str| lines.lines().rfind(|line| line.contains(word)).and_then(mhz);
    let khz = find("Refined")
        .or_else(|| find("Detected"))
        .or_else(|| find("cpu MHz"))?
        * 1000.0;
    (100_000.0..20_000_000.0)
        .contains(&khz)
        .then_some(khz.round() as u64)
}

#[cfg(test)]
mod tests;
