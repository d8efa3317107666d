//! What every host needs before its first guest: network, pools and images, the proofs of KVM and of the MTU.

use std::collections::{BTreeSet, HashMap};

use futures::StreamExt;

use super::apply::Round;
use super::event::{Event, HostStage};
use super::failure::{EngineError, Failure};
use super::fleet::split;
use super::losses::cut_off;
use crate::host::{Acceleration, Cause, DiskFormat, HostImage, ImagePart, Packed, PartRole};
use crate::image::{BuiltImage, Format, ImageFile, Role};
use crate::name::{HostName, ImageName, NodeName};
use crate::topology::Accel;

impl Round<'_> {
    pub(super) async fn networks(&self) -> Result<(), EngineError> {
        let done = self
            .used()
            .stage(HostStage::Network, self.events, |member| async move {
                // The directory says whose everything else is, so it comes before everything else.
                let keep = self.nodes_of(&member.config.name);
                let made = member.host.ensure_pools(self.plan, &keep).await?;
                let change = member.host.ensure_network(self.plan).await?;
                for note in change.notes {
                    self.events.warn(format!("{}: {note}", member.config.name));
                }
                Ok((made || change.changed, ()))
            })
            .await;
        self.losses.hosts(split(done).1);
        self.go_on()
    }

    /// The nodes that are planned on a host, and those of the cluster that were seen there: one of these may still be
    /// there if its removal failed.
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

    /// Every image on every host that starts nodes of it.
    pub(super) async fn host_images(
        &self,
        starting: &BTreeSet<(&HostName, &ImageName)>,
    ) -> Result<HashMap<(HostName, ImageName), HostImage>, EngineError> {
        let parts: HashMap<&ImageName, Vec<ImagePart>> = self
            .images
            .iter()
            .map(|(name, image)| (name, parts(image)))
            .collect();
        let parts = &parts;
        let done = self
            .used()
            .stage(HostStage::Image, self.events, |member| async move {
                let host = &member.config.name;
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
        let (images, failures) = split(done);
        self.losses.hosts(failures);
        self.go_on()?;
        Ok(images.into_iter().flatten().collect())
    }

    pub(super) async fn accelerations(
        &self,
        images: &HashMap<(HostName, ImageName), HostImage>,
    ) -> Result<HashMap<HostName, Acceleration>, EngineError> {
        let mut chosen = HashMap::new();
        let mut failures = Vec::new();
        let starting: BTreeSet<&HostName> = images.keys().map(|(host, _)| host).collect();
        let used = self.fleet.only(|name| starting.contains(name));
        let members = used.members().iter();
        let answers: Vec<_> = futures::stream::iter(members)
            .map(|member| async move {
                let name = &member.config.name;
                if member.config.accel == Accel::Tcg {
                    return (name, Ok(false));
                }
                // An image with a kernel of its own makes the shortest proof.
                let mut here: Vec<&HostImage> = images
                    .iter()
                    .filter(|((host, _), _)| host == name)
                    .map(|(_, image)| image)
                    .collect();
                here.sort_by_key(|image| (image.kernel.is_none(), &image.key));
                match here.first() {
                    Some(image) => (name, member.host.prove_kvm(self.plan, image).await),
                    None => (name, Ok(false)),
                }
            })
            .buffer_unordered(64)
            .collect()
            .await;
        for (name, answer) in answers {
            let wanted = self
                .fleet
                .get(name)
                .map_or(Accel::Auto, |member| member.config.accel);
            match (answer, wanted) {
                (Ok(true), _) => {
                    chosen.insert(name.clone(), Acceleration::Kvm);
                }
                (Ok(false), Accel::Auto | Accel::Tcg) => {
                    chosen.insert(name.clone(), Acceleration::Tcg);
                }
                (Ok(false), Accel::Kvm) => failures.push(Failure {
                    host: Some(name.clone()),
                    node: None,
                    error: "a test guest with KVM did not boot".into(),
                    hint: Some(
                        "enable virtualisation in the firmware, or set `accel: auto` for this host".into(),
                    ),
                }),
                (Err(error), _) => failures.push(Failure::of_host(name.clone(), error)),
            }
        }
        self.losses.hosts(failures);
        self.go_on()?;
        let of = |wanted| {
            let mut hosts: Vec<&str> = chosen
                .iter()
                .filter(|(_, kind)| **kind == wanted)
                .map(|(host, _)| host.as_str())
                .collect();
            hosts.sort_unstable();
            hosts
        };
        for (kind, text) in [
            (Acceleration::Kvm, "KVM"),
            (Acceleration::Tcg, "software emulation (no working KVM)"),
        ] {
            let hosts = of(kind);
            if !hosts.is_empty() {
                self.events.note(format!(
                    "guests run with {text} on {}",
                    crate::nodeset::fold(hosts)
                ));
            }
        }
        Ok(chosen)
    }

    /// Hosts that nobody reaches drop out. One that is reached but not with full packets is no host that
    /// fails: the MTU is wrong, and would be with other hosts as well.
    pub(super) async fn path_mtu(&self) -> Result<(), EngineError> {
        if self.plan.network.vxlan.is_none() {
            return Ok(());
        }
        let used = self.used();
        let among: BTreeSet<HostName> = used
            .members()
            .iter()
            .map(|member| member.config.name.clone())
            .collect();
        let among = &among;
        let done = used
            .stage(HostStage::Mtu, self.events, |member| async move {
                let silent = member.host.prove_mtu(self.plan, among).await?;
                Ok((false, (member.config.name.clone(), silent)))
            })
            .await;
        let mut narrow = Vec::new();
        let mut broken = Vec::new();
        for (host, result) in done {
            match result {
                Ok((host, silent)) => broken.extend(silent.into_iter().map(|peer| (host.clone(), peer))),
                Err(error) if matches!(error.cause, Cause::Path(_)) => {
                    narrow.push(Failure::of_host(host, error));
                }
                Err(error) => self.losses.hosts([Failure::of_host(host, error)]),
            }
        }
        EngineError::from_failures(
            "the network between the hosts does not carry the nodes' MTU",
            narrow,
        )?;
        // Who died meanwhile is no witness, and is not blamed twice.
        broken.retain(|(from, to)| !self.losses.has_host(from) && !self.losses.has_host(to));
        let order: Vec<HostName> = self.plan.hosts.iter().map(|host| host.name.clone()).collect();
        for (host, others) in cut_off(&order, &broken) {
            let others = crate::nodeset::fold(&others);
            let error = format!("no ping gets through between `{host}` and {others}");
            self.events.warn(error.clone());
            self.losses.hosts([Failure {
                host: Some(host),
                node: None,
                error,
                hint: Some("see that the hosts reach each other, and let ICMP and the VXLAN port through their firewalls".into()),
            }]);
        }
        self.go_on()
    }
}

/// The files of a built image, as a host takes them.
fn parts(image: &BuiltImage) -> Vec<ImagePart> {
    let part = |file: &ImageFile| ImagePart {
        role: match file.role {
            Role::Kernel => PartRole::Kernel,
            Role::Initrd => PartRole::Initrd,
            Role::Disk => PartRole::Disk,
        },
        path: file.path.clone(),
        sha256: file.sha256.clone(),
        size: file.size,
        format: match file.format {
            Format::Raw => DiskFormat::Raw,
            Format::Qcow2 => DiskFormat::Qcow2,
        },
        packed: Packed::default(),
    };
    image.files.iter().map(part).collect()
}
