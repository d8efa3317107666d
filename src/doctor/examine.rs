//! Gathers the evidence from all hosts at once; a failure on one host is recorded and stops nothing.
//! Changes nothing on the hosts.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use indexmap::IndexMap;
use uuid::Uuid;

use super::evidence::{Clock, Controller, Evidence, HostEvidence, Path, ProbeError, Stage};
use super::machine::{self, Machine};
use crate::base::event::Events;
use crate::base::failure::{UserFacing, explain};
use crate::base::failure_kind::FailureKind;
use crate::base::name::{ClusterName, HostName, ImageName};
use crate::engine::{HOSTS_AT_ONCE, Pending};
use crate::host::{Cause, ConnectOptions, Connection, Host, HostError, HostLogin, Observation};
use crate::inventory::{ObservedHost, ShortId};
use crate::network::{self, OverlayFailure};
use crate::plan::{ImageFacts, Plan, PlanError, PlanInput, plan};
use crate::topology::{self, Topology};

/// The URI of this machine.
pub(super) const LOCAL_URI: &str = "qemu:///system";
/// Peers that one host pings at the same time.
const PINGS: usize = 16;
/// How often a host's clock is read; the fastest answer counts.
const CLOCKS: usize = 3;
/// MTU of Ethernet, used if a host's own is unknown.
const ETHERNET: u32 = 1500;

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

