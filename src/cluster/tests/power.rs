use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::guests::{Guests, isolated};
use super::rounds::{answer, topology, up};
use super::{HOSTS, World, keeps_all};
use crate::base::event::ActionKind;
use crate::base::exit::ExitCode;
use crate::base::name::{HostName, NodeName};
use crate::cluster::configured::{self, Configured};
use crate::cluster::nodes::nodes_of;
use crate::cluster::status::{NodeState, StatusOptions, status};
use crate::cluster::{Cluster, UpOptions, as_configured, power};
use crate::engine::Fleet;
use crate::host::fake::{FakeHosts, Power};
use crate::inventory::ObservedNode;
use crate::plan::Scope;
use crate::report;

fn demo(world: &World) -> Cluster {
    Cluster::read(&world.root, &"demo".parse().unwrap()).unwrap()
}

async fn change(world: &World, node: &str, kind: ActionKind) -> anyhow::Result<()> {
    let options = UpOptions {
        keep: true,
        scope: Some(Scope {
            nodes: BTreeSet::from([node.parse().unwrap()]),
            kind,
        }),
        ..world.options.clone()
    };
    let changed = power::change(&demo(world), &options, &world.events).await;
    changed.map(|count| assert_eq!(count, 1, "{kind:?} {node}"))
}

async fn stop(world: &World, node: &str) -> usize {
    let cluster = demo(world);
    let chosen = cluster.select(Some(node), None).unwrap();
    let cancel = CancellationToken::new();
    power::stop(&cluster, &chosen, &world.hosts.access(), &cancel, &world.events)
        .await
        .unwrap_or_else(|error| panic!("{error:#}"))
}

async fn states(world: &World) -> Vec<NodeState> {
    let options = StatusOptions {
        nodes: None,
        login: false,
        answer_timeout: None,
        access: world.hosts.access(),
    };
    let cluster = demo(world);
    let seen = status(&cluster, &options, &world.events).await.unwrap();
    seen.nodes.iter().map(|node| node.state).collect()
}

#[tokio::test]
async fn a_node_that_the_user_stopped_is_shown_as_such_and_one_that_went_off_is_not() {
    let world = World::new();
    world.raise("demo", 3).await;
    assert_eq!(stop(&world, "n002").await, 1);
    assert_eq!(stop(&world, "n002").await, 0, "it is off already");
    let running = NodeState::Running;
    assert_eq!(states(&world).await, [running, NodeState::Stopped, running]);
    let plan = world.observe("demo", 3).await.plan;
    let starts: Vec<&str> = plan
        .actions
        .iter()
        .filter(|action| action.kind == ActionKind::Start)
        .map(|action| action.node.as_str())
        .collect();
    assert_eq!(starts, ["n002"], "`up` starts it again");
}

/// Interrupts once a guest has ended.
struct Interrupt(CancellationToken);

impl Power for Interrupt {
    fn on(&self, _host: &HostName, _node: &ObservedNode, _seed: &[u8]) {}

    fn off(&self, _host: &HostName, _domain: &str) {
        self.0.cancel();
    }
}

