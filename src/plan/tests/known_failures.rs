//! Plans that work around failures.

use std::collections::BTreeSet;

use super::fixture::{World, doings, layout};
use crate::base::event::ActionKind;
use crate::base::name::NodeName;
use crate::base::units::MiB;
use crate::inventory::DomainState;
use crate::plan::{Due, FailedNode, Plan, PlanError, Scope};
use crate::topology::{MinReady, Place};

fn missing(plan: &Plan) -> Vec<String> {
    plan.missing
        .iter()
        .map(|missing| format!("{}: {}", missing.node, missing.reason))
        .collect()
}

/// Plans and applies.
fn raise(world: &mut World) -> Plan {
    let plan = world.plan().unwrap();
    world.apply(&plan);
    world.known_failures.before = Some(plan.clone());
    plan
}

fn fail(world: &mut World, node: &str, on: &[&str], given_up: bool) {
    let failed = FailedNode {
        on: on.iter().map(|host| host.parse().unwrap()).collect(),
        why: "did not boot".into(),
        given_up,
    };
    world.known_failures.failed.insert(node.parse().unwrap(), failed);
}

#[test]
fn the_last_nodes_that_have_no_place_are_missing_as_far_as_the_quorum_allows() {
    let mut world = World::new()
        .hosts(2, 2048, 16)
        .group("a", 4, 1024, Place::Pack)
        .group("b", 2, 512, Place::Pack);
    assert!(matches!(world.plan(), Err(PlanError::DoesNotFit { .. })));
    world.topology.min_ready = MinReady::Share(6_600);
    let plan = world.plan().unwrap();
    assert_eq!(layout(&plan), "bm1: a[01-02] | bm2: a[03-04]");
    assert_eq!(
        missing(&plan),
        [
            "b01: no host has room: it needs 512 MiB of memory and 1 vCPU; `bm1` comes closest with 0 MiB of memory, 14 vCPUs and 8 places left (too little memory); bm2: too little memory",
            "b02: no host has room: it needs 512 MiB of memory and 1 vCPU; `bm1` comes closest with 0 MiB of memory, 14 vCPUs and 8 places left (too little memory); bm2: too little memory"
        ]
    );
    world.topology.min_ready = MinReady::Nodes(5);
    assert!(matches!(world.plan(), Err(PlanError::DoesNotFit { .. })));
}

#[test]
fn nodes_that_are_there_are_never_the_missing_ones() {
    let mut world = World::new().hosts(2, 2048, 16).group("a", 3, 1024, Place::Pack);
    raise(&mut world);
    world.topology.min_ready = MinReady::Share(5_000);
    // a03 is on bm2; a01 and a02 were on bm1, which is unreachable.
    world.observed.remove(0);
    let plan = world.plan().unwrap();
    assert_eq!(layout(&plan), "bm2: a[01,03]");
    assert_eq!(plan.missing.len(), 1);
    assert_eq!(doings(&plan), ["Create a01 on bm2: its host bm1 is unreachable"]);
}

#[test]
fn nodes_of_an_unreachable_host_keep_their_addresses_and_the_others_their_mtu() {
    let mut world = World::new().hosts(3, 2048, 16).group("a", 3, 1024, Place::Spread);
    world.at("bm2").facts.underlay_mtu = Some(1400);
    let before = raise(&mut world);
    world.observed.remove(1);
    let plan = world.plan().unwrap();
    assert_eq!(layout(&plan), "bm1: a[01-02] | bm3: a03");
    assert_eq!(doings(&plan), ["Create a02 on bm1: its host bm2 is unreachable"]);
    assert_eq!(plan.nodes[1].spec, before.nodes[1].spec);
}

