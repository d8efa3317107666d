//! Properties of the planner, on random worlds.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use proptest::prelude::*;

use super::fixture::{ID, World};
use crate::base::event::ActionKind;
use crate::base::units::MiB;
use crate::plan::{Plan, PlanError};
use crate::topology::{MinReady, Place};

#[derive(Clone, Debug)]
struct HostShape {
    memory: u64,
    cpus: u32,
    max_nodes: u32,
    foreign: u64,
    other: Option<u64>,
}

#[derive(Clone, Debug)]
struct GroupShape {
    nodes: Vec<(u64, u32)>,
    spread: bool,
    on: Option<Vec<bool>>,
    separate: Vec<usize>,
}

fn host_shape() -> impl Strategy<Value = HostShape> {
    (
        1..16_u64,
        1..8_u32,
        0..5_u32,
        0..3_u64,
        prop::option::weighted(0.2, 1..3_u64),
    )
        .prop_map(|(memory, cpus, max_nodes, foreign, other)| HostShape {
            memory,
            cpus,
            max_nodes,
            foreign,
            other,
        })
}

fn group_shape(nodes: usize) -> impl Strategy<Value = GroupShape> {
    (
        prop::collection::vec((1..8_u64, 1..4_u32), 1..=nodes),
        any::<bool>(),
        prop::option::weighted(0.3, prop::collection::vec(any::<bool>(), 6)),
        prop::collection::vec(0..4_usize, 0..2),
        any::<bool>(),
    )
        .prop_map(|(mut nodes, spread, on, separate, alike)| {
            if alike {
                let first = nodes[0];
                nodes.fill(first);
            }
            GroupShape {
                nodes,
                spread,
                on,
                separate,
            }
        })
}

fn world(hosts: &[HostShape], groups: &[GroupShape]) -> World {
    let mut world = World::new();
    for (i, shape) in hosts.iter().enumerate() {
        let name = format!("bm{}", i + 1);
        world.add_host(&name, shape.memory, shape.cpus).max_nodes = shape.max_nodes;
        world.at(&name).foreign_memory = MiB(shape.foreign);
        if let Some(memory) = shape.other {
            world.add_other(&name, memory, [10, 99, 0, 1]);
        }
    }
    let names = ["a", "b", "c", "d"];
    for (shape, name) in groups.iter().zip(names) {
        let place = if shape.spread { Place::Spread } else { Place::Pack };
        world = world.group(name, shape.nodes.len() as u32, 1, place);
        let group = world.topology.groups.last_mut().unwrap();
        group.separate = shape
            .separate
            .iter()
            .map(|&other| names[other].parse().unwrap())
            .collect();
        group.on = shape.on.as_ref().map(|on| {
            let allowed = world.topology.hosts.iter().zip(on).filter(|(_, on)| **on);
            allowed.map(|(host, _)| host.name.clone()).collect()
        });
        let from = world.topology.nodes.len() - shape.nodes.len();
        for (node, &(memory, vcpus)) in world.topology.nodes[from..].iter_mut().zip(&shape.nodes) {
            (node.memory, node.vcpus) = (MiB(memory), vcpus);
        }
    }
    world
}

pub(super) fn worlds(hosts: usize, groups: usize, nodes: usize) -> impl Strategy<Value = World> {
    (
        prop::collection::vec(host_shape(), 1..=hosts),
        prop::collection::vec(group_shape(nodes), 1..=groups),
    )
        .prop_map(|(hosts, groups)| world(&hosts, &groups))
}

/// Whether a layout (a host for each node, by index) is valid. Written without any of the
/// planner's own code.
pub(super) fn is_valid(world: &World, host_of: &[usize]) -> bool {
    let topology = &world.topology;
    for (h, host) in topology.hosts.iter().enumerate() {
        let observed = world
            .observed
            .iter()
            .find(|observed| observed.name == host.name)
            .unwrap();
        let here: Vec<_> = topology
            .nodes
            .iter()
            .zip(host_of)
            .filter(|(_, on)| **on == h)
            .map(|(n, _)| n)
            .collect();
        if here.is_empty() {
            continue;
        }
        let others: Vec<_> = observed
            .nodes
            .iter()
            .filter(|node| node.mark.cluster_id != ID)
            .collect();
        let memory: u64 = here.iter().map(|node| node.memory.0).sum::<u64>()
            + others.iter().map(|node| node.mark.spec.memory.0).sum::<u64>()
            + observed.foreign_memory.0;
        let vcpus: u32 = here.iter().map(|node| node.vcpus).sum::<u32>()
            + others.iter().map(|node| node.mark.spec.vcpus).sum::<u32>();
        if memory > observed.facts.memory.0
            || vcpus > observed.facts.cpus
            || here.len() + others.len() > host.max_nodes as usize
        {
            return false;
        }
        for (i, one) in here.iter().enumerate() {
            let group = topology
                .groups
                .iter()
                .find(|group| group.name == one.group)
                .unwrap();
            if group.on.as_ref().is_some_and(|on| !on.contains(&host.name)) {
                return false;
            }
            let meets = |j: usize| i != j && group.separate.contains(&here[j].group);
            if (0..here.len()).any(meets) {
                return false;
            }
        }
    }
    true
}

/// Tries every layout.
fn some_layout_is_valid(world: &World) -> bool {
    let (nodes, hosts) = (world.topology.nodes.len(), world.topology.hosts.len());
    let mut layout = vec![0; nodes];
    loop {
        if is_valid(world, &layout) {
            return true;
        }
        let Some(next) = layout.iter().position(|&host| host + 1 < hosts) else {
            return false;
        };
        layout[..next].fill(0);
        layout[next] += 1;
    }
}

