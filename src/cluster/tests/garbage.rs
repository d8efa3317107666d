use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::World;
use crate::base::units::Moment;
use crate::cluster::gc::{GcOptions, Inspection, carry_out, inspect};

async fn inspected(world: &World) -> Inspection {
    let options = GcOptions {
        hosts: Vec::new(),
        older_than: Duration::from_hours(1),
        connect: world.hosts.access(),
    };
    inspect(&options, &world.root, &world.events).await.unwrap()
}

fn past() -> Moment {
    "2000-01-31T12:00:00Z".parse().unwrap()
}

#[tokio::test]
async fn gc_leaves_a_live_cluster_and_removes_one_whose_lease_has_ended() {
    let world = World::new();
    world.raise("live", 3).await;
    world.raise("ended", 3).await;
    world.hosts.change_claims(|claim| {
        if claim.cluster.as_str() == "ended" {
            claim.expires = Some(past());
        }
    });
    let inspection = inspected(&world).await;
    let names: Vec<&str> = inspection
        .garbage
        .iter()
        .map(|garbage| garbage.cluster.as_str())
        .collect();
    assert_eq!(names, ["ended"]);
    let cancel = CancellationToken::new();
    carry_out(&inspection, &world.root, &cancel, &world.events)
        .await
        .unwrap();
    for (host, contents) in world.hosts.contents() {
        assert!(
            contents
                .nodes
                .iter()
                .all(|node| node.mark.cluster.as_str() == "live"),
            "{host}"
        );
        assert_eq!(contents.nodes.len(), 1, "{host}");
    }
    assert!(!world.dir("ended").exists() && world.dir("live").exists());
}

#[tokio::test]
async fn a_lease_that_was_extended_after_the_inspection_saves_the_cluster() {
    let world = World::new();
    world.raise("demo", 3).await;
    world.hosts.change_claims(|claim| claim.expires = Some(past()));
    let inspection = inspected(&world).await;
    assert_eq!(inspection.garbage.len(), 1);
    world.hosts.change_claims(|claim| claim.expires = None);
    let before = world.hosts.contents();
    let cancel = CancellationToken::new();
    carry_out(&inspection, &world.root, &cancel, &world.events)
        .await
        .unwrap();
    assert_eq!(world.hosts.contents(), before);
    assert!(world.dir("demo").exists());
}

#[tokio::test]
async fn gc_leaves_what_another_command_holds() {
    let world = World::new();
    world.raise("demo", 3).await;
    world.hosts.change_claims(|claim| claim.expires = Some(past()));
    let inspection = inspected(&world).await;
    let mut up = world.observe("demo", 3).await;
    up.claim(&world.events).await.unwrap();
    let cancel = CancellationToken::new();
    carry_out(&inspection, &world.root, &cancel, &world.events)
        .await
        .unwrap();
    let nodes: usize = world.hosts.contents().values().map(|host| host.nodes.len()).sum();
    assert_eq!(nodes, 3);
}
