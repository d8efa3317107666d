use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::World;
use crate::base::event::{Event, Events};
use crate::base::exit::ExitCode;
use crate::base::units::Moment;
use crate::cluster::gc::{GcOptions, Inspection, carry_out, describe_unreadable, inspect};
use crate::report;

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
async fn gc_leaves_a_cluster_whose_claims_cannot_be_read_and_names_it() {
    let world = World::new();
    world.raise("demo", 3).await;
    for host in ["bm1", "bm2", "bm3"] {
        world.hosts.spoil_claims(host);
    }
    let inspection = inspected(&world).await;
    assert!(inspection.is_clean());
    let named: Vec<String> = inspection.unreadable.iter().map(describe_unreadable).collect();
    let id = &inspection.unreadable[0].cluster.short_id;
    assert_eq!(named, [format!("cluster `demo` ({id}) on bm[1-3]")]);
    let before = world.hosts.contents();
    let (events, mut received) = Events::channel();
    let cancel = CancellationToken::new();
    let line = carry_out(&inspection, &world.root, &cancel, &events)
        .await
        .unwrap();
    assert_eq!(line, "removed 0 clusters and 0 other objects; skipped 1 cluster");
    assert_eq!(world.hosts.contents(), before);
    drop(events);
    let mut notes = Vec::new();
    while let Some(event) = received.recv().await {
        if let Event::Note { text } = event {
            notes.push(text);
        }
    }
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(
        notes[0].starts_with("skipped cluster `demo`") && notes[0].contains("cannot be read"),
        "{notes:?}"
    );
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

#[tokio::test]
async fn gc_that_keeps_a_pool_because_of_a_foreign_file_says_what_to_do_about_the_file() {
    let world = World::new();
    world.raise("demo", 3).await;
    world.hosts.change_claims(|claim| claim.expires = Some(past()));
    world.hosts.put_foreign("bm2", "/demo/mine.qcow2");
    let inspection = inspected(&world).await;
    let cancel = CancellationToken::new();
    let error = carry_out(&inspection, &world.root, &cancel, &world.events)
        .await
        .unwrap_err();
    let described = report::error::describe(&error);
    assert_eq!(described.code, ExitCode::LeftBehind);
    let text = "the pool is kept, because vcluster did not create what is in it: /demo/mine.qcow2 on bm2";
    assert_eq!(described.lines, [text]);
    let hint = "move it elsewhere or delete it, then run the command again";
    assert_eq!(described.hint.as_deref(), Some(hint));
    assert!(world.dir("demo").exists(), "the next `gc` finds the rest by it");
}
