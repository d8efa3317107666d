//! What `up` knows: the topology, the hosts as they are, and the plan that follows. Changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use indexmap::IndexMap;
use uuid::Uuid;

use super::Args;
use super::past::Past;
use crate::engine::{self, ClaimError, EngineError, Events, Failure, Fleet, Reserve};
use crate::host::{ConnectOptions, ObservedHost};
use crate::image;
use crate::name::{HostName, ImageName};
use crate::plan::{Plan, PlanError, PlanInput, Trouble, plan};
use crate::state::{ClusterDir, ClusterKeys, ClusterRecord};
use crate::topology::{self, Topology};
use crate::units::Moment;

/// A daemon that is being restarted is back within this time.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between attempts to reach a host again.
const PAUSE: Duration = Duration::from_secs(2);

/// What is known of a cluster that is being raised.
pub(super) struct Known {
    pub(super) topology: Topology,
    pub(super) dir: ClusterDir,
    pub(super) record: Option<ClusterRecord>,
    pub(super) keys: ClusterKeys,
    /// The hosts that answer.
    pub(super) fleet: Fleet,
    /// What they hold.
    pub(super) observed: Vec<ObservedHost>,
    /// What they held before this command changed anything.
    pub(super) first: Vec<ObservedHost>,
    /// What failed so far.
    pub(super) past: Past,
    /// The plan to obey.
    pub(super) plan: Plan,
    /// End of the lease that this command gives.
    pub(super) expires: Option<Moment>,
    /// Whether its hosts are claimed: until then nothing is made.
    claimed: AtomicBool,
    cluster_id: Uuid,
    image_keys: IndexMap<ImageName, String>,
    /// Hosts that took part in an earlier round or `up`.
    touched: BTreeSet<HostName>,
}

/// Connects, looks, and plans.
pub(super) async fn look(
    args: &Args,
    topology: Topology,
    dir: &ClusterDir,
    events: &Events,
) -> anyhow::Result<Known> {
    let record = ClusterRecord::load(dir)?;
    let keys = ClusterKeys::load(dir)?.map_or_else(ClusterKeys::generate, Ok)?;
    let mut hosts = topology.hosts.clone();
    // Hosts that left the topology may still hold nodes of ours, which the plan then removes.
    for old in record.iter().flat_map(|record| &record.hosts) {
        if !hosts.iter().any(|host| host.name == old.name) {
            hosts.push(old.to_host());
        }
    }
    let (mut fleet, failures) = Fleet::connect(&hosts, &args.hosts.options(), events).await;
    let answer = fleet.members().len();
    let mut lost = leave_out(&topology, "failed to reach the hosts", failures, answer, events)?;
    let (observed, failures) = fleet.observe(events).await;
    let answer = observed.len();
    lost.extend(leave_out(
        &topology,
        "failed to look at the hosts",
        failures,
        answer,
        events,
    )?);
    fleet.retain(|name| !lost.contains_key(name)).await;
    let adopted = if args.adopt && record.is_none() {
        seen_id(&topology, &observed)
    } else {
        None
    };
    let cluster_id = record
        .as_ref()
        .map(|record| record.id)
        .or(adopted)
        .unwrap_or_else(Uuid::new_v4);
    let mut image_keys = IndexMap::new();
    for (name, image) in &topology.images {
        let key = image::key(image).with_context(|| format!("image `{name}`"))?;
        image_keys.insert(name.clone(), key);
    }
    let trouble = Trouble {
        before: ClusterRecord::load_plan(dir)?,
        ..Trouble::default()
    };
    let input = PlanInput {
        topology: &topology,
        cluster_id,
        image_keys: image_keys.clone(),
        client_key: keys.fingerprint(),
        observed: observed.clone(),
        trouble: trouble.clone(),
    };
    let plan = plan(&input)?;
    // Hosts that had a part before have one until nothing is left there.
    let planned = trouble
        .before
        .iter()
        .flat_map(|plan| &plan.hosts)
        .map(|host| &host.name);
    let stranded = record.iter().flat_map(|record| &record.stranded);
    let touched = planned.chain(stranded).cloned().collect();
    Ok(Known {
        expires: topology.ttl.map(|ttl| Moment::now().after(ttl)),
        claimed: AtomicBool::new(false),
        topology,
        dir: dir.clone(),
        record,
        keys,
        fleet,
        first: observed.clone(),
        observed,
        past: Past::new(lost, trouble),
        plan,
        cluster_id,
        image_keys,
        touched,
    })
}

