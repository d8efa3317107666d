//! The situation of an `up`: the topology, the observed hosts, and the resulting plan. Changes nothing except the
//! claims.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use indexmap::IndexMap;
use uuid::Uuid;

use super::found::{Found, Search};
use super::guests::Look;
use super::hosts::current_and_former;
use super::options::PlanOptions;
use crate::base::event::Events;
use crate::base::failure::Failure;
use crate::base::name::{HostName, ImageName, NodeName};
use crate::base::patience::patience;
use crate::base::units::Moment;
use crate::engine::{self, ClaimAll, ClaimError, Fleet};
use crate::host::Access;
use crate::image::{self, BuiltImage};
use crate::inventory::{HostEndpoint, ObservedHost};
use crate::plan::retry::RetryState;
use crate::plan::{
    FailedNode, ImageFacts, KnownFailures, MissingNode, Plan, PlanError, PlanInput, Scope, plan,
};
use crate::state::{ClusterDir, ClusterKeys, ClusterRecord};
use crate::topology::Topology;

/// Time for a restarting daemon to come back.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pause between attempts to reconnect to a host.
const PAUSE: Duration = Duration::from_secs(2);

/// The situation of a cluster that is being raised.
pub struct Situation {
    /// The topology.
    pub(crate) topology: Topology,
    /// The cluster's directory on the controller.
    pub(crate) dir: ClusterDir,
    /// Its record, if it was raised before.
    pub(crate) record: Option<ClusterRecord>,
    /// Its keys.
    pub(crate) keys: ClusterKeys,
    /// The reachable hosts.
    pub(crate) fleet: Fleet,
    /// Their observed state.
    pub(crate) observed: Vec<ObservedHost>,
    /// Their state before this command changed anything.
    pub(crate) first: Vec<ObservedHost>,
    /// What failed so far.
    pub(crate) retry: RetryState,
    /// The plan to apply.
    pub plan: Plan,
    /// The end of the lease that this command sets.
    pub(crate) expires: Option<Moment>,
    /// Whether its hosts are claimed: nothing is created before that.
    claimed: bool,
    /// Whether a claim may still be on a host, although claiming failed.
    stuck: bool,
    cluster_id: Uuid,
    images: IndexMap<ImageName, ImageFacts>,
    /// The nodes that the command is limited to.
    scope: Option<Scope>,
    /// Unreachable hosts without any of these nodes: they and their nodes stay as they are.
    idle: BTreeSet<HostName>,
    /// Hosts that took part in an earlier round or `up`.
    touched: BTreeSet<HostName>,
}

/// Connects to the hosts, observes them, and plans.
pub(crate) async fn observe(
    options: &PlanOptions,
    topology: Topology,
    dir: &ClusterDir,
    events: &Events,
) -> anyhow::Result<Situation> {
    let record = ClusterRecord::load(dir)?;
    let keys = ClusterKeys::load(dir)?.map_or_else(ClusterKeys::generate, Ok)?;
    let hosts = current_and_former(&topology, record.as_ref());
    let before = ClusterRecord::load_plan(dir)?;
    let search = Search {
        topology: &topology,
        before: before.as_ref(),
        scope: options.scope.as_ref(),
        access: &options.connect,
        events,
    };
    let Found {
        fleet,
        observed,
        lost,
        idle,
    } = search.run(&hosts).await?;
    let adopted = if options.adopt && record.is_none() {
        seen_id(&topology, &observed)
    } else {
        None
    };
    let cluster_id = record
        .as_ref()
        .map(|record| record.id)
        .or(adopted)
        .unwrap_or_else(Uuid::new_v4);
    let images = image_facts(&topology, events).await?;
    let known_failures = KnownFailures {
        due: options.scope.as_ref().map(Scope::due).unwrap_or_default(),
        // What concerns only some nodes does not try again to create those that are missing.
        failed: match (&options.scope, &before) {
            (Some(_), Some(before)) => before.missing.iter().map(given_up).collect(),
            _ => BTreeMap::new(),
        },
        before,
        ..KnownFailures::default()
    };
    let input = PlanInput {
        topology: &topology,
        cluster_id,
        images: images.clone(),
        client_key: keys.fingerprint(),
        observed: observed.clone(),
        known_failures: known_failures.clone(),
    };
    let plan = limited_plan(input, options.scope.as_ref(), &idle)?;
    let mut situation = Situation {
        expires: match (&options.scope, &record) {
            // What concerns only some nodes does not change the lease.
            (Some(_), Some(record)) => record.expires,
            _ => topology.ttl.map(|ttl| Moment::now().after(ttl)),
        },
        scope: options.scope.clone(),
        idle,
        claimed: false,
        stuck: false,
        touched: took_part(known_failures.before.as_ref(), record.as_ref()),
        topology,
        dir: dir.clone(),
        record,
        keys,
        fleet,
        first: observed.clone(),
        observed,
        retry: RetryState::new(lost, known_failures),
        plan,
        cluster_id,
        images,
    };
    if situation.scope.is_none() {
        situation.look_at_nodes(options, events).await?;
    }
    Ok(situation)
}