/// A host under examination.
struct Visit {
    evidence: HostEvidence,
    login: Option<HostLogin>,
    host: Option<Host>,
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
    let (tried, paths) = paths(examination.topology, plan.as_ref(), &mut visits, events).await;
    let (overlay_pairs, overlays) = match &plan {
        Some(Ok(plan)) => overlays(plan, &mut visits, events).await,
        _ => (0, Vec::new()),
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

async fn visit(config: &topology::Host, options: &ConnectOptions) -> Visit {
    let mut visit = Visit {
        evidence: HostEvidence {
            config: config.clone(),
            failures: Vec::new(),
            local: false,
            machine: None,
            seen: None,
            kvm: None,
            clock: None,
        },
        login: None,
        host: None,
    };
    let login = match HostLogin::open(&config.endpoint(), options).await {
        Ok(login) => login,
        Err(error) => {
            visit.failed(Stage::Login, &error);
            return visit;
        }
    };
    visit.evidence.local = login.is_local();
    visit.login = Some(login.clone());
    match login.script("examine the machine", &machine::script()).await {
        Ok(output) => {
            visit.evidence.machine = Machine::read(&output);
            if visit.evidence.machine.is_none() {
                visit.evidence.failures.push(ProbeError {
                    stage: Stage::Examine,
                    error: "cannot parse the output of the examination".into(),
                    hint: None,
                    denied: false,
                });
            }
        }
        Err(error) => {
            visit.failed(Stage::Examine, &error);
            return visit;
        }
    }
    visit.evidence.clock = clock(&login).await;
    let host = match login.libvirt().await {
        Ok(host) => host,
        Err(error) => {
            visit.failed(Stage::Libvirt, &error);
            return visit;
        }
    };
    match host.observe().await {
        Ok(seen) => {
            visit.evidence.kvm = seen.facts.kvm;
            visit.evidence.seen = Some(seen);
        }
        Err(error) => visit.failed(Stage::Libvirt, &error),
    }
    visit.host = Some(host);
    visit
}

impl Visit {
    fn failed(&mut self, stage: Stage, error: &HostError) {
        let cause = match &error.cause {
            // Its own text names the host as in the URI, which is what the user needs.
            Cause::Ssh(error) => explain(error.as_ref()),
            cause => cause.to_string(),
        };
        self.evidence.failures.push(ProbeError {
            stage,
            error: format!("cannot {}: {cause}", error.doing),
            hint: error.hint(),
            denied: error.kind() == FailureKind::NotAllowed,
        });
    }
}

/// Reads the host's clock and compares it with the middle of the round trip.
async fn clock(login: &HostLogin) -> Option<Clock> {
    let mut best: Option<Clock> = None;
    for _ in 0..CLOCKS {
        let (before, began) = (SystemTime::now(), Instant::now());
        let output = login.script("read the clock", "date +%s.%N\n").await.ok()?;
        let bound = began.elapsed() / 2;
        let middle = before.duration_since(UNIX_EPOCH).ok()? + bound;
        let apart = read_time(&output)?.abs_diff(middle);
        if best.is_none_or(|best| bound < best.bound) {
            best = Some(Clock { apart, bound });
        }
    }
    best
}

/// `1763844000.123456789`.
fn read_time(text: &str) -> Option<Duration> {
    let (seconds, nanos) = text.trim().split_once('.')?;
    let nanos = nanos.parse().ok().filter(|nanos| *nanos < 1_000_000_000)?;
    Some(Duration::new(seconds.parse().ok()?, nanos))
}

/// Pings between all pairs of hosts, from all hosts at once.
async fn paths(
    topology: &Topology,
    plan: Option<&Result<Plan, PlanError>>,
    visits: &mut [Visit],
    events: &Events,
) -> (Option<(u32, usize)>, Vec<Path>) {
    let underlay = |visit: &Visit| {
        let facts = &visit.evidence.seen.as_ref()?.facts;
        Some((
            visit.evidence.config.name.clone(),
            facts.underlay?,
            facts.underlay_mtu,
        ))
    };
    let all: Vec<_> = visits.iter().filter_map(underlay).collect();
    if topology.network.bridge.is_some() || all.len() < 2 {
        return (None, Vec::new());
    }
    let narrowest = all
        .iter()
        .map(|(_, address, mtu)| {
            mtu.unwrap_or(ETHERNET)
                .saturating_sub(crate::plan::overhead(*address))
        })
        .min()
        .unwrap_or(ETHERNET);
    let mtu = match plan {
        Some(Ok(plan)) => plan.network.mtu,
        _ => topology.network.mtu.unwrap_or(narrowest),
    };
    let with_login = visits.iter().filter(|visit| visit.login.is_some());
    let names = with_login.map(|visit| &visit.evidence.config.name);
    let pending = Pending::new("the pings to the other hosts from", names);
    let all = &all;
    let results = pending
        .each_of(
            events,
            HOSTS_AT_ONCE,
            visits.iter(),
            |visit| &visit.evidence.config.name,
            |visit| async move {
                let from = &visit.evidence.config.name;
                let login = visit.login.as_ref()?;
                let peers: Vec<(&HostName, _)> = all
                    .iter()
                    .filter(|(name, ..)| name != from)
                    .map(|(name, address, _)| (name, *address))
                    .collect();
                Some(ping(login, from, mtu, &peers).await)
            },
        )
        .await;
    let mut paths = Vec::new();
    let mut ways = 0;
    for (visit, result) in visits.iter_mut().zip(results) {
        match result {
            Some(Ok((tried, mut failed))) => {
                ways += tried;
                paths.append(&mut failed);
            }
            Some(Err(error)) => visit.failed(Stage::Paths, &error),
            None => {}
        }
    }
    (Some((mtu, ways)), paths)
}

async fn ping(
    login: &HostLogin,
    from: &HostName,
    mtu: u32,
    peers: &[(&HostName, std::net::IpAddr)],
) -> Result<(usize, Vec<Path>), HostError> {
    let mut failed = Vec::new();
    for some in peers.chunks(PINGS) {
        let script = network::mtu_script(mtu, some);
        let output = login.script("ping the other hosts", &script).await?;
        failed.extend(
            network::read_mtu(&output, mtu, some)
                .into_iter()
                .map(|failure| Path {
                    from: from.clone(),
                    failure,
                }),
        );
    }
    Ok((peers.len(), failed))
}

/// Pings through the VXLAN of the cluster between the hosts that have it already, from all of them at once.
async fn overlays(
    plan: &Plan,
    visits: &mut [Visit],
    events: &Events,
) -> (usize, Vec<(HostName, OverlayFailure)>) {
    let Some(vxlan) = &plan.network.vxlan else {
        return (0, Vec::new());
    };
    let has_it = |visit: &&Visit| {
        let mut objects = visit.evidence.seen.iter().flat_map(|seen| &seen.objects);
        visit.login.is_some() && objects.any(|object| object.name == vxlan.device)
    };
    let with_it: BTreeSet<HostName> = visits
        .iter()
        .filter(has_it)
        .map(|visit| visit.evidence.config.name.clone())
        .collect();
    if with_it.len() < 2 {
        return (0, Vec::new());
    }
    let with_it = &with_it;
    let results = Pending::new("the pings through the VXLAN from", with_it.iter())
        .each_of(
            events,
            HOSTS_AT_ONCE,
            visits.iter(),
            |visit| &visit.evidence.config.name,
            |visit| async move {
                let from = &visit.evidence.config.name;
                let login = visit.login.as_ref()?;
                let peers = network::overlay_peers(plan, from, |host| with_it.contains(host));
                if peers.is_empty() {
                    return None;
                }
                let script = network::overlay_script(&plan.network, &peers);
                let output = login.script("ping through the VXLAN", &script).await;
                Some(output.map(|output| (peers.len(), network::read_overlay(&output, &peers))))
            },
        )
        .await;
    let (mut pairs, mut failed) = (0, Vec::new());
    for (visit, result) in visits.iter_mut().zip(results) {
        match result {
            Some(Ok((tried, failures))) => {
                pairs += tried;
                let from = &visit.evidence.config.name;
                failed.extend(failures.into_iter().map(|failure| (from.clone(), failure)));
            }
            Some(Err(error)) => visit.failed(Stage::Overlay, &error),
            None => {}
        }
    }
    (pairs, failed)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_host_is_parsed_or_rejected() {
        assert_eq!(read_time("12.000000005\n"), Some(Duration::new(12, 5)));
        for bad in ["", "12", "12.%N", "-1.5", "1.9999999999", "x.y"] {
            assert_eq!(read_time(bad), None, "{bad}");
        }
    }

    #[tokio::test]
    async fn the_clock_of_this_machine_is_its_own() {
        let text = "name: x\ngroups: { n: { count: 1 } }\n";
        let topology = Topology::parse(text, "t.yaml", std::path::Path::new("/")).unwrap();
        let login = HostLogin::open(&topology.hosts[0].endpoint(), &ConnectOptions::default())
            .await
            .unwrap();
        // Without root no script runs, so there is no result.
        if let Some(clock) = clock(&login).await {
            assert!(
                clock.apart <= clock.bound + Duration::from_millis(50),
                "{clock:?}"
            );
        }
    }
}
