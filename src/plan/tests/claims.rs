//! What other clusters are promised counts as if it existed.

use super::fixture::{ID, OTHER_ID, World, layout};
use crate::base::exit::ExitCode;
use crate::base::failure::UserFacing;
use crate::base::units::MiB;
use crate::inventory::{CLAIM_VERSION, Claim, ClaimedNetwork, ObservedClaim, ShortId};
use crate::plan::Plan;
use crate::topology::Place;

fn claim(world: &mut World, host: &str, change: impl Fn(&mut Claim)) {
    let mut claim = Claim {
        version: CLAIM_VERSION,
        cluster: "other".parse().unwrap(),
        id: OTHER_ID,
        controller: "elsewhere".into(),
        made: "2026-01-31T12:00:00Z".parse().unwrap(),
        expires: None,
        subnet: None,
        vni: None,
        networks: Vec::new(),
        nodes: 1,
        memory: MiB(100),
        vcpus: 1,
        disk: MiB(0),
    };
    change(&mut claim);
    world.at(host).claims.push(ObservedClaim { claim, holder: None });
}

fn world() -> World {
    World::new().hosts(2, 1000, 16).group("a", 2, 600, Place::Pack)
}

#[test]
fn what_is_claimed_has_no_room_for_others() {
    let mut world = world();
    assert_eq!(layout(&world.plan().unwrap()), "bm1: a01 | bm2: a02");
    claim(&mut world, "bm1", |claim| claim.memory = MiB(500));
    let error = world.plan().unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::DoesNotFit);
    for (change, words) in [
        (
            (|claim: &mut Claim| claim.nodes = 10) as fn(&mut Claim),
            "max_nodes",
        ),
        (|claim| claim.vcpus = 16, "too few vCPUs"),
    ] {
        let mut world = self::world();
        claim(&mut world, "bm2", change);
        let error = world.plan().unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn of_a_cluster_the_larger_of_claim_and_nodes_counts_and_not_both() {
    let mut world = world();
    world.add_other("bm1", 300, [10, 9, 0, 2]);
    claim(&mut world, "bm1", |claim| claim.memory = MiB(400));
    assert!(world.plan().is_ok(), "300 of the 400 exist already");
    world.add_other("bm1", 200, [10, 9, 0, 3]);
    assert!(world.plan().is_err(), "it has more than it claims");
}

#[test]
fn its_own_claim_takes_nothing_from_a_cluster_and_keeps_its_vni() {
    let mut world = world();
    let own = |claim: &mut Claim| {
        claim.cluster = "demo".parse().unwrap();
        claim.id = ID;
        claim.memory = MiB(900);
        claim.vni = Some(4711);
    };
    claim(&mut world, "bm1", own);
    let plan = world.plan().unwrap();
    assert_eq!(plan.network.vxlan.as_ref().unwrap().vni, 4711);
    let claimed = plan.claimed_capacity(&"bm1".parse().unwrap());
    assert_eq!(
        (claimed.nodes, claimed.memory, claimed.vni),
        (1, MiB(600), Some(4711))
    );
    assert_eq!(claimed.subnet, Some(plan.network.subnet));
    assert_eq!(plan.claimed_capacity(&"bm9".parse().unwrap()).nodes, 0);
}

#[test]
fn a_vni_that_another_cluster_claims_is_not_taken() {
    let vni = |plan: &Plan| plan.network.vxlan.as_ref().unwrap().vni;
    let mut world = world();
    let wanted = vni(&world.plan().unwrap());
    claim(&mut world, "bm2", |claim| claim.vni = Some(wanted));
    assert_eq!(vni(&world.plan().unwrap()), wanted + 1);
    // Not even if this cluster has claimed it as well: then two controllers had collided.
    claim(&mut world, "bm1", |claim| {
        claim.id = ID;
        claim.vni = Some(wanted);
    });
    assert_ne!(vni(&world.plan().unwrap()), wanted);
}

#[test]
fn a_subnet_that_another_cluster_claims_on_a_host_of_both_is_refused() {
    let mut world = world();
    claim(&mut world, "bm2", |claim| {
        claim.subnet = Some("10.77.5.0/24".parse().unwrap());
    });
    let error = world.plan().unwrap_err().to_string();
    assert_eq!(
        error,
        "subnet 10.77.0.0/16 is in use on `bm2`: cluster `other` claims 10.77.5.0/24 there"
    );
    // No conflict on a host that the plan does not use.
    let mut world = World::new().hosts(2, 1000, 16).group("a", 1, 600, Place::Pack);
    claim(&mut world, "bm2", |claim| {
        claim.subnet = Some("10.77.5.0/24".parse().unwrap());
    });
    assert_eq!(layout(&world.plan().unwrap()), "bm1: a01");
}

#[test]
fn what_others_claim_for_further_networks_is_not_taken() {
    let vni = |plan: &Plan| plan.networks[0].vxlan.as_ref().unwrap().vni;
    let mut world = world().network("storage", "10.78.0.0/16", &["a"]);
    let wanted = vni(&world.plan().unwrap());
    let further = |vni, subnet: Option<&str>| ClaimedNetwork {
        name: "storage".parse().unwrap(),
        subnet: subnet.map(|subnet| subnet.parse().unwrap()),
        vni,
    };
    claim(&mut world, "bm2", |claim| {
        claim.networks = vec![further(Some(wanted), None)];
    });
    assert_eq!(vni(&world.plan().unwrap()), wanted + 1);
    // What this cluster was promised, for this network and for another one.
    claim(&mut world, "bm1", |claim| {
        claim.id = ID;
        claim.cluster = "demo".parse().unwrap();
        claim.networks = vec![further(Some(4711), None)];
        claim.vni = Some(4712);
    });
    let plan = world.plan().unwrap();
    assert_eq!(vni(&plan), 4711);
    assert_eq!(plan.network.vxlan.as_ref().unwrap().vni, 4712);
    let claimed = plan.claimed_capacity(&"bm1".parse().unwrap());
    assert_eq!(claimed.networks[0].vni, Some(4711));
    claim(&mut world, "bm2", |claim| {
        claim.networks = vec![further(None, Some("10.78.5.0/24"))];
    });
    assert_eq!(
        world.plan().unwrap_err().to_string(),
        "subnet 10.78.0.0/16 of network `storage` is in use on `bm2`: cluster `other` claims 10.78.5.0/24 there"
    );
}

#[test]
fn an_error_about_a_taken_name_names_the_creator_or_holder() {
    let mut world = world();
    claim(&mut world, "bm1", |claim| claim.cluster = "demo".parse().unwrap());
    let mut object = super::fixture::object("directory", "demo.fedcba98");
    object.short_id = ShortId::of(OTHER_ID);
    world.at("bm1").objects.push(object);
    let error = world.plan().unwrap_err().to_string();
    assert!(
        error.contains("created from elsewhere at 2026-01-31T12:00:00Z"),
        "{error}"
    );
    world.at("bm1").claims[0].holder = Some("`vcluster up` on elsewhere".into());
    let error = world.plan().unwrap_err().to_string();
    assert!(error.contains("held by `vcluster up` on elsewhere"), "{error}");
}