/// The hosts that do not answer, where the topology can do without some nodes; else they are an error.
fn leave_out(
    topology: &Topology,
    what: &str,
    mut failures: Vec<Failure>,
    answer: usize,
    events: &Events,
) -> Result<BTreeMap<HostName, String>, EngineError> {
    let nodes = topology.nodes.len();
    if topology.min_ready.of(nodes) == nodes || answer == 0 {
        if let Some(failure) = failures.first_mut() {
            let other = "a `min_ready` below 100% lets `up` go on without hosts that do not answer";
            let hint = failure.hint.take();
            failure.hint = Some(hint.map_or_else(|| other.to_owned(), |hint| format!("{hint}; {other}")));
        }
        EngineError::from_failures(what, failures)?;
        return Ok(BTreeMap::new());
    }
    let lost = failures.into_iter().filter_map(|failure| {
        let host = failure.host?;
        events.warn(format!("{host} is left out: {}", failure.error));
        Some((host, failure.error))
    });
    Ok(lost.collect())
}

/// The id of a cluster of this name that the hosts show, if they agree on one.
fn seen_id(topology: &Topology, observed: &[ObservedHost]) -> Option<Uuid> {
    let ids: BTreeSet<Uuid> = observed
        .iter()
        .flat_map(|host| &host.nodes)
        .filter(|node| node.mark.cluster == topology.name)
        .map(|node| node.mark.cluster_id)
        .collect();
    (ids.len() == 1).then(|| ids.into_iter().next()).flatten()
}

impl Known {
    /// How many nodes the cluster can do without.
    pub(super) fn may_miss(&self) -> usize {
        let nodes = self.topology.nodes.len();
        nodes - self.topology.min_ready.of(nodes)
    }

    /// The connected hosts that the plan is about, and those that an earlier round was about: what is
    /// left there of it must go.
    pub(super) fn taking_part(&self) -> Fleet {
        let hosts = self.plan.hosts.iter().map(|host| &host.name);
        let named: BTreeSet<&HostName> = hosts
            .chain(self.plan.actions.iter().map(|action| &action.host))
            .collect();
        // Whatever the plan wants of them: what they hold of the cluster may have to go.
        let target = engine::Target {
            cluster: self.plan.cluster.clone(),
            short_id: Some(Plan::short_id(self.plan.cluster_id)),
        };
        let held = |name: &HostName| {
            let seen = self.observed.iter().find(|host| host.name == *name);
            seen.is_some_and(|seen| engine::found(&target, std::slice::from_ref(seen)) != (0, 0))
        };
        self.fleet
            .only(|name| named.contains(name) || self.touched.contains(name) || held(name))
    }

    /// Takes note that a round begins.
    pub(super) fn begin_round(&mut self) {
        let members: Vec<HostName> = self
            .taking_part()
            .members()
            .iter()
            .map(|member| member.config.name.clone())
            .collect();
        self.touched.extend(members);
    }

    /// Hosts that do not answer and hold something of the cluster, as far as we know.
    pub(super) fn stranded(&self) -> BTreeMap<HostName, String> {
        self.past
            .lost
            .iter()
            .filter(|(host, _)| self.touched.contains(*host))
            .map(|(host, why)| (host.clone(), why.clone()))
            .collect()
    }

