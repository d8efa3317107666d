use super::{World, is_gone};
use crate::cluster::down::{Down, Holdings};
use crate::engine::EngineError;

/// What a `down` of this cluster would find.
pub(super) async fn observed(world: &World, name: &str, hosts: &[String]) -> (Down, Holdings) {
    let down = Down::open(&name.parse().unwrap(), &world.dir(name), hosts).unwrap();
    let holdings = down.observe(&world.hosts.access(), &world.events).await;
    (down, holdings)
}

#[tokio::test]
async fn down_removes_a_cluster_and_nothing_of_another() {
    let world = World::new();
    world.raise("demo", 6).await;
    world.raise("other", 3).await;
    let (down, holdings) = observed(&world, "demo", &[]).await;
    assert_eq!((holdings.nodes, holdings.reached.hosts()), (6, 3));
    down.remove(&holdings, &world.events).await.unwrap();
    for (host, contents) in world.hosts.contents() {
        let of_demo = contents
            .nodes
            .iter()
            .filter(|node| node.mark.cluster.as_str() == "demo");
        assert_eq!(of_demo.count(), 0, "{host}");
        assert_eq!(
            contents.nodes.len(),
            1,
            "{host} keeps the node of the other cluster"
        );
        assert_eq!(contents.claims.len(), 1, "{host}");
    }
    assert!(is_gone(world.dir("demo").path()));
    assert!(world.dir("other").exists());
}

#[tokio::test]
async fn down_that_cannot_remove_something_fails_and_the_next_one_finishes() {
    let world = World::new();
    world.raise("demo", 6).await;
    world.hosts.fail("bm2", "remove_cluster");
    let (down, holdings) = observed(&world, "demo", &[]).await;
    let error = down.remove(&holdings, &world.events).await.unwrap_err();
    assert!(
        matches!(error.downcast_ref(), Some(EngineError::LeftBehind { .. })),
        "{error:#}"
    );
    holdings.reached.close().await;
    assert!(
        world.dir("demo").exists(),
        "the record is needed for the next `down`"
    );
    let left: Vec<_> = world
        .hosts
        .contents()
        .into_iter()
        .filter(|(_, contents)| !contents.objects.is_empty())
        .map(|(host, _)| host.to_string())
        .collect();
    assert_eq!(left, ["bm2"]);
    world.hosts.heal();
    let (down, holdings) = observed(&world, "demo", &[]).await;
    down.remove(&holdings, &world.events).await.unwrap();
    assert!(world.hosts.are_empty());
    assert!(is_gone(world.dir("demo").path()));
}

#[tokio::test]
async fn down_that_does_not_reach_a_host_removes_the_rest_and_fails() {
    let world = World::new();
    world.raise("demo", 6).await;
    world.hosts.fail("bm3", "connect");
    let (down, holdings) = observed(&world, "demo", &[]).await;
    assert!(holdings.reached.unreached().is_err());
    let error = down.remove(&holdings, &world.events).await.unwrap_err();
    assert!(format!("{error:#}").contains("bm3"), "{error:#}");
    let contents = world.hosts.contents();
    let nodes = |host: &str| contents[host].nodes.len();
    assert_eq!((nodes("bm1"), nodes("bm2"), nodes("bm3")), (0, 0, 2));
}

#[tokio::test]
async fn down_finds_a_cluster_by_its_hosts_when_the_record_is_lost_or_damaged() {
    for damage in [None, Some(b"{".as_slice())] {
        let world = World::new();
        world.raise("demo", 6).await;
        let dir = world.dir("demo");
        match damage {
            None => dir.remove().unwrap(),
            Some(bytes) => dir.write("cluster.json", bytes).unwrap(),
        }
        let (down, holdings) = observed(&world, "demo", &["root@bm[1-3]".to_owned()]).await;
        assert_eq!(holdings.nodes, 6);
        down.remove(&holdings, &world.events).await.unwrap();
        assert!(world.hosts.are_empty());
    }
}

#[tokio::test]
async fn down_does_not_wait_and_removes_nothing_that_another_command_holds() {
    let world = World::new();
    world.raise("demo", 3).await;
    let mut up = world.observe("demo", 3).await;
    up.claim(&world.events).await.unwrap();
    let before = world.hosts.contents();
    let (down, holdings) = observed(&world, "demo", &[]).await;
    assert!(down.remove(&holdings, &world.events).await.is_err());
    assert_eq!(world.hosts.contents(), before);
}