pub(super) fn host_of(world: &World, plan: &Plan) -> Vec<usize> {
    let hosts: HashMap<_, _> = world
        .topology
        .hosts
        .iter()
        .enumerate()
        .map(|(i, host)| (&host.name, i))
        .collect();
    plan.nodes.iter().map(|node| hosts[&node.host]).collect()
}

fn placements(plan: &Plan) -> BTreeMap<String, String> {
    plan.nodes
        .iter()
        .map(|node| (node.name.to_string(), node.host.to_string()))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn capacity_is_never_exceeded_and_no_rule_is_broken(world in worlds(6, 4, 6)) {
        let Ok(plan) = world.plan() else { return Ok(()) };
        prop_assert!(is_valid(&world, &host_of(&world, &plan)));
        prop_assert_eq!(plan.nodes.len(), world.topology.nodes.len());
        let mut addresses: BTreeSet<_> = plan.nodes.iter().map(|node| node.spec.address).collect();
        addresses.extend(plan.hosts.iter().filter_map(|host| host.bridge_address));
        prop_assert_eq!(addresses.len(), plan.nodes.len() + plan.hosts.len());
        for host in &plan.hosts {
            prop_assert!(host.memory <= host.capacity.memory && host.vcpus <= host.capacity.vcpus);
        }
    }

    #[test]
    fn a_refusal_is_true(world in worlds(3, 3, 2)) {
        match world.plan() {
            Ok(plan) => prop_assert!(is_valid(&world, &host_of(&world, &plan))),
            Err(PlanError::DoesNotFit { .. }) => prop_assert!(!some_layout_is_valid(&world)),
            Err(other) => prop_assert!(false, "{other}"),
        }
    }

    #[test]
    fn as_many_nodes_as_fit_are_placed_when_some_may_be_missing(world in worlds(6, 4, 6), share in 1..=10_000_u32) {
        let all = world.plan();
        let mut fewer = world.clone();
        fewer.topology.min_ready = MinReady::Share(share);
        let nodes = world.topology.nodes.len();
        let plan = match (all, fewer.plan()) {
            (Ok(all), Ok(plan)) => {
                prop_assert_eq!(&all, &plan);
                return Ok(());
            }
            (Err(PlanError::DoesNotFit { .. }), Ok(plan)) => plan,
            (Err(_), Err(_)) => return Ok(()),
            (all, fewer) => return Err(TestCaseError::fail(format!("{all:?}\n{fewer:?}"))),
        };
        prop_assert!(plan.nodes.len() >= fewer.topology.min_ready.of(nodes));
        prop_assert_eq!(plan.nodes.len() + plan.missing.len(), nodes);
        fewer.topology.nodes.retain(|node| plan.nodes.iter().any(|planned| planned.name == node.name));
        prop_assert!(is_valid(&fewer, &host_of(&fewer, &plan)));
    }

    #[test]
    fn the_order_of_the_input_does_not_matter(world in worlds(6, 4, 6), seed in any::<u64>()) {
        let mut shuffled = world.clone();
        let turn = seed as usize;
        let topology = &mut shuffled.topology;
        let (hosts, groups, nodes) = (topology.hosts.len(), topology.groups.len(), topology.nodes.len());
        topology.hosts.rotate_left(turn % hosts);
        topology.groups.rotate_left(turn % groups);
        topology.nodes.rotate_left(turn % nodes);
        if turn.is_multiple_of(2) {
            topology.hosts.reverse();
            topology.nodes.reverse();
            shuffled.observed.reverse();
        }
        match (world.plan(), shuffled.plan()) {
            (Ok(one), Ok(other)) => prop_assert_eq!(placements(&one), placements(&other)),
            (Err(one), Err(other)) => prop_assert_eq!(one.to_string(), other.to_string()),
            (one, other) => prop_assert!(false, "{one:?}\n{other:?}"),
        }
    }

    #[test]
    fn adding_a_node_moves_and_changes_none(world in worlds(6, 4, 6), group in 0..4_usize, memory in 1..4_u64) {
        let mut world = world;
        let Ok(before) = world.plan() else { return Ok(()) };
        world.apply(&before);
        let again = world.plan().unwrap();
        prop_assert!(again.actions.iter().all(|action| action.kind == ActionKind::Keep), "{:?}", again.actions);
        prop_assert_eq!(&again.nodes, &before.nodes);
        prop_assert_eq!(&again.network, &before.network);
        if group < world.topology.groups.len() {
            world.grow(group, memory);
        } else {
            world = world.group("new", 1, memory, Place::Spread);
        }
        let Ok(after) = world.plan() else { return Ok(()) };
        for node in &before.nodes {
            prop_assert!(after.nodes.contains(node), "{node:?}");
        }
        let done = after.actions.iter().filter(|action| action.kind != ActionKind::Keep);
        prop_assert_eq!(done.map(|action| action.kind).collect::<Vec<_>>(), [ActionKind::Create]);
        prop_assert!(is_valid(&world, &host_of(&world, &after)));
    }
}

#[test]
fn the_random_worlds_hold_plans_and_refusals_alike() {
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut count = |worlds: &dyn Fn() -> proptest::strategy::BoxedStrategy<World>| {
        let worlds = worlds();
        (0..300)
            .filter(|_| worlds.new_tree(&mut runner).unwrap().current().plan().is_ok())
            .count()
    };
    for worlds in [|| worlds(6, 4, 6).boxed(), || worlds(3, 3, 2).boxed()] {
        let plans = count(&worlds);
        assert!((30..270).contains(&plans), "{plans} of 300 worlds have a plan");
    }
}
