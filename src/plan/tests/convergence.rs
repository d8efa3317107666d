//! Convergence after a kill: any prefix of the steps of `up` or `down`, then `up`, ends like `up` from scratch. The
//! hosts here are a model; `tests/crash` checks the same on real ones.

use proptest::prelude::*;

use super::fixture::{ID, World, object};
use super::properties::{host_of, is_valid, worlds};
use crate::base::event::ActionKind;
use crate::base::name::{HostName, NodeName};
use crate::inventory::{DomainState, Mark, ObservedNode, ShortId};
use crate::plan::{NodePlan, Plan};

/// One step of the engine; a kill may come before or after it.
#[derive(Clone, Debug)]
enum Step {
    RemoveNode(HostName, NodeName),
    /// Directory, pool, bridge, VXLAN.
    Make(HostName, &'static str, String, Option<u32>),
    Define(Box<NodePlan>),
    Start(HostName, NodeName),
    Unmake(HostName, &'static str),
}

/// What a host holds of a cluster besides nodes, in creation order.
const KINDS: [&str; 4] = ["directory", "pool", "bridge", "vxlan"];

/// The steps of `up`, stage by stage as in `engine/apply.rs`; within a stage in any order.
fn steps_up(world: &World, plan: &Plan, dice: &mut impl FnMut(usize) -> usize) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut stage = |mut stage: Vec<Vec<Step>>| {
        // Chains run in parallel, each in its own order.
        stage.retain(|chain| !chain.is_empty());
        while !stage.is_empty() {
            let chain = dice(stage.len());
            steps.push(stage[chain].remove(0));
            stage.retain(|chain| !chain.is_empty());
        }
    };
    let gone = |kind| matches!(kind, ActionKind::Remove | ActionKind::Recreate);
    let removed = plan.actions.iter().filter(|action| gone(action.kind));
    stage(
        removed
            .map(|action| vec![Step::RemoveNode(action.host.clone(), action.node.clone())])
            .collect(),
    );
    let used = |name: &HostName| plan.nodes.iter().any(|node| node.host == *name);
    let emptied = world.observed.iter().filter(|host| !used(&host.name));
    stage(emptied.map(|host| unmake(&host.name)).collect());
    let make = |host: &HostName| {
        let vxlan = plan.network.vxlan.as_ref();
        let short_id = ShortId::of(ID);
        let mut steps = vec![
            Step::Make(host.clone(), "directory", format!("demo.{short_id}"), None),
            Step::Make(host.clone(), "pool", plan.cluster_ref().pool_name(), None),
            Step::Make(host.clone(), "bridge", plan.network.bridge.clone(), None),
        ];
        steps.push(match vxlan {
            Some(vxlan) => Step::Make(host.clone(), "vxlan", vxlan.device.clone(), Some(vxlan.vni)),
            // A VXLAN left from a plan with more hosts is removed with the next network change.
            None => Step::Unmake(host.clone(), "vxlan"),
        });
        steps
    };
    let hosts = world.observed.iter().filter(|host| used(&host.name));
    stage(hosts.map(|host| make(&host.name)).collect());
    let raise = |node: &NodePlan| {
        let action = plan
            .actions
            .iter()
            .find(|action| action.node == node.name && action.kind != ActionKind::Remove)
            .unwrap();
        let start = Step::Start(node.host.clone(), node.name.clone());
        match action.kind {
            ActionKind::Keep => vec![],
            ActionKind::Start => vec![start],
            _ => vec![Step::Define(Box::new(node.clone())), start],
        }
    };
    stage(plan.nodes.iter().map(raise).collect());
    steps
}

/// The steps of `down`.
fn steps_down(world: &World, dice: &mut impl FnMut(usize) -> usize) -> Vec<Step> {
    let mut chains: Vec<Vec<Step>> = world
        .observed
        .iter()
        .map(|host| {
            let ours = host.nodes.iter().filter(|node| node.mark.cluster_id == ID);
            let mut steps: Vec<Step> = ours
                .map(|node| Step::RemoveNode(host.name.clone(), node.mark.node.clone()))
                .collect();
            steps.extend(unmake(&host.name));
            steps
        })
        .collect();
    let mut steps = Vec::new();
    while !chains.is_empty() {
        let chain = dice(chains.len());
        steps.push(chains[chain].remove(0));
        chains.retain(|chain| !chain.is_empty());
    }
    steps
}

fn unmake(host: &HostName) -> Vec<Step> {
    // The directory is removed last: it identifies the owner of the rest.
    KINDS
        .iter()
        .rev()
        .map(|kind| Step::Unmake(host.clone(), kind))
        .collect()
}

fn take(world: &mut World, plan: &Plan, step: &Step) {
    let ours = |node: &ObservedNode, name: &NodeName| node.mark.cluster_id == ID && node.mark.node == *name;
    match step {
        Step::RemoveNode(host, name) => world.at(host.as_str()).nodes.retain(|node| !ours(node, name)),
        Step::Make(host, kind, name, vni) => {
            let host = world.at(host.as_str());
            let made = object(kind, name);
            if !host.objects.contains(&made) {
                host.objects.push(made);
            }
            if let Some(vni) = vni.filter(|vni| !host.facts.vnis.contains(vni)) {
                host.facts.vnis.push(vni);
            }
        }
        Step::Define(node) => {
            let mark = Mark {
                cluster: plan.cluster.clone(),
                cluster_id: ID,
                node: node.name.clone(),
                group: node.group.clone(),
                index: node.index,
                spec: node.spec.clone(),
            };
            world.at(node.host.as_str()).nodes.push(ObservedNode {
                mark,
                domain: node.domain.clone(),
                uuid: node.uuid,
                state: DomainState::Off,
            });
        }
        Step::Start(host, name) => {
            let host = world.at(host.as_str());
            for node in host.nodes.iter_mut().filter(|node| ours(node, name)) {
                node.state = DomainState::Running;
            }
        }
        Step::Unmake(host, kind) => {
            let host = world.at(host.as_str());
            host.objects.retain(|object| object.kind != *kind);
            if *kind == "vxlan" {
                host.facts.vnis.clear();
            }
        }
    }
}

/// A random number generator from one seed.
fn dice(mut seed: u64) -> impl FnMut(usize) -> usize {
    move |below| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below.max(1)
    }
}

