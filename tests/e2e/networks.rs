//! Nodes with several networks and several disks.

use crate::world::{World, on_host};

const CLUSTER: &str = r#"
networks:
  storage: { subnet: 10.88.0.0/24, mtu: 1400 }
groups:
  osd: { count: 2, place: spread, networks: [cluster, storage], disks: [{ size: 64MiB }, { size: 32MiB }] }
  mon: { count: 1 }
configure:
  - { on: "@osd", content: "{{node.addresses.storage}}", to: /root/storage }
"#;

/// The same nodes, without the second network and without disks.
const PLAIN: &str = "
groups:
  osd: { count: 2, place: spread }
  mon: { count: 1 }
";

#[test]
fn nodes_have_the_networks_and_disks_that_they_ask_for_until_they_no_longer_do() {
    let world = World::new();
    world.topology("bm[01-02]", CLUSTER);
    world.run(&["up"]).code(0);
    an_interface_has_the_address_that_templates_show(&world);
    the_second_network_connects_the_hosts(&world);
    disks_are_found_by_their_number(&world);
    for host in ["bm01", "bm02"] {
        let (networks, disks) = held_by(host, &world);
        assert_eq!(networks.len(), 4, "bridge and VXLAN of both: {networks:?}");
        assert_eq!(disks.len(), 2, "{disks:?}");
    }

    let again = world.run(&["up", "--format", "json"]).code(0);
    assert!(
        !again.stdout.contains(r#""stage":"start""#),
        "nothing has changed: {}",
        again.stdout
    );
    assert_eq!(
        on(&world, "osd001", "head -c 4 /dev/disk/by-id/virtio-disk1; echo"),
        "osd001: kept\n"
    );

    world.topology("bm[01-02]", PLAIN);
    let plan = world.run(&["plan"]).code(0).stdout;
    assert!(plan.contains("storage"), "the reason: {plan}");
    world.run(&["up"]).code(0);
    on(
        &world,
        "osd001",
        "test ! -e /sys/class/net/eth1 && test ! -e /dev/disk/by-id",
    );
    for host in ["bm01", "bm02"] {
        let (networks, disks) = held_by(host, &world);
        assert_eq!(networks.len(), 2, "bridge and VXLAN of one: {networks:?}");
        assert_eq!(disks, Vec::<String>::new());
    }
    world.run(&["down", "-y"]).code(0);
    assert_eq!(world.traces(), Vec::<String>::new());
}

fn an_interface_has_the_address_that_templates_show(world: &World) {
    let shown = "ip -4 addr show dev eth1 | grep -c \"inet $(cat /root/storage)/24 \"; \
        cat /sys/class/net/eth1/mtu /sys/class/net/eth0/mtu";
    for node in ["osd001", "osd002"] {
        assert_eq!(
            on(world, node, shown),
            format!("{node}: 1\n{node}: 1400\n{node}: 1550\n")
        );
    }
    on(world, "mon001", "test ! -e /sys/class/net/eth1");
}

fn the_second_network_connects_the_hosts(world: &World) {
    // A packet of its MTU, with the headers of IP and ICMP.
    on(world, "osd001", "ping -c1 -W5 -s 1372 osd002.storage >/dev/null");
    on(world, "mon001", "ping -c1 -W5 osd002 >/dev/null");
}

fn disks_are_found_by_their_number(world: &World) {
    let sizes = "for n in 1 2; do blockdev --getsize64 /dev/disk/by-id/virtio-disk$n; done";
    assert_eq!(
        on(world, "osd002", sizes),
        format!("osd002: {}\nosd002: {}\n", 64 << 20, 32 << 20)
    );
    on(
        world,
        "osd001",
        "printf kept | dd of=/dev/disk/by-id/virtio-disk1 conv=notrunc 2>/dev/null && sync",
    );
    on(world, "mon001", "test ! -e /dev/disk/by-id");
}

/// The output of a command on a node, which succeeds.
fn on(world: &World, node: &str, command: &str) -> String {
    world.run(&["exec", "-w", node, "--", command]).code(0).stdout
}

/// The links of the cluster on a host, and the files of further disks.
fn held_by(host: &str, world: &World) -> (Vec<String>, Vec<String>) {
    let listed = |script: &str| -> Vec<String> {
        let output = on_host(host, script);
        assert!(output.status.success(), "{host}: {output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(str::to_owned).collect()
    };
    let name = &world.name;
    let links = format!(
        "for l in /sys/class/net/vc[bx]*; do ! grep -qs ^vcluster:{name}: $l/ifalias || echo ${{l##*/}}; done"
    );
    let files = format!("cd /var/lib/libvirt/images/vcluster/{name}.* && ls | grep 'disk[0-9]'; true");
    (listed(&links), listed(&files))
}
