use super::{HOSTS, World};
use crate::base::event::ActionKind;
use crate::cluster::Cluster;
use crate::cluster::configured::{
    Configured, INCOMPLETE, begin_configuring, end_configuring, forget_configured,
};
use crate::cluster::status::{ClusterStatus, LoginState, NodeState, StatusOptions, status};

fn demo(world: &World) -> Cluster {
    Cluster::read(&world.root, &"demo".parse().unwrap()).unwrap()
}

/// Records all nodes as configured.
fn configured(cluster: &Cluster) {
    let nodes = cluster.plan.nodes.iter();
    end_configuring(&cluster.dir, nodes.map(|node| (node.name.clone(), None))).unwrap();
}

/// The status of a cluster or of some of its nodes, without logins.
async fn seen<'a>(world: &World, cluster: &'a Cluster, nodes: Option<&str>) -> ClusterStatus<'a> {
    let options = StatusOptions {
        nodes: nodes.map(str::to_owned),
        login: false,
        answer_timeout: None,
        access: world.hosts.access(),
    };
    status(cluster, &options, &world.events).await.unwrap()
}

#[tokio::test]
async fn nodes_of_a_host_that_cannot_be_reached_are_unreachable_and_the_others_run() {
    let world = World::new();
    world.raise("demo", 6).await;
    let cluster = demo(&world);
    configured(&cluster);
    let all = seen(&world, &cluster, None).await;
    assert!(all.is_healthy);
    assert_eq!((all.nodes.len(), all.ends.len()), (6, 1));
    for node in &all.nodes {
        assert_eq!(node.state, NodeState::Running, "{node:?}");
        assert_eq!(node.login, LoginState::NotTried, "{node:?}");
    }

    world.hosts.fail("bm2", "connect");
    let all = seen(&world, &cluster, None).await;
    assert!(!all.is_healthy);
    assert_eq!(all.unreached.len(), 1);
    for node in &all.nodes {
        let is_away = node.node.host.as_str() == "bm2";
        assert_eq!(node.state == NodeState::Unreachable, is_away, "{node:?}");
    }
}

#[tokio::test]
async fn a_node_that_another_host_also_holds_is_a_leftover_there() {
    let world = World::new();
    world.raise("demo", 3).await;
    let cluster = demo(&world);
    let mut copy = cluster.plan.clone();
    let elsewhere = HOSTS.iter().find(|host| **host != copy.nodes[0].host.as_str());
    copy.nodes[0].host = elsewhere.unwrap().parse().unwrap();
    world.hosts.apply(&copy, |node| node.name == copy.nodes[0].name);
    let all = seen(&world, &cluster, None).await;
    assert!(!all.is_healthy);
    assert_eq!(all.leftovers.len(), 1, "{:?}", all.leftovers);
    let name = cluster.plan.nodes[0].name.as_str();
    assert_eq!(seen(&world, &cluster, Some(name)).await.nodes.len(), 1);

    // `up` removes it, and the node itself stays configured.
    configured(&cluster);
    let situation = world.observe("demo", 3).await;
    let mut actions = situation.plan.actions.iter();
    assert!(actions.any(|action| action.kind == ActionKind::Remove));
    forget_configured(&cluster.dir, &situation.plan).unwrap();
    let read = Configured::load(&cluster.dir).unwrap();
    assert_eq!(read.nodes.len(), 3);
}

#[tokio::test]
async fn a_node_whose_configuration_was_interrupted_is_not_well_although_it_runs() {
    let world = World::new();
    world.raise("demo", 2).await;
    let cluster = demo(&world);
    configured(&cluster);
    assert!(seen(&world, &cluster, None).await.is_healthy);
    begin_configuring(&cluster.dir, [&cluster.plan.nodes[1].name]).unwrap();
    let all = seen(&world, &cluster, None).await;
    assert!(!all.is_healthy);
    let reasons: Vec<Option<&str>> = all
        .nodes
        .iter()
        .map(|node| node.trouble.as_ref().map(|trouble| trouble.reason.as_str()))
        .collect();
    assert_eq!(reasons, [None, Some(INCOMPLETE)]);
}
