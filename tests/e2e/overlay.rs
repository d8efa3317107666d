//! The VXLAN between the hosts is proved before guests start.

use crate::world::{World, on_host};

/// Removes the rule, even if the test fails.
struct Rule;

impl Rule {
    fn add() -> Self {
        let rule = "nft 'add table inet test_vxlan; \
            add chain inet test_vxlan in { type filter hook input priority 0; policy accept; }; \
            add rule inet test_vxlan in udp dport 4789 drop'";
        let added = on_host("bm02", rule);
        assert!(added.status.success(), "{added:?}");
        Self
    }
}

impl Drop for Rule {
    fn drop(&mut self) {
        on_host("bm02", "nft delete table inet test_vxlan");
    }
}

#[test]
fn a_firewall_that_drops_the_vxlan_is_named_with_the_pair_before_guests_start() {
    let world = World::new();
    world.topology("bm[01-02]", "groups: { n: { count: 2, place: spread } }\n");
    let rule = Rule::add();
    let doctor = world.run(&["doctor"]);
    assert!(
        doctor
            .stdout
            .contains("drops UDP port 4789: `udp dport 4789 drop`"),
        "{doctor:?}"
    );
    world
        .run(&["up", "topology.yaml"])
        .code(5)
        .says("no packets pass the VXLAN between `bm01` and bm02 (UDP port 4789, VNI ")
        .says("MTU 1550")
        .says("allow UDP port 4789");
    let domains = on_host("bm01", "virsh list --all --name");
    let domains = String::from_utf8(domains.stdout).unwrap();
    assert!(!domains.contains(&format!("{}.", world.name)), "{domains}");

    drop(rule);
    world.run(&["up", "topology.yaml"]).code(0);
    let doctor = world.run(&["doctor"]).code(0);
    assert!(
        doctor.stdout.contains("full packets pass the VXLAN"),
        "{}",
        doctor.stdout
    );
    let rule = Rule::add();
    let doctor = world.run(&["doctor"]).code(5);
    assert!(
        doctor.stdout.contains("no packets pass the VXLAN to bm02"),
        "{}",
        doctor.stdout
    );
    drop(rule);
    world.run(&["down", "topology.yaml", "-y"]).code(0);
}