#[tokio::test]
async fn a_node_that_was_not_stopped_does_not_count_as_stopped() {
    let cancel = CancellationToken::new();
    let world = World::on(FakeHosts::new(&HOSTS).powered(Arc::new(Interrupt(cancel.clone()))));
    world.raise("demo", 3).await;
    let nodes = ["n001", "n002", "n003"].map(|node| node.parse::<NodeName>().unwrap());
    let boots = || nodes.iter().map(|node| (node.clone(), Some(Uuid::max())));
    configured::end_configuring(&world.dir("demo"), boots()).unwrap();
    let cluster = demo(&world);
    let stop = async || {
        let access = world.hosts.access();
        let stopped = power::stop(&cluster, &nodes, &access, &cancel, &world.events).await;
        let state = Configured::load(&world.dir("demo")).unwrap();
        (stopped.unwrap_err(), state.nodes, state.stopped)
    };
    // None of them, because their host fails.
    for host in HOSTS {
        world.hosts.fail(host, "stop");
    }
    let (_, configured, stopped) = stop().await;
    assert_eq!((configured, stopped), (boots().collect(), BTreeSet::new()));
    // Whether they run is not known.
    for host in HOSTS {
        world.hosts.fail(host, "active");
    }
    let (_, configured, stopped) = stop().await;
    assert_eq!((configured.len(), stopped.len()), (0, 3));
    world.hosts.heal();
    configured::end_configuring(&world.dir("demo"), boots()).unwrap();
    // Only one of them, because the user interrupts.
    let (error, configured, stopped) = stop().await;
    assert_eq!(report::error::describe(&error).code, ExitCode::Interrupted);
    assert_eq!((configured.len(), stopped.len()), (2, 1));
    assert!(stopped.iter().all(|node| !configured.contains_key(node)));
    let off = NodeState::Stopped;
    assert_eq!(
        states(&world).await.iter().filter(|state| **state == off).count(),
        1
    );
}

#[tokio::test]
async fn a_change_of_some_nodes_is_refused_if_others_would_have_to_be_created() {
    let world = World::new();
    let situation = world.raise("demo", 3).await;
    let plan = situation.plan;
    // n003 is gone from its host.
    let gone = plan
        .nodes
        .iter()
        .find(|node| node.name.as_str() == "n003")
        .unwrap();
    let cluster = plan.cluster_ref();
    let access = world.hosts.access();
    let endpoint = demo(&world)
        .record
        .hosts
        .iter()
        .find(|host| host.name == gone.host)
        .cloned();
    let host = access.connect(&endpoint.unwrap()).await.unwrap();
    let seen = host.observe().await.unwrap();
    let seen = seen.nodes.iter().find(|node| node.uuid == gone.uuid).unwrap();
    assert!(host.remove_node(&cluster, seen).await.unwrap());
    let refused = change(&world, "n001", ActionKind::Recreate).await.unwrap_err();
    let described = report::error::describe(&refused);
    assert_eq!(described.code, ExitCode::ApplyFailed);
    assert_eq!(
        described.lines[0],
        "n003 would have to be created or removed: does not exist yet"
    );
}

/// The host of a node.
fn host_of(world: &World, node: &str) -> String {
    let nodes = demo(world).plan.nodes;
    let mut nodes = nodes.iter();
    let node = nodes.find(|planned| planned.name.as_str() == node);
    node.unwrap().host.to_string()
}

/// Why a node is not as it was configured.
async fn trouble(world: &World, node: &str) -> Option<String> {
    let cluster = demo(world);
    let access = world.hosts.access();
    let (fleet, _) = Fleet::connect(&cluster.record.hosts, &access, &world.events).await;
    let nodes = nodes_of(&cluster.plan, &cluster.keys, &fleet).unwrap();
    let found = as_configured::check(&cluster, &nodes, &[node.parse().unwrap()], &world.events).await;
    nodes.close().await;
    fleet.close().await;
    found.err().map(|error| error.to_string())
}