#[test]
fn a_leftover_domain_on_a_host_that_is_back_is_removed_even_if_it_runs() {
    let mut world = World::new().hosts(3, 2048, 16).group("a", 3, 1024, Place::Spread);
    raise(&mut world);
    let silent = world.observed.remove(1);
    let plan = raise(&mut world);
    assert_eq!(plan.nodes[1].host.as_str(), "bm1");
    world.observed.insert(1, silent);
    for (old, new) in [
        (DomainState::Off, DomainState::Running),
        (DomainState::Running, DomainState::Running),
    ] {
        world.at("bm2").nodes[0].state = old;
        world.at("bm1").nodes[1].state = new;
        let plan = world.plan().unwrap();
        assert_eq!(layout(&plan), "bm1: a[01-02] | bm3: a03");
        assert_eq!(
            doings(&plan),
            ["Remove a02 on bm2: a leftover domain: the node is on bm1"]
        );
    }
    // The node of the last plan counts, even if only the leftover domain runs.
    world.at("bm1").nodes[1].state = DomainState::Off;
    assert_eq!(
        doings(&world.plan().unwrap()),
        [
            "Remove a02 on bm2: a leftover domain: the node is on bm1",
            "Start a02 on bm1: its domain is off"
        ]
    );
}

#[test]
fn a_node_that_failed_is_made_on_another_host_that_has_room() {
    let mut world = World::new().hosts(2, 3072, 16).group("a", 3, 1024, Place::Pack);
    raise(&mut world);
    fail(&mut world, "a02", &["bm1"], false);
    let plan = world.plan().unwrap();
    assert_eq!(
        doings(&plan),
        [
            "Remove a02 on bm1: moves to bm2: did not boot",
            "Create a02 on bm2: moves from bm1: did not boot"
        ]
    );
    // A node that ran before is recreated in place.
    fail(&mut world, "a02", &[], false);
    assert_eq!(
        doings(&world.plan().unwrap()),
        ["Recreate a02 on bm1: did not boot"]
    );
    // On a closed host, nodes stay and none is added.
    world.known_failures.closed.insert("bm2".parse().unwrap());
    fail(&mut world, "a02", &["bm1"], false);
    let error = world.plan().unwrap_err().to_string();
    assert!(error.contains("bm[1-2]: failed there"), "{error}");
}

#[test]
fn a_node_that_is_given_up_is_removed_and_missing_with_its_reason() {
    let mut world = World::new().hosts(1, 4096, 16).group("a", 3, 1024, Place::Pack);
    world.topology.min_ready = MinReady::Nodes(2);
    let old = raise(&mut world).nodes[1].spec.address;
    fail(&mut world, "a02", &["bm1"], true);
    let plan = world.plan().unwrap();
    assert_eq!(doings(&plan), ["Remove a02 on bm1: did not boot"]);
    assert_eq!(missing(&plan), ["a02: did not boot"]);
    assert_eq!(plan.nodes.len(), 2);
    // If it is not given up, but no other host has room, the result is the same.
    fail(&mut world, "a02", &["bm1"], false);
    let plan = world.plan().unwrap();
    assert!(
        missing(&plan)[0].starts_with("a02: did not boot; no host has room"),
        "{:?}",
        plan.missing
    );
    // A later `up` tries again, with the same addresses.
    world.apply(&plan);
    world.known_failures = crate::plan::KnownFailures {
        before: Some(plan),
        ..Default::default()
    };
    let plan = world.plan().unwrap();
    assert_eq!(doings(&plan), ["Create a02 on bm1: does not exist yet"]);
    assert_eq!(plan.nodes[1].spec.address, old);
}

fn due(world: &mut World, node: &str, kind: ActionKind) {
    let due = Due {
        kind,
        why: "for a test".into(),
    };
    world.known_failures.due.insert(node.parse().unwrap(), due);
}

#[test]
fn what_is_due_to_a_node_is_done_where_it_is() {
    let mut world = World::new().hosts(2, 4096, 16).group("a", 4, 1024, Place::Pack);
    raise(&mut world);
    world.node("a04").state = DomainState::Off;
    for (node, kind) in [
        ("a01", ActionKind::Configure),
        ("a02", ActionKind::Restart),
        ("a03", ActionKind::Recreate),
        // Configuring is part of starting.
        ("a04", ActionKind::Configure),
    ] {
        due(&mut world, node, kind);
    }
    assert_eq!(
        doings(&world.plan().unwrap()),
        [
            "Configure a01 on bm1: for a test",
            "Restart a02 on bm1: for a test",
            "Recreate a03 on bm1: for a test",
            "Start a04 on bm1: its domain is off"
        ]
    );
}

