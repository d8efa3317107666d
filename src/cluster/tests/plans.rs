use super::World;
use crate::base::exit::ExitCode;
use crate::cluster::nodes::login_user;
use crate::cluster::situation;
use crate::report;

#[tokio::test]
async fn a_plan_of_observed_hosts_is_shown_per_host_with_reasons() {
    let world = World::new();
    world.raise("demo", 6).await;
    let plan = world.observe("demo", 8).await.plan;
    let vxlan = plan.network.vxlan.as_ref().unwrap();
    // Both are derived from the random id of the cluster.
    let shown = report::plan::plan(&plan)
        .replace(&plan.network.bridge, "BRIDGE")
        .replace(&format!("vxlan {}", vxlan.vni), "vxlan VNI");
    insta::assert_snapshot!(shown, @r"
    demo: 8 nodes on 3 hosts, 10.21.0.0/16, mtu 1450, bridge BRIDGE, vxlan VNI

    bm1  3 of 4 nodes, memory 288 MiB of 63.5 GiB, vcpus 3 of 160
      keep     n[001,004]  up to date
      create   n007  does not exist yet

    bm2  3 of 4 nodes, memory 288 MiB of 63.5 GiB, vcpus 3 of 160
      keep     n[002,005]  up to date
      create   n008  does not exist yet

    bm3  2 of 4 nodes, memory 192 MiB of 63.5 GiB, vcpus 2 of 160
      keep     n[003,006]  up to date

    total: 2 to create, 6 to keep; memory 768 MiB, vcpus 8
    ");
}

#[tokio::test]
async fn a_cluster_that_does_not_fit_has_its_exit_code_and_a_hint_with_the_place_in_the_topology() {
    let world = World::new();
    let (topology, dir) = (world.topology("demo", 13), world.dir("demo"));
    let planned = situation::observe(&world.options.plan(), topology, &dir, &world.events).await;
    let described = report::error::describe(&planned.err().unwrap());
    assert_eq!(described.code, ExitCode::DoesNotFit);
    let hint = "add hosts, or raise their `max_nodes` (t.yaml:6:3)";
    assert_eq!(described.hint.as_deref(), Some(hint));
    assert!(
        described.lines[0].starts_with("`n013` does not fit: it needs 96 MiB of memory and 1 vCPU; `bm1`"),
        "{described:?}"
    );
    assert!(world.hosts.are_empty());
}

#[tokio::test]
async fn a_plan_without_a_login_user_is_an_error_with_a_hint() {
    let mut node = World::new().observe("demo", 1).await.plan.nodes.remove(0);
    assert_eq!(login_user(&node).unwrap(), "root");
    node.user = None;
    let error = login_user(&node).unwrap_err();
    assert_eq!(error.code, ExitCode::ApplyFailed);
    assert!(error.hint.is_some());
}