    /// Claims what the plan promises on the hosts that take part.
    pub(super) async fn claim(&self) -> Result<(), ClaimError> {
        let reserve = Reserve {
            plan: &self.plan,
            observed: &self.observed,
            // A claim of this command that could not be taken back is none to go back to.
            before: if self.is_claimed() {
                &self.observed
            } else {
                &self.first
            },
            expires: self.expires,
        };
        reserve.run(&self.taking_part()).await?;
        self.claimed.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Whether its hosts are claimed.
    pub(super) fn is_claimed(&self) -> bool {
        self.claimed.load(Ordering::Relaxed)
    }

    /// Makes the plan anew from what is known now.
    pub(super) fn plan_again(&mut self) -> Result<(), PlanError> {
        self.past.trouble.before = Some(self.plan.clone());
        self.replan()
    }

    /// Replaces a plan that was not begun.
    pub(super) fn replan(&mut self) -> Result<(), PlanError> {
        self.plan = plan(&PlanInput {
            topology: &self.topology,
            cluster_id: self.cluster_id,
            image_keys: self.image_keys.clone(),
            client_key: self.keys.fingerprint(),
            observed: self.observed.clone(),
            trouble: self.past.trouble.clone(),
        })?;
        Ok(())
    }

    /// Looks at the hosts again. Those that do not answer are connected to once more; who then is silent
    /// is lost. Returns the hosts whose connection is a new one.
    pub(super) async fn look_again(
        &mut self,
        options: &ConnectOptions,
        events: &Events,
    ) -> BTreeSet<HostName> {
        // The stages of hosts were told when they happened; this is between them.
        let (silence, _) = Events::channel();
        let (mut observed, failures) = self.fleet.observe(&silence).await;
        let silent: Vec<topology::Host> = self
            .fleet
            .members()
            .iter()
            .filter(|member| {
                failures
                    .iter()
                    .any(|failure| failure.host.as_ref() == Some(&member.config.name))
            })
            .map(|member| member.config.clone())
            .collect();
        let (fleet, seen, lost) = reach(silent, options, &silence).await;
        let mut back = BTreeSet::new();
        for host in &seen {
            events.warn(format!(
                "the connection to {} was lost and is made anew",
                host.name
            ));
            back.insert(host.name.clone());
        }
        observed.extend(seen);
        for failure in lost {
            if let Some(host) = failure.host {
                events.warn(format!("{host} is lost: {}", failure.error));
                self.past.lost.insert(host, failure.error);
            }
        }
        let lost = &self.past.lost;
        self.fleet.retain(|name| !lost.contains_key(name)).await;
        self.fleet.join(fleet).await;
        self.observed = observed;
        back
    }
}

/// Connects to hosts anew, for as long as a restart may take.
async fn reach(
    mut hosts: Vec<topology::Host>,
    options: &ConnectOptions,
    events: &Events,
) -> (Fleet, Vec<ObservedHost>, Vec<Failure>) {
    let (mut fleet, mut observed, mut failures) = (Fleet::default(), Vec::new(), Vec::new());
    // They answered a moment ago: one that is there answers soon.
    let options = &ConnectOptions {
        timeout: options.timeout.min(PATIENCE),
        ..*options
    };
    let began = Instant::now();
    while !hosts.is_empty() {
        let (mut reached, unreached) = Fleet::connect(&hosts, options, events).await;
        let (seen, unseen) = reached.observe(events).await;
        failures = unreached;
        failures.extend(unseen);
        hosts.retain(|host| {
            failures
                .iter()
                .any(|failure| failure.host.as_ref() == Some(&host.name))
        });
        reached
            .retain(|name| seen.iter().any(|host| host.name == *name))
            .await;
        fleet.join(reached).await;
        observed.extend(seen);
        if began.elapsed() + PAUSE > PATIENCE {
            break;
        }
        if !hosts.is_empty() {
            tokio::time::sleep(PAUSE).await;
        }
    }
    (fleet, observed, failures)
}
