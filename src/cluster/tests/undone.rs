use std::collections::BTreeMap;

use proptest::prelude::*;

use super::World;
use crate::cluster::situation::Situation;
use crate::cluster::undo::undo;

/// Undoes what this `up` created.
async fn take_back(world: &World, up: &Situation) -> anyhow::Result<()> {
    let touched = up.taking_part();
    let none = BTreeMap::new();
    undo(&up.dir, &touched, &up.plan, &up.first, &none, &world.events).await
}

/// Interrupts an `up` of `nodes` nodes after it created those that `made` selects, on hosts where an earlier `up`
/// created a cluster of `before` nodes.
async fn interrupted(before: usize, nodes: usize, made: &[bool]) {
    let world = World::new();
    if before > 0 {
        world.raise("demo", before).await;
    }
    let found = world.hosts.contents();
    let mut up = world.observe("demo", nodes).await;
    if before == 0 {
        crate::cluster::store::store(&world.options, &up).unwrap();
    }
    up.begin_round();
    up.claim(&world.events).await.unwrap();
    let there = |uuid| {
        let mut hosts = found.values();
        hosts.any(|host| host.nodes.iter().any(|node| node.uuid == uuid))
    };
    let mut chosen = made.iter().copied().cycle();
    world.hosts.apply(&up.plan, |node| {
        !there(node.uuid) && chosen.next().unwrap_or(false)
    });
    take_back(&world, &up)
        .await
        .unwrap_or_else(|error| panic!("{error:#}"));
    let now = world.hosts.contents();
    for (host, contents) in &found {
        assert_eq!(now[host].nodes, contents.nodes, "{host}: nodes as before");
        assert_eq!(now[host].claims, contents.claims, "{host}: claims as before");
    }
    if before == 0 {
        assert!(world.hosts.are_empty(), "{now:?}");
        assert!(!world.dir("demo").exists());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn undo_removes_what_this_command_created_and_nothing_else(
        before in 0_usize..6,
        more in 0_usize..6,
        made in proptest::collection::vec(any::<bool>(), 1..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(interrupted(before, (before + more).max(1), &made));
    }
}

#[tokio::test]
async fn undo_names_what_it_could_not_remove() {
    let world = World::new();
    let mut up = world.observe("demo", 3).await;
    crate::cluster::store::store(&world.options, &up).unwrap();
    up.begin_round();
    up.claim(&world.events).await.unwrap();
    world.hosts.apply(&up.plan, |_| true);
    world.hosts.fail("bm2", "remove_cluster");
    let error = take_back(&world, &up).await.unwrap_err();
    assert!(format!("{error:#}").contains("bm2"), "{error:#}");
    assert!(world.dir("demo").exists(), "`down` still finds it");
}
