//! What every host needs before its first guest: network, pools and images, and checks of KVM and the MTU.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::apply::Round;
use super::failure::EngineError;
use super::fleet::{HOSTS_AT_ONCE, Member, split};
use super::pending::Pending;
use crate::base::event::{Event, HostStage};
use crate::base::exit::ExitCode;
use crate::base::failure::{Failure, UserError};
use crate::base::name::{HostName, ImageName, NodeName};
use crate::host::{Cause, HostError, HostImage, ImagePart};
use crate::inventory::KvmSupport;
use crate::network::{Wanted, mtu_peers};
use crate::plan::{Acceleration, HostPlan, acceleration, drop_out};
use crate::topology::Accel;

impl Round<'_> {
    pub(super) async fn networks(&self) -> Result<(), EngineError> {
        let done = self
            .used()
            .stage(HostStage::Network, self.events, |member| async move {
                // The directory records the owner of everything else, so it comes first.
                let keep = self.nodes_of(&member.endpoint.name);
                let made = member
                    .host
                    .ensure_pools(&self.plan.cluster, self.plan.cluster_id, &keep)
                    .await?;
                let name = &member.endpoint.name;
                let wanted = Wanted::new(self.plan, name)
                    .map_err(|error| HostError::new(name, "create the network", error.into()))?;
                let change = member.host.ensure_network(&wanted).await?;
                for note in change.notes {
                    self.events.warn(format!("{}: {note}", member.endpoint.name));
                }
                Ok((made || change.changed, ()))
            })
            .await;
        self.losses.hosts(split(HostStage::Network, done).1);
        self.check_interrupt()
    }

    /// The nodes that are planned on a host, and those of the cluster that were observed there: one of these may still
    /// exist if its removal failed.
    fn nodes_of(&self, host: &HostName) -> BTreeSet<&NodeName> {
        let planned = self.plan.nodes.iter().filter(|node| node.host == *host);
        let seen = self.observed.iter().filter(|seen| seen.name == *host);
        let marks = seen.flat_map(|seen| &seen.nodes).map(|node| &node.mark);
        planned
            .map(|node| &node.name)
            .chain(
                marks
                    .filter(|mark| mark.cluster_id == self.plan.cluster_id)
                    .map(|mark| &mark.node),
            )
            .collect()
    }

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
        Ok(chosen)
    }

    /// Unreachable hosts drop out. If only full-size packets are lost, the host is not at fault: the MTU is wrong, and
    /// would be with other hosts as well.
    pub(super) async fn path_mtu(&self) -> Result<(), EngineError> {
        if self.plan.network.vxlan.is_none() {
            return Ok(());
        }
        let used = self.used();
        let among: BTreeSet<HostName> = used
            .members()
            .iter()
            .map(|member| member.endpoint.name.clone())
            .collect();
        let among = &among;
        let done = used
            .stage(HostStage::Mtu, self.events, |member| async move {
                let peers = mtu_peers(self.plan, &member.endpoint.name, |peer| among.contains(peer));
                let silent = member.host.prove_mtu(self.plan.network.mtu, &peers).await?;
                Ok((false, (member.endpoint.name.clone(), silent)))
            })
            .await;
        let mut narrow = Vec::new();
        let mut broken = Vec::new();
        for (host, result) in done {
            match result {
                Ok((host, silent)) => broken.extend(silent.into_iter().map(|peer| (host.clone(), peer))),
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