/// `up`, killed after some of its steps, or complete.
fn up(world: &mut World, kill: Option<f64>, seed: u64) -> Result<Plan, TestCaseError> {
    let plan = world
        .plan()
        .map_err(|error| TestCaseError::fail(format!("there is no plan: {error}")))?;
    let steps = steps_up(world, &plan, &mut dice(seed));
    let count = kill.map_or(steps.len(), |kill| (kill * (steps.len() + 1) as f64) as usize);
    for step in steps.iter().take(count) {
        take(world, &plan, step);
    }
    Ok(plan)
}

fn down(world: &mut World, plan: &Plan, kill: Option<f64>, seed: u64) {
    let steps = steps_down(world, &mut dice(seed));
    let count = kill.map_or(steps.len(), |kill| (kill * (steps.len() + 1) as f64) as usize);
    for step in steps.iter().take(count) {
        take(world, plan, step);
    }
}

/// All that the hosts hold of the cluster, in a fixed order.
fn held(world: &World) -> Vec<String> {
    let mut all = Vec::new();
    for host in &world.observed {
        let objects = host
            .objects
            .iter()
            .filter(|object| object.short_id == ShortId::of(ID));
        all.extend(objects.map(|object| format!("{}: {} {}", host.name, object.kind, object.name)));
        let nodes = host.nodes.iter().filter(|node| node.mark.cluster_id == ID);
        all.extend(nodes.map(|node| {
            format!(
                "{}: {} {:?} {:?}",
                host.name, node.domain, node.state, node.mark.spec
            )
        }));
    }
    all.sort();
    all
}

fn names(held: &[String]) -> Vec<&str> {
    let mut names: Vec<&str> = held
        .iter()
        .filter_map(|line| line.split_whitespace().nth(1))
        .collect();
    names.sort_unstable();
    names
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_up_or_down_killed_anywhere_is_repaired_by_up_and_removed_by_down(
        world in worlds(5, 3, 5),
        kills in prop::collection::vec((any::<bool>(), 0.0..1.0_f64, any::<u64>()), 1..5),
    ) {
        if world.plan().is_err() {
            return Ok(());
        }
        let untouched = world.clone();
        let mut fresh = world.clone();
        let plan = up(&mut fresh, None, 0)?;

        let mut killed = world;
        for (is_up, kill, seed) in kills {
            if is_up {
                up(&mut killed, Some(kill), seed)?;
            } else {
                down(&mut killed, &plan, Some(kill), seed);
            }
        }
        let repaired = up(&mut killed, None, 1)?;
        prop_assert!(is_valid(&killed, &host_of(&killed, &repaired)));
        prop_assert_eq!(names(&held(&killed)).len(), killed.topology.nodes.len() + objects(&repaired));
        let again = killed.plan().unwrap();
        prop_assert!(again.actions.iter().all(|action| action.kind == ActionKind::Keep), "{:?}", again.actions);
        // Nodes that stayed may have changed the placement of others; with the same placement, all is equal.
        if host_of(&killed, &repaired) == host_of(&fresh, &plan) {
            prop_assert_eq!(&repaired.nodes, &plan.nodes);
            prop_assert_eq!(held(&killed), held(&fresh));
        }
        down(&mut killed, &plan, None, 2);
        prop_assert_eq!(held(&killed), Vec::<String>::new());
        prop_assert_eq!(held(&untouched), Vec::<String>::new());
        up(&mut killed, None, 3)?;
        prop_assert_eq!(held(&killed), held(&fresh), "as from scratch");
    }
}

/// How many objects besides nodes a plan makes.
fn objects(plan: &Plan) -> usize {
    let hosts = plan.hosts.iter().filter(|host| !host.nodes.is_empty()).count();
    hosts * (3 + usize::from(plan.network.vxlan.is_some()))
}
