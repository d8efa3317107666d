//! The VXLAN between the hosts is proved before guests start.

use std::time::Duration;

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

/// Lets a guest run again, even if the test fails.
struct Suspended(String);

impl Suspended {
    fn begin(world: &World, node: &str) -> Self {
        let domain = format!("{}.{node}", world.name);
        let done = on_host("bm02", &format!("virsh suspend {domain}"));
        assert!(done.status.success(), "{done:?}");
        Self(domain)
    }
}

impl Drop for Suspended {
    fn drop(&mut self) {
        on_host("bm02", &format!("virsh resume {}", self.0));
    }
}

/// Three requests for its Ethernet address, as Linux makes them by default, end after 3 s: "No route to host". Both nodes
/// are on one host: for nodes of other hosts, the host itself answers.
#[test]
fn a_node_waits_for_a_peer_that_does_not_get_a_cpu() {
    let world = World::new();
    world.topology("bm02", "groups: { n: { count: 2 } }\n");
    world.run(&["up", "topology.yaml"]).code(0);
    let suspended = Suspended::begin(&world, "n002");
    let resumes = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(8));
        drop(suspended);
    });
    // Its Ethernet address is not known yet.
    let greeting =
        "peer=$(awk '/n002/ { print $1; exit }' /etc/hosts) && ! ip neigh | grep \"^$peer .*lladdr\" &&
        timeout 100 nc $peer 22 </dev/null | head -c 4";
    let greeted = world.run(&["exec", "-w", "n001", "--", greeting]).code(0);
    assert!(greeted.stdout.contains("SSH-"), "{greeted:?}");
    resumes.join().unwrap();
    world.run(&["down", "topology.yaml", "-y"]).code(0);
}