#[test]
fn a_plan_for_some_nodes_leaves_the_others_as_they_are() {
    let mut world = World::new().hosts(2, 4096, 16).group("a", 3, 1024, Place::Pack);
    let before = raise(&mut world);
    world.node("a03").state = DomainState::Off;
    // Outdated, all of them.
    world.image_key = "another".into();
    let scope = |kind| Scope {
        nodes: BTreeSet::from(["a01", "a03"].map(|node| node.parse::<NodeName>().unwrap())),
        kind,
    };
    for (kind, wanted) in [
        (
            ActionKind::Restart,
            ["Restart a01 on bm1: asked for", "Restart a03 on bm1: asked for"].as_slice(),
        ),
        (ActionKind::Start, ["Start a03 on bm1: asked for"].as_slice()),
    ] {
        world.known_failures.due = scope(kind).due();
        let mut plan = world.plan().unwrap();
        scope(kind).limit(&mut plan, Some(&before)).unwrap();
        assert_eq!(doings(&plan), wanted);
        assert_eq!(plan.nodes, before.nodes, "what they are made from");
    }
    // a01 cannot stay where it is, and must not lose its disk.
    let failed = FailedNode {
        why: "for a test".into(),
        ..FailedNode::default()
    };
    world.known_failures.failed.insert("a01".parse().unwrap(), failed);
    let mut plan = world.plan().unwrap();
    let refused = scope(ActionKind::Start).limit(&mut plan, Some(&before));
    assert!(refused.is_err(), "{:?}", plan.actions);
    world.known_failures.failed.clear();
    // a02 does not exist any more.
    world.at("bm1").nodes.remove(1);
    let mut plan = world.plan().unwrap();
    let refused = scope(ActionKind::Recreate).limit(&mut plan, Some(&before));
    assert_eq!(
        refused.unwrap_err().to_string(),
        "a02 would have to be created or removed: does not exist yet"
    );
}

#[test]
fn an_unreachable_host_without_selected_nodes_stays_in_the_plan_as_it_was() {
    let mut world = World::new().hosts(3, 2048, 16).group("a", 6, 512, Place::Spread);
    for host in ["bm1", "bm2", "bm3"] {
        world.at(host).facts.underlay_mtu = Some(9000);
    }
    let before = raise(&mut world);
    // Outdated, all of them.
    world.image_key = "another".into();
    let silent = world.observed.remove(1);
    let idle = BTreeSet::from([silent.name.clone()]);
    let scope = |kind| Scope {
        nodes: BTreeSet::from(["a01".parse().unwrap()]),
        kind,
    };
    for (kind, wanted) in [
        (ActionKind::Restart, ["Restart a01 on bm1: asked for"].as_slice()),
        (
            ActionKind::Recreate,
            ["Recreate a01 on bm1: image micro changed"].as_slice(),
        ),
        (ActionKind::Start, [].as_slice()),
    ] {
        world.known_failures.due = scope(kind).due();
        let plan = scope(kind).plan(world.input(), &idle).unwrap();
        assert_eq!(doings(&plan), wanted);
        assert_eq!((&plan.network, &plan.hosts), (&before.network, &before.hosts));
        assert_eq!(plan.nodes[1..], before.nodes[1..], "{kind:?}");
        let away = plan.actions.iter().filter(|action| action.host == silent.name);
        let reasons: Vec<&str> = away.map(|action| action.reason.as_str()).collect();
        assert_eq!(reasons, ["not selected (its host is unreachable)"; 2]);
    }
    // A node that does not exist any more is not made there, although the others are full.
    world.observed[0]
        .nodes
        .retain(|node| node.mark.node.as_str() != "a01");
    for host in &mut world.observed {
        host.facts.memory = MiB(1024);
    }
    world.observed[0].facts.memory = MiB(512);
    world.known_failures.due = scope(ActionKind::Recreate).due();
    let refused = scope(ActionKind::Recreate).plan(world.input(), &idle);
    assert!(
        matches!(refused, Err(PlanError::DoesNotFit { .. })),
        "{refused:?}"
    );
}
