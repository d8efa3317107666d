//! Invalid input and failures: a clear error, the documented exit code, and nothing left.

use crate::world::{World, on_host};

#[test]
fn a_host_that_refuses_or_does_not_exist_is_named_and_nothing_is_created() {
    let world = World::new();
    world.write(
        "topology.yaml",
        "name: NAME\nhosts:\n  bm01: { uri: \"qemu+ssh://root@bm01/system\" }\n  \
         gone: { uri: \"qemu+ssh://root@10.90.0.200/system\" }\n  \
         closed: { uri: \"qemu+ssh://root@bm01:1/system\" }\ngroups: { n: { count: 2 } }\n",
    );
    let ran = world
        .run(&["up", "--connect-timeout", "5s"])
        .code(5)
        .says("gone")
        .says("closed");
    assert!(!ran.stderr.contains("panicked"));
    assert_eq!(world.traces(), Vec::<String>::new());
    assert!(!world.state().exists());
}

#[test]
fn too_many_nodes_are_refused_with_the_first_that_does_not_fit() {
    let world = World::new();
    world.topology("bm[01-02]", "groups: { n: { count: 21 } }\n");
    world.run(&["up"]).code(4).says("n021").says("max_nodes");
    assert_eq!(world.traces(), Vec::<String>::new());
}

#[test]
fn a_guest_that_never_boots_is_an_error_with_its_console_and_down_removes_it() {
    let world = World::new();
    world.write_silent_disk("silent.raw");
    world.topology(
        "bm01",
        "images: { broken: { from: ./silent.raw, user: root } }\ngroups: { n: { count: 1, image: broken, memory: 64MiB } }\n",
    );
    world
        .run(&["up", "--boot-timeout", "8s"])
        .code(5)
        .says("n001")
        .says("vcluster down");
    world.run(&["down", "-y"]).code(0);
    assert_eq!(world.traces(), Vec::<String>::new());
}

#[test]
fn objects_that_are_not_ours_are_never_touched() {
    let world = World::new();
    world.topology("bm01", "groups: { n: { count: 1 } }\n");
    world.run(&["up"]).code(0);
    // A domain with a name like ours but without a mark, and a foreign link.
    let domain = format!("{}.n009", world.name);
    let xml = format!(
        "<domain type='qemu'><name>{domain}</name><memory unit='MiB'>32</memory><os><type>hvm</type></os></domain>"
    );
    let made = on_host(
        "bm01",
        &format!(
            "printf %s \"{xml}\" >/tmp/foreign.xml && virsh -q define /tmp/foreign.xml && ip link add foreign0 type bridge"
        ),
    );
    assert!(made.status.success(), "{made:?}");
    world.run(&["down", "-y"]).code(0);
    let seen = on_host(
        "bm01",
        &format!(
            "virsh domid {domain} >/dev/null && ip link show foreign0 >/dev/null; echo $?; virsh -q undefine {domain}; ip link del foreign0; rm -f /tmp/foreign.xml"
        ),
    );
    assert!(
        String::from_utf8_lossy(&seen.stdout).starts_with("0\n"),
        "{seen:?}"
    );
}

#[test]
fn mistakes_in_a_topology_are_all_reported_and_no_host_is_contacted() {
    let world = World::new();
    world.write(
        "topology.yaml",
        "name: NAME\nhosts:\n  bm01: { uri: \"qemu+ssh://root@10.90.0.200/system\" }\n\
         groups:\n  n: { count: 2, memry: 96MiB, image: mikro }\nconfigure:\n  - { on: \"@x\", template: none.hbs, to: /x }\n",
    );
    let ran = world
        .run(&["up"])
        .code(3)
        .says("memry")
        .says("mikro")
        .says("none.hbs")
        .says("topology.yaml:5:");
    assert!(
        ran.stderr.contains("memory"),
        "the nearest key is named: {}",
        ran.stderr
    );
    world.run(&["down", "-y"]).code(2);
}
