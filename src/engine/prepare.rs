//! What every host needs before its first guest, besides networks: images, and checks of KVM and of the VXLAN.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use super::apply::Round;
use super::failure::EngineError;
use super::fleet::{HOSTS_AT_ONCE, Member, split};
use super::pending::Pending;
use crate::base::event::{Event, HostStage};
use crate::base::exit::ExitCode;
use crate::base::failure::{Failure, UserError};
use crate::base::name::{HostName, ImageName};
use crate::host::{Cause, HostError, HostImage, ImagePart};
use crate::inventory::KvmSupport;
use crate::network::{self, OverlayFailure};
use crate::plan::{Acceleration, EmulatedCpu, HostPlan, NetworkPlan, VxlanPlan, acceleration, drop_out};
use crate::topology::Accel;

impl Round<'_> {
    /// Uploads every image to every host that starts nodes from it.
    pub(super) async fn host_images(
        &self,
        starting: &BTreeSet<(&HostName, &ImageName)>,
    ) -> Result<HashMap<(HostName, ImageName), HostImage>, EngineError> {
        let parts: HashMap<&ImageName, Vec<ImagePart>> = self
            .images
            .iter()
            .map(|(name, image)| (name, image.files.iter().map(ImagePart::of).collect()))
            .collect();
        let parts = &parts;
        let done = self
            .used()
            .stage(HostStage::Image, self.events, |member| async move {
                let host = &member.endpoint.name;
                let mut changed = false;
                let wanted = starting
                    .iter()
                    .filter(|(on, _)| *on == host)
                    .map(|(_, image)| *image);
                let mut images = Vec::new();
                for name in wanted {
                    let (Some(image), Some(parts)) = (self.images.get(name), parts.get(name)) else {
                        continue;
                    };
                    let mut progress = |done, total| {
                        self.events.emit(Event::Image {
                            image: name.to_string(),
                            doing: format!("upload to {host}"),
                            done,
                            total,
                        });
                        changed = true;
                    };
                    let there = member
                        .host
                        .ensure_image(&image.key, &image.manifest.cmdline, parts, &mut progress)
                        .await?;
                    images.push(((host.clone(), name.clone()), there));
                }
                Ok((changed, images))
            })
            .await;
        let (images, failures) = split(HostStage::Image, done);
        self.losses.hosts(failures);
        self.check_interrupt()?;
        Ok(images.into_iter().flatten().collect())
    }

    /// What the test of KVM on a host finds; `None` if the topology wants emulation there.
    async fn kvm_support(
        &self,
        planned: &HostPlan,
        member: &Member,
        images: &HashMap<(HostName, ImageName), HostImage>,
    ) -> Result<Option<KvmSupport>, HostError> {
        let name = &planned.name;
        if planned.accel == Accel::Tcg {
            return Ok(None);
        }
        // An image with a kernel of its own boots fastest.
        let mut here: Vec<&HostImage> = images
            .iter()
            .filter(|((host, _), _)| host == name)
            .map(|(_, image)| image)
            .collect();
        here.sort_by_key(|image| (image.kernel.is_none(), &image.key));
        let (Some(image), Some(node)) = (here.first(), self.plan.nodes.first()) else {
            let cause = Cause::Other("no image that it could boot is there".into());
            return Err(HostError::new(name, "check KVM", cause));
        };
        let support = member.host.prove_kvm(&self.plan.mark(node), image).await?;
        Ok(Some(support))
    }

    pub(super) async fn accelerations(
        &self,
        images: &HashMap<(HostName, ImageName), HostImage>,
    ) -> Result<HashMap<HostName, Acceleration>, EngineError> {
        let mut chosen = HashMap::new();
        let mut failures = Vec::new();
        let starting: BTreeSet<&HostName> = images.keys().map(|(host, _)| host).collect();
        let planned = self.plan.hosts.iter();
        let planned = planned.filter(|planned| starting.contains(&planned.name));
        let hosts = planned.filter_map(|planned| Some((planned, self.fleet.get(&planned.name)?)));
        let answers = Pending::each(
            self.events,
            "the test of KVM on",
            HOSTS_AT_ONCE,
            hosts,
            |(planned, _)| &planned.name,
            |(planned, member)| async move { (planned, self.kvm_support(planned, member, images).await) },
        )
        .await;
        let mut described: BTreeMap<&str, BTreeSet<&HostName>> = BTreeMap::new();
        for (planned, answer) in answers {
            let name = &planned.name;
            let support = match answer {
                Ok(support) => support,
                Err(error) => {
                    failures.push(Failure::of_host(name.clone(), error));
                    continue;
                }
            };
            match acceleration(planned.accel, support) {
                Some(acceleration) => {
                    let hosts = described.entry(mode(acceleration, support)).or_default();
                    hosts.insert(name);
                    chosen.insert(name.clone(), acceleration);
                }
                None => failures.push(Failure::of_host(name.clone(), no_kvm(support))),
            }
        }
        self.losses.hosts(failures);
        self.check_interrupt()?;
        for (mode, hosts) in described {
            let hosts = crate::nodeset::fold(hosts);
            self.events.note(format!("guests run with {mode} on {hosts}"));
        }
        self.note_emulated_cpus(images, &chosen);
        Ok(chosen)
    }

    /// Reports which guests get more than the usual CPU under emulation, and why.
    fn note_emulated_cpus(
        &self,
        images: &HashMap<(HostName, ImageName), HostImage>,
        chosen: &HashMap<HostName, Acceleration>,
    ) {
        let mut given: BTreeMap<(EmulatedCpu, &ImageName), BTreeSet<&HostName>> = BTreeMap::new();
        for node in &self.plan.nodes {
            let starts = images.contains_key(&(node.host.clone(), node.spec.image.clone()));
            let is_emulated = chosen.get(&node.host) == Some(&Acceleration::Tcg);
            if starts && is_emulated && node.emulated_cpu != EmulatedCpu::V1 {
                let hosts = given.entry((node.emulated_cpu, &node.spec.image)).or_default();
                hosts.insert(&node.host);
            }
        }
        for ((cpu, image), hosts) in given {
            let hosts = crate::nodeset::fold(hosts);
            let why = cpu.reason();
            self.events.note(format!(
                "guests of image `{image}` get an {cpu} CPU on {hosts}: {why}"
            ));
        }
    }

    /// Every pair of hosts exchanges full-size packets through each VXLAN of both. Where that fails, hosts that are
    /// unreachable drop out. Otherwise no host is at fault: a firewall drops the VXLAN, or the MTU is wrong, and the user
    /// must change that.
    pub(super) async fn overlay(&self) -> Result<(), EngineError> {
        let networks = self.plan.all_networks();
        let spanning: Vec<(&NetworkPlan, &VxlanPlan)> = networks
            .filter_map(|network| Some((network, network.vxlan.as_ref()?)))
            .collect();
        if spanning.is_empty() {
            return Ok(());
        }
        let spanning = &spanning;
        let used = self.used();
        let among: BTreeSet<HostName> = used
            .members()
            .iter()
            .map(|member| member.endpoint.name.clone())
            .collect();
        let among = &among;
        let done = used
            .stage(HostStage::Mtu, self.events, |member| async move {
                let host = member.endpoint.name.clone();
                let mut blocked = Vec::new();
                let mut unreachable = BTreeSet::new();
                for &(planned, vxlan) in spanning {
                    let peers =
                        network::overlay_peers(self.plan, planned, &host, |peer| among.contains(peer));
                    let failed = member.host.prove_overlay(planned, &peers).await?;
                    // Whether that is the fault of the VXLAN or of the network below it.
                    let below: Vec<(&HostName, IpAddr)> = self
                        .plan
                        .hosts
                        .iter()
                        .filter(|other| failed.iter().any(|failure| failure.peer == other.name))
                        .filter_map(|other| Some((&other.name, other.underlay?)))
                        .collect();
                    let silent = member.host.prove_mtu(planned.mtu, &below).await?;
                    blocked.extend(blocked_paths(&host, &failed, &silent, planned, vxlan));
                    unreachable.extend(silent);
                }
                Ok((false, (host, blocked, unreachable)))
            })
            .await;
        let mut blocked = Vec::new();
        let mut narrow = Vec::new();
        let mut broken = Vec::new();
        for (host, result) in done {
            match result {
                Ok((host, failures, unreachable)) => {
                    blocked.extend(failures);
                    broken.extend(unreachable.into_iter().map(|peer| (host.clone(), peer)));
                }
                Err(error) if matches!(error.cause, Cause::Path(_)) => {
                    narrow.push(Failure::of_host(host, error).at(HostStage::Mtu));
                }
                Err(error) => {
                    let failure = Failure::of_host(host, error).at(HostStage::Mtu);
                    self.losses.hosts([failure]);
                }
            }
        }
        EngineError::from_failures(
            "the network between the hosts does not carry the nodes' MTU",
            narrow,
        )?;
        EngineError::from_failures("the VXLAN between the hosts does not work", blocked)?;
        // Reports from or about hosts that failed meanwhile do not count.
        broken.retain(|(from, to)| !self.losses.has_host(from) && !self.losses.has_host(to));
        let order: Vec<HostName> = self.plan.hosts.iter().map(|host| host.name.clone()).collect();
        for (host, others) in drop_out(&order, &broken) {
            let others = crate::nodeset::fold(&others);
            let error = format!("ping fails between `{host}` and {others}");
            self.events.warn(error.clone());
            let hint =
                "check the network between the hosts, and allow ICMP and the VXLAN port in their firewalls";
            let error = UserError::new(ExitCode::ApplyFailed, error).with_hint(hint);
            let failure = Failure::of_host(host, error).at(HostStage::Mtu);
            self.losses.hosts([failure]);
        }
        self.check_interrupt()
    }
}