/// The plan from what is known, limited to the nodes that the command may change.
fn limited_plan(
    input: PlanInput<'_>,
    scope: Option<&Scope>,
    idle: &BTreeSet<HostName>,
) -> Result<Plan, PlanError> {
    match scope {
        Some(scope) => scope.plan(input, idle),
        None => plan(&input),
    }
}

/// A node that the cluster does without.
fn given_up(missing: &MissingNode) -> (NodeName, FailedNode) {
    let failed = FailedNode {
        why: missing.reason.clone(),
        given_up: true,
        ..FailedNode::default()
    };
    (missing.node.clone(), failed)
}

/// What is known of each image.
pub(super) async fn image_facts(
    topology: &Topology,
    events: &Events,
) -> anyhow::Result<IndexMap<ImageName, ImageFacts>> {
    let mut all = IndexMap::new();
    for (name, image) in &topology.images {
        let facts = image::facts(image, events).await;
        let facts = facts.with_context(|| format!("image `{name}`"))?;
        all.insert(name.clone(), facts);
    }
    Ok(all)
}

/// Hosts that took part before: they still take part until nothing is left there.
fn took_part(before: Option<&Plan>, record: Option<&ClusterRecord>) -> BTreeSet<HostName> {
    let planned = before.iter().flat_map(|plan| &plan.hosts).map(|host| &host.name);
    let stranded = record.iter().flat_map(|record| &record.stranded);
    planned.chain(stranded).cloned().collect()
}

/// The id of the cluster of this name on the hosts, if there is only one.
fn seen_id(topology: &Topology, observed: &[ObservedHost]) -> Option<Uuid> {
    let ids: BTreeSet<Uuid> = observed
        .iter()
        .flat_map(|host| &host.nodes)
        .filter(|node| node.mark.cluster == topology.name)
        .map(|node| node.mark.cluster_id)
        .collect();
    (ids.len() == 1).then(|| ids.into_iter().next()).flatten()
}

impl Situation {
    /// Closes the connections to the hosts.
    pub async fn close(self) {
        self.fleet.close().await;
    }

    /// How many nodes may be missing.
    pub(crate) fn may_miss(&self) -> usize {
        let nodes = self.topology.nodes.len();
        nodes - self.topology.min_ready.of(nodes)
    }

    /// The connected hosts of the plan and of earlier rounds, whose leftovers must be removed.
    pub(crate) fn taking_part(&self) -> Fleet {
        let hosts = self.plan.hosts.iter().map(|host| &host.name);
        let named: BTreeSet<&HostName> = hosts
            .chain(self.plan.actions.iter().map(|action| &action.host))
            .collect();
        // Even without a part in the plan, a host's objects of the cluster may have to be removed.
        let target = engine::Target::of(self.plan.cluster_ref());
        let held = |name: &HostName| target.is_on(name, &self.observed);
        self.fleet
            .only(|name| named.contains(name) || self.touched.contains(name) || held(name))
    }

    /// Records that a round begins.
    pub(crate) fn begin_round(&mut self) {
        let members: Vec<HostName> = self
            .taking_part()
            .members()
            .iter()
            .map(|member| member.endpoint.name.clone())
            .collect();
        self.touched.extend(members);
    }

    /// Unreachable hosts that, as far as known, have objects of the cluster.
    pub(crate) fn stranded(&self) -> BTreeMap<HostName, String> {
        self.retry
            .lost
            .iter()
            .filter(|(host, _)| self.touched.contains(*host))
            .map(|(host, why)| (host.clone(), why.clone()))
            .collect()
    }

    /// The hosts that the record names as such: also those that were so before, and that this command leaves alone.
    pub(crate) fn stranded_in_record(&self) -> BTreeSet<HostName> {
        let before = self.record.iter().flat_map(|record| &record.stranded);
        let idle = before.filter(|host| self.idle.contains(*host)).cloned();
        self.stranded().into_keys().chain(idle).collect()
    }

    /// Claims the capacity of the plan on the hosts that take part.
    pub(crate) async fn claim(&mut self, events: &Events) -> Result<(), ClaimError> {
        let reserve = ClaimAll {
            plan: &self.plan,
            observed: &self.observed,
            // A claim of this command that could not be withdrawn must not be restored.
            before: if self.is_claimed() {
                &self.observed
            } else {
                &self.first
            },
            expires: self.expires,
        };
        let claimed = reserve.run(&self.taking_part(), events).await;
        self.stuck |= claimed.as_ref().is_err_and(|error| !error.left_nothing());
        self.claimed |= claimed.is_ok();
        claimed
    }

