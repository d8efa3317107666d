//! Gathers the evidence from all hosts at once; a failure on one host is recorded and stops nothing.
//! Changes nothing on the hosts.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use uuid::Uuid;

use super::evidence::{Controller, Evidence};
use super::pings::{overlays, paths};
use super::visit::visit;
use crate::base::event::Events;
use crate::base::name::{ClusterName, ImageName};
use crate::engine::{HOSTS_AT_ONCE, Pending};
use crate::host::{ConnectOptions, Connection};
use crate::inventory::{ObservedHost, ShortId};
use crate::plan::{ImageFacts, PlanInput, plan};
use crate::topology::Topology;

/// The URI of this machine.
pub(super) const LOCAL_URI: &str = "qemu:///system";
/// What the examination needs.
#[derive(Clone, Debug)]
pub struct Examination<'a> {
    /// The topology.
    pub topology: &'a Topology,
    /// The cluster's id.
    pub cluster_id: Uuid,
    /// What is known of its images.
    pub images: IndexMap<ImageName, ImageFacts>,
    /// Fingerprint of the cluster's client key.
    pub client_key: String,
    /// Clusters that have a record here: name and short id.
    pub known: BTreeSet<(ClusterName, ShortId)>,
    /// Options of the connections, such as timeouts.
    pub options: ConnectOptions,
}

/// Gathers the evidence. The events only name the hosts that are waited for.
pub async fn examine<'a>(examination: &Examination<'a>, events: &Events) -> Evidence<'a> {
    let mut visits = Pending::each(
        events,
        "an answer from",
        HOSTS_AT_ONCE,
        &examination.topology.hosts,
        |config| &config.name,
        |config| visit(config, &examination.options),
    )
    .await;
    let observed: Vec<ObservedHost> = visits
        .iter()
        .filter_map(|visit| visit.evidence.seen.clone())
        .collect();
    let plan = (!observed.is_empty()).then(|| {
        plan(&PlanInput {
            topology: examination.topology,
            cluster_id: examination.cluster_id,
            images: examination.images.clone(),
            client_key: examination.client_key.clone(),
            observed,
            known_failures: crate::plan::KnownFailures::default(),
        })
    });
    let good_plan = plan.as_ref().and_then(|plan| plan.as_ref().ok());
    let (tried, paths) = paths(examination.topology, good_plan, &mut visits, events).await;
    let (overlay_pairs, overlays) = match good_plan {
        Some(plan) => overlays(plan, &mut visits, events).await,
        None => (0, Vec::new()),
    };
    let mut hosts = Vec::with_capacity(visits.len());
    for visit in visits {
        if let Some(host) = visit.host {
            host.close().await;
        } else if let Some(login) = visit.login {
            login.close().await;
        }
        hosts.push(visit.evidence);
    }
    Evidence {
        topology: examination.topology,
        plan,
        controller: controller(),
        hosts,
        tried,
        paths,
        overlay_pairs,
        overlays,
        known: examination.known.clone(),
    }
}

/// Examines this machine as the controller.
fn controller() -> Controller {
    use nix::sys::resource::{Resource, getrlimit};
    let (files, files_hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((u64::MAX, u64::MAX));
    let number = |name: &str| -> Option<u64> {
        let text = std::fs::read_to_string(format!("/proc/sys/net/ipv4/neigh/default/{name}")).ok()?;
        text.trim().parse().ok()
    };
    let neighbours = std::fs::read_to_string("/proc/net/arp").unwrap_or_default();
    Controller {
        files,
        files_hard,
        // The first line is the heading.
        neighbours: neighbours.lines().count().saturating_sub(1) as u64,
        thresholds: number("gc_thresh2").zip(number("gc_thresh3")),
        ssh: ssh_version(),
    }
}

/// The version of the OpenSSH client: it prints `OpenSSH_9.2p1 Debian-2, OpenSSL 3.0.19` on standard error.
fn ssh_version() -> Option<String> {
    let output = std::process::Command::new("ssh").arg("-V").output().ok()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let version = text.split([' ', ',']).next()?.trim();
    output.status.success().then(|| version.to_owned())
}