/// Each node that is changed has a new process and is configured again, and the others keep theirs.
async fn changed(world: &World, guests: &Guests) {
    let topology = topology(world, 3, 3);
    up(world, &topology)
        .await
        .unwrap_or_else(|error| panic!("{error:#}"));
    let processes = || ["n001", "n002", "n003"].map(|node| guests.process(node));
    let before = processes();
    for kind in [ActionKind::Restart, ActionKind::Recreate] {
        let old = processes()[1];
        change(world, "n002", kind)
            .await
            .unwrap_or_else(|error| panic!("{error:#}"));
        let now = processes();
        assert_eq!((now[0], now[2]), (before[0], before[2]), "{kind:?}");
        assert!(now[1].is_some() && now[1] != old, "{kind:?}");
        answer(world, &topology, &demo(world).plan, Some(1)).await;
    }
    // The host of another node is down.
    let planned = demo(world).plan;
    world.hosts.fail(&host_of(world, "n001"), "connect");
    for kind in [ActionKind::Restart, ActionKind::Recreate] {
        let old = processes()[1];
        change(world, "n002", kind)
            .await
            .unwrap_or_else(|error| panic!("{error:#}"));
        let now = processes();
        assert_eq!((now[0], now[2]), (before[0], before[2]), "{kind:?}");
        assert!(now[1].is_some() && now[1] != old, "{kind:?}");
        let plan = demo(world).plan;
        assert_eq!((&plan.nodes, &plan.hosts), (&planned.nodes, &planned.hosts));
        assert_eq!(plan.network, planned.network);
    }
    let needed = change(world, "n001", ActionKind::Restart).await;
    assert!(needed.is_err(), "its own host is down");
    world.hosts.heal();
    answer(world, &topology, &planned, Some(1)).await;
    assert_eq!(stop(world, "n002").await, 1);
    assert_eq!(processes()[1], None);
    let off = trouble(world, "n002").await.unwrap();
    assert!(off.ends_with("n002 (stopped by you)"), "{off}");
    // A node that answers runs, whatever was to be done to it.
    let (dir, marked) = (world.dir("demo"), ["n001".parse::<NodeName>().unwrap()]);
    let unmarked = configured::mark_stopped(&dir, &marked).unwrap();
    let runs = trouble(world, "n001").await.unwrap();
    assert!(
        runs.ends_with("n001 (its configuration is not complete)"),
        "{runs}"
    );
    configured::unmark_stopped(&dir, &unmarked, &marked).unwrap();
    assert_eq!(trouble(world, "n001").await, None);
    change(world, "n002", ActionKind::Start)
        .await
        .unwrap_or_else(|error| panic!("{error:#}"));
    answer(world, &topology, &demo(world).plan, Some(1)).await;
    let configured = Configured::load(&world.dir("demo")).unwrap();
    assert_eq!((configured.nodes.len(), configured.stopped.len()), (3, 0));
    let again = world.observe_topology(topology.clone()).await;
    assert!(keeps_all(&again.plan), "{:?}", again.plan.actions);
    again.close().await;

    // Its host reports that it runs, but nothing answers.
    guests.end("n003");
    // While the bridge is down, that says nothing about the node: only the bridge is repaired.
    world.hosts.break_bridges(&host_of(world, "n003"));
    let repaired = up(world, &topology)
        .await
        .unwrap_or_else(|error| panic!("{error:#}"));
    assert!(keeps_all(&repaired.plan), "{:?}", repaired.plan.actions);
    assert_eq!((processes()[0], processes()[2]), (before[0], None));
    let silent = world.observe_topology(topology.clone()).await;
    let due: Vec<String> = silent
        .plan
        .actions
        .iter()
        .filter(|action| action.kind != ActionKind::Keep)
        .map(|action| format!("{} {}: {}", action.kind.as_str(), action.node, action.reason))
        .collect();
    assert_eq!(
        due,
        ["recreate n003: does not answer SSH (port 22 accepts no connection)"]
    );
    silent.close().await;
    up(world, &topology)
        .await
        .unwrap_or_else(|error| panic!("{error:#}"));
    answer(world, &topology, &demo(world).plan, Some(1)).await;
    assert_eq!(processes()[0], before[0]);
}

#[test]
fn nodes_are_restarted_recreated_stopped_and_started_and_the_others_are_left_alone() {
    if !isolated() {
        return;
    }
    let guests = Arc::new(Guests::default());
    let mut world = World::on(FakeHosts::new(&HOSTS).powered(guests.clone()));
    // A node with a disk that refuses has this time.
    world.options.boot_timeout = Duration::from_secs(10);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(changed(&world, &guests));
}