    /// Whether its hosts are claimed.
    pub(crate) fn is_claimed(&self) -> bool {
        self.claimed
    }

    /// Whether a claim may still be on a host, although claiming failed.
    pub(crate) fn has_stuck_claims(&self) -> bool {
        self.stuck
    }

    /// Takes into account what is known of an image once it is built, and plans again if that changes anything.
    /// Nothing may have been started yet.
    pub(crate) fn learn(&mut self, image: &BuiltImage) -> Result<(), PlanError> {
        let Some(known) = self.images.get_mut(image.name.as_str()) else {
            return Ok(());
        };
        let facts = image.facts();
        if *known == facts {
            return Ok(());
        }
        *known = facts;
        self.replan()
    }

    /// Plans again from the current knowledge.
    pub(crate) fn plan_again(&mut self) -> Result<(), PlanError> {
        self.retry.known_failures.before = Some(self.plan.clone());
        self.replan()
    }

    /// Plans again if a running node is no longer what it was.
    async fn look_at_nodes(&mut self, options: &PlanOptions, events: &Events) -> anyhow::Result<()> {
        let look = Look {
            topology: &self.topology,
            dir: &self.dir,
            keys: &self.keys,
            fleet: &self.fleet,
            observed: &self.observed,
            options,
        };
        let due = look.due(&self.plan, events).await?;
        if !due.is_empty() {
            self.retry.known_failures.due.extend(due);
            self.replan()?;
        }
        Ok(())
    }

    /// Whether the command may change this node.
    pub(crate) fn is_in_scope(&self, node: &NodeName) -> bool {
        let scope = self.scope.as_ref();
        scope.is_none_or(|scope| scope.nodes.contains(node))
    }

    /// Whether nodes that fail are created again.
    pub(crate) fn may_retry(&self) -> bool {
        self.scope.as_ref().is_none_or(Scope::creates)
    }

    /// Replaces a plan that was not started.
    pub(crate) fn replan(&mut self) -> Result<(), PlanError> {
        let input = PlanInput {
            topology: &self.topology,
            cluster_id: self.cluster_id,
            images: self.images.clone(),
            client_key: self.keys.fingerprint(),
            observed: self.observed.clone(),
            known_failures: self.retry.known_failures.clone(),
        };
        self.plan = limited_plan(input, self.scope.as_ref(), &self.idle)?;
        Ok(())
    }

    /// Observes the hosts again and reconnects to those that do not respond; a host that cannot be reconnected is
    /// lost. Returns the hosts with a new connection.
    pub(crate) async fn observe_again(&mut self, options: &Access, events: &Events) -> BTreeSet<HostName> {
        // Not reported as host stages: this happens between rounds.
        let waits = events.only_waits();
        let (mut observed, failures) = self.fleet.observe(&waits).await;
        let silent: Vec<HostEndpoint> = self
            .fleet
            .members()
            .iter()
            .filter(|member| {
                failures
                    .iter()
                    .any(|failure| failure.host.as_ref() == Some(&member.endpoint.name))
            })
            .map(|member| member.endpoint.clone())
            .collect();
        let (fleet, seen, lost) = reach(silent, options, &waits).await;
        let mut back = BTreeSet::new();
        for host in &seen {
            events.warn(format!(
                "the connection to {} was lost and re-established",
                host.name
            ));
            back.insert(host.name.clone());
        }
        observed.extend(seen);
        for failure in lost {
            if let Some(host) = &failure.host {
                events.warn(format!("{host} is lost: {}", failure.error()));
                self.retry.lost.insert(host.clone(), failure.summary());
            }
        }
        let lost = &self.retry.lost;
        self.fleet.retain(|name| !lost.contains_key(name)).await;
        self.fleet.join(fleet).await;
        self.observed = observed;
        back
    }
}

/// Reconnects to hosts, for as long as the restart of a daemon may take.
async fn reach(
    mut hosts: Vec<HostEndpoint>,
    options: &Access,
    events: &Events,
) -> (Fleet, Vec<ObservedHost>, Vec<Failure>) {
    let (mut fleet, mut observed, mut failures) = (Fleet::default(), Vec::new(), Vec::new());
    // They responded recently: a reachable one responds soon.
    let (limit, pause) = (patience(PATIENCE), patience(PAUSE));
    let mut access = options.clone();
    access.options.timeout = access.options.timeout.min(limit);
    let options = &access;
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
        if began.elapsed() + pause > limit {
            break;
        }
        if !hosts.is_empty() {
            tokio::time::sleep(pause).await;
        }
    }
    (fleet, observed, failures)
}
