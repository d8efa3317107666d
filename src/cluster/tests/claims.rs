use super::{World, keeps_all};
use crate::base::units::Moment;
use crate::cluster::leases::{Extension, claims, extend};
use crate::cluster::open::Cluster;
use crate::engine::{ClaimError, Fleet};

#[tokio::test]
async fn up_again_plans_nothing() {
    let world = World::new();
    world.raise("demo", 6).await;
    let before = world.hosts.contents();
    let again = world.observe("demo", 6).await;
    assert_eq!(again.plan.actions.len(), 6);
    assert!(keeps_all(&again.plan));
    assert_eq!(world.hosts.contents(), before, "observing changes nothing");
}

#[tokio::test]
async fn a_cluster_that_another_command_holds_is_not_claimed() {
    let world = World::new();
    world.raise("demo", 3).await;
    let mut first = world.observe("demo", 3).await;
    first.claim(&world.events).await.unwrap();
    let mut second = world.observe("demo", 3).await;
    let error = second.claim(&world.events).await.unwrap_err();
    assert!(matches!(error, ClaimError::Busy { .. }), "{error}");
    first.fleet.close().await;
    second.claim(&world.events).await.unwrap();
}

#[tokio::test]
async fn of_two_plans_made_from_the_same_claims_the_second_is_refused_and_claims_nothing() {
    let world = World::new();
    let mut one = world.observe("one", 3).await;
    let mut two = world.observe("two", 3).await;
    one.claim(&world.events).await.unwrap();
    let error = two.claim(&world.events).await.unwrap_err();
    assert!(error.is_passing() && error.left_nothing(), "{error}");
    let clusters = world.hosts.contents().into_values().flat_map(|host| host.claims);
    assert!(
        clusters
            .into_iter()
            .all(|(cluster, _)| cluster.name.as_str() == "one")
    );
}

#[tokio::test]
async fn a_claim_that_fails_on_one_host_is_withdrawn_on_the_others() {
    let world = World::new();
    world.hosts.fail("bm3", "hold");
    let mut situation = world.observe("demo", 3).await;
    let error = situation.claim(&world.events).await.unwrap_err();
    assert!(error.is_of_hosts(), "{error}");
    assert!(!situation.is_claimed());
    assert!(world.hosts.are_empty(), "{:?}", world.hosts.contents());
}

#[tokio::test]
async fn a_lease_is_extended_on_every_host_and_in_the_record() {
    let world = World::new();
    world.raise("demo", 3).await;
    let cluster = Cluster::read(&world.root, &"demo".parse().unwrap()).unwrap();
    let end: Moment = "2100-01-31T12:00:00Z".parse().unwrap();
    let access = world.hosts.access();
    let extended = extend(&cluster, Extension::To(end), &access, &world.events)
        .await
        .unwrap();
    assert_eq!(extended, Some(end));
    let again = Cluster::read(&world.root, &"demo".parse().unwrap()).unwrap();
    assert_eq!(again.record.expires, Some(end));
    let (fleet, _) = Fleet::connect(&cluster.record.hosts, &access, &world.events).await;
    let claims = claims(&cluster, &fleet, &world.events).await;
    assert_eq!(claims.len(), 3);
    assert!(claims.iter().all(|claim| claim.expires == Some(end)));
}

#[tokio::test]
async fn an_extension_that_fails_on_a_host_is_an_error_and_holds_on_the_others() {
    let world = World::new();
    world.raise("demo", 3).await;
    world.hosts.fail("bm2", "rewrite_claim");
    let cluster = Cluster::read(&world.root, &"demo".parse().unwrap()).unwrap();
    let error = extend(&cluster, Extension::Never, &world.hosts.access(), &world.events)
        .await
        .unwrap_err();
    assert!(format!("{error:#}").contains("bm2"), "{error:#}");
    let claims = world.hosts.contents().into_values().flat_map(|host| host.claims);
    let endless = claims.filter(|(_, claim)| claim.expires.is_none()).count();
    assert_eq!(endless, 2);
}