/// The failure of a host whose VXLAN does not reach some peers, although the network below reaches them.
fn blocked_paths(
    host: &HostName,
    failed: &[OverlayFailure],
    silent: &[HostName],
    network: &NetworkPlan,
    vxlan: &VxlanPlan,
) -> Vec<Failure> {
    let (port, vni, mtu) = (vxlan.port, vxlan.vni, network.mtu);
    let of_network = network::of_network(&network.name);
    let key = network::mtu_key(&network.name);
    let path = |is_silent: bool| {
        let peers: Vec<&HostName> = failed
            .iter()
            .filter(|failure| failure.silent == is_silent && !silent.contains(&failure.peer))
            .map(|failure| &failure.peer)
            .collect();
        if peers.is_empty() {
            return None;
        }
        let (what, hint) = if is_silent {
            (
                "no packets pass",
                format!(
                    "allow UDP port {port} between these hosts in their firewalls, in both directions, and ICMP on \
                     their bridges"
                ),
            )
        } else {
            (
                "only small packets pass",
                format!("set {key} to less than {mtu}, or raise the MTU of the network between the hosts"),
            )
        };
        let peers = crate::nodeset::fold(peers);
        let error = format!(
            "{what} the VXLAN{of_network} between `{host}` and {peers} (UDP port {port}, VNI {vni}, MTU {mtu})"
        );
        let error = UserError::new(ExitCode::ApplyFailed, error).with_hint(hint);
        Some(Failure::of_host(host.clone(), error).at(HostStage::Mtu))
    };
    [true, false].into_iter().filter_map(path).collect()
}

/// How guests run on a host, and why, for people.
fn mode(acceleration: Acceleration, kvm: Option<KvmSupport>) -> &'static str {
    match (acceleration, kvm) {
        (Acceleration::Kvm, _) => "KVM",
        (Acceleration::Tcg, None) => "software emulation (as set in the topology)",
        (Acceleration::Tcg, Some(KvmSupport::NoKernel)) => "software emulation (no kernel to test KVM with)",
        (Acceleration::Tcg, Some(_)) => "software emulation (no working KVM)",
    }
}

/// The error of a host where KVM is required and not known to work.
fn no_kvm(kvm: Option<KvmSupport>) -> UserError {
    let (text, hint) = match kvm {
        Some(KvmSupport::NoKernel) => (
            "no kernel to test KVM with",
            "install the host's kernel as /boot/vmlinuz-$(uname -r), use an image with a kernel of its own (as \
             `micro` has), or set `accel: auto` for this host",
        ),
        _ => (
            "a test guest with KVM did not boot",
            "enable virtualisation in the firmware, or set `accel: auto` for this host",
        ),
    };
    UserError::new(ExitCode::ApplyFailed, text).with_hint(hint)
}
