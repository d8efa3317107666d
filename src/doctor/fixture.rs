//! A small, healthy world for the tests of the checks.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::Path as FilePath;
use std::time::Duration;

use uuid::Uuid;

use super::evidence::{Clock, Controller, Evidence, HostEvidence, OverlayPath, Path};
use super::machine::Machine;
use super::machine::tests::HEALTHY;
use crate::base::name::{ClusterName, HostName};
use crate::base::units::MiB;
use crate::inventory::{HostFacts, ObservedHost, ShortId};
use crate::plan::{ImageFacts, KnownFailures, PlanInput, plan};
use crate::topology::Topology;

/// Evidence that a test may change.
pub(super) struct World {
    pub(super) topology: Topology,
    pub(super) hosts: Vec<HostEvidence>,
    pub(super) controller: Controller,
    pub(super) tried: Option<(u32, usize)>,
    pub(super) paths: Vec<Path>,
    pub(super) overlay_pairs: usize,
    pub(super) overlays: Vec<OverlayPath>,
    pub(super) known: BTreeSet<(ClusterName, ShortId)>,
}

impl World {
    /// Hosts `bm1`, ... with 8 threads and 64 GiB each, and this many nodes in one group.
    pub(super) fn new(hosts: usize, nodes: usize) -> Self {
        let places = nodes.div_ceil(hosts).max(10);
        // The default of 10 nodes per host, so that a test can exceed it.
        let places = if nodes > hosts * 10 && nodes < 100 {
            10
        } else {
            places
        };
        let text = format!(
            "name: demo\nhosts:\n  bm[1-{hosts}]: {{ uri: \"qemu+ssh://root@{{{{name}}}}/system\", max_nodes: {places}, overcommit: 100 }}\n\
             groups:\n  n: {{ count: {nodes}, place: spread }}\n"
        );
        let text = text.replace("bm[1-1]", "bm1");
        let topology =
            Topology::parse(&text, "test.yaml", FilePath::new("/")).unwrap_or_else(|error| panic!("{error}"));
        let machine = Machine::read(HEALTHY).map(|machine| Machine {
            foreign_links: Vec::new(),
            forward_drop: false,
            ..machine
        });
        let evidence = topology
            .hosts
            .iter()
            .zip(1..)
            .map(|(config, number)| HostEvidence {
                config: config.clone(),
                failures: Vec::new(),
                local: false,
                machine: machine.clone(),
                seen: Some(seen(&config.name, number)),
                kvm: Some(true),
                clock: Some(Clock {
                    apart: Duration::from_millis(3),
                    bound: Duration::from_millis(2),
                }),
            });
        Self {
            hosts: evidence.collect(),
            topology,
            controller: Controller {
                files: 1 << 20,
                files_hard: 1 << 20,
                neighbours: 2,
                thresholds: Some((512, 1024)),
                ssh: Some("OpenSSH_9.2p1".into()),
            },
            tried: None,
            paths: Vec::new(),
            overlay_pairs: 0,
            overlays: Vec::new(),
            known: BTreeSet::new(),
        }
    }

    /// The evidence with a fresh plan.
    pub(super) fn evidence(&self) -> Evidence<'_> {
        let observed: Vec<ObservedHost> = self.hosts.iter().filter_map(|host| host.seen.clone()).collect();
        let input = PlanInput {
            topology: &self.topology,
            cluster_id: Uuid::from_u128(2),
            images: std::iter::once(("micro".parse().unwrap(), ImageFacts::of_key("k"))).collect(),
            client_key: "SHA256:x".into(),
            observed,
            known_failures: KnownFailures::default(),
        };
        let plan = (!input.observed.is_empty()).then(|| plan(&input));
        Evidence {
            topology: &self.topology,
            plan,
            controller: self.controller.clone(),
            hosts: self.hosts.clone(),
            tried: self.tried,
            paths: self.paths.clone(),
            overlay_pairs: self.overlay_pairs,
            overlays: self.overlays.clone(),
            known: self.known.clone(),
        }
    }
}

fn seen(name: &HostName, number: u32) -> ObservedHost {
    let mut seen = ObservedHost::empty(name.clone());
    seen.facts = HostFacts {
        memory_available: MiB(60 * 1024),
        underlay: Some(Ipv4Addr::from(0xc000_0200 + number).into()),
        underlay_mtu: Some(1500),
        kvm: Some(true),
        ..seen.facts
    };
    seen
}
