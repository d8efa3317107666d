//! Several controllers on the same hosts: no capacity is reserved twice, one command works on a cluster at a time,
//! forgotten clusters are removed after their lease.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::world::{Ran, World, finish, json, on_host, signal};

const ROOT: &str = "/var/lib/libvirt/images/vcluster";
/// An upload as a crash leaves it.
const UPLOAD: &str = "0123456789abcdef.0123456789abcdef0123456789abcdef.part";

fn both(one: &World, two: &World, args: &[&str]) -> (Ran, Ran) {
    let (first, second) = (one.begin(args), two.begin(args));
    (finish(first), finish(second))
}

/// The output of a script on a host.
fn output_of(host: &str, script: &str) -> String {
    let output = on_host(host, script);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The claim of a cluster on a host, read without vcluster.
fn claim(world: &World, host: &str) -> serde_json::Value {
    json(&output_of(
        host,
        &format!("cat {ROOT}/{}.*/claim.json", world.name),
    ))
}

/// Sets the lease of a cluster to an expired one, on all hosts.
fn expire(world: &World) {
    for host in ["bm01", "bm02"] {
        let script = format!(
            "for c in {ROOT}/{}.*/claim.json; do [ ! -f $c ] || sed -i 's/\"expires\":[^,]*/\"expires\":\"2020-01-31T12:00:00Z\"/' $c; done",
            world.name
        );
        output_of(host, &script);
    }
}

/// Waits until a command holds the cluster's lock on a host.
fn wait_held(world: &World, host: &str) {
    let began = Instant::now();
    // The holder writes its name into the lock.
    let script = format!("[ ! -s {ROOT}/{}.*/lock ] || echo 1", world.name);
    while output_of(host, &script).trim() != "1" {
        assert!(began.elapsed() < Duration::from_mins(1), "the lock is never held");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn of_two_clusters_that_start_together_with_room_for_one_exactly_one_wins() {
    let (one, two) = (World::new(), World::new());
    for (world, subnet) in [(&one, 77), (&two, 78)] {
        // Each needs 7 of the 10 nodes allowed on both hosts.
        let rest = format!(
            "network: {{ subnet: 10.{subnet}.0.0/24 }}\ngroups: {{ n: {{ count: 14, memory: 64MiB, place: spread }} }}\n"
        );
        world.topology("bm[01-02]", &rest);
    }
    let args = ["up", "--boot-timeout", "3m"];
    let (first, second) = (one.begin(&args), two.begin(&args));
    // The loser ends early; the winner need not boot 14 guests for this.
    let began = Instant::now();
    let (mut first, mut second) = (first, second);
    let (loser, winner, lost, won) = loop {
        if first.try_wait().unwrap().is_some() {
            break (first, second, &one, &two);
        }
        if second.try_wait().unwrap().is_some() {
            break (second, first, &two, &one);
        }
        assert!(began.elapsed() < Duration::from_mins(2), "neither fails");
        std::thread::sleep(Duration::from_millis(50));
    };
    finish(loser).code(4).says("does not fit").says("max_nodes");
    assert_eq!(lost.traces(), Vec::<String>::new());
    assert!(!lost.state().exists());
    assert_eq!(claim(won, "bm01")["nodes"], 7);
    signal(&winner, Signal::SIGINT);
    finish(winner).code(130);
    assert_eq!(won.traces(), Vec::<String>::new());
}

#[test]
fn two_clusters_that_fit_come_up_together_and_share_neither_vni_nor_subnet() {
    let (one, two) = (World::new(), World::new());
    one.topology("bm[01-02]", "groups: { n: { count: 2, place: spread } }\n");
    two.topology(
        "bm[01-02]",
        "network: { subnet: 10.78.0.0/24 }\ngroups: { n: { count: 2, place: spread } }\n",
    );
    let (first, second) = both(&one, &two, &["up"]);
    first.code(0).says("lease ends at 20");
    second.code(0);
    for host in ["bm01", "bm02"] {
        let (a, b) = (claim(&one, host), claim(&two, host));
        assert!(a["vni"].is_number() && a["vni"] != b["vni"], "{a} {b}");
        assert_eq!(a["subnet"], "10.77.0.0/16");
    }
    // Equal subnets at the same time: one wins, the other fails and leaves nothing.
    one.run(&["down", "-y"]).code(0);
    two.run(&["down", "-y"]).code(0);
    one.topology("bm[01-02]", "groups: { n: { count: 1 } }\n");
    two.topology("bm[01-02]", "groups: { n: { count: 1 } }\n");
    let (first, second) = both(&one, &two, &["up"]);
    let (won, lost, world) = if first.code == Some(0) {
        (first, second, &two)
    } else {
        (second, first, &one)
    };
    won.code(0);
    lost.code(5).says("subnet 10.77.0.0/16 is in use");
    assert_eq!(world.traces(), Vec::<String>::new());
    assert!(!world.state().exists());
}

#[test]
fn one_command_works_on_a_cluster_and_the_error_of_the_next_names_it() {
    let world = World::new();
    world.topology(
        "bm[01-02]",
        "groups: { n: { count: 2, place: spread } }\n\
         configure: [ { on: \"@all\", run: \"sleep 30\" } ]\n",
    );
    let mut up = world.begin(&["up"]);
    wait_held(&world, "bm01");
    wait_held(&world, "bm02");
    // Another controller: with its own state, it shares only the locks on the hosts.
    let elsewhere = |args: &[&str]| world.run_elsewhere(args);
    elsewhere(&["up"])
        .code(5)
        .says("another id")
        .says("held by `vcluster up` on ");
    elsewhere(&["down", &world.name, "--hosts", "bm[01-02]", "-y"])
        .code(1)
        .says(&format!("pid {}", up.id()))
        .says("since 20")
        .says("wait for it to end");
    expire(&world);
    elsewhere(&["gc", "--hosts", "bm[01-02]", "-y"])
        .code(0)
        .says("by `vcluster up` on ");
    assert!(!world.traces().is_empty());

    up.kill().unwrap();
    up.wait().unwrap();
    let began = Instant::now();
    elsewhere(&["down", &world.name, "--hosts", "bm[01-02]", "-y"]).code(0);
    assert!(began.elapsed() < Duration::from_secs(30));
    assert_eq!(world.traces(), Vec::<String>::new());
    assert_eq!(
        world.run(&["down", "-y"]).code,
        Some(0),
        "its own record is removed too"
    );
}

#[test]
fn a_lease_is_extended_and_gc_and_reaper_remove_only_what_has_ended() {
    let (one, two) = (World::new(), World::new());
    one.topology(
        "bm[01-02]",
        "ttl: 30m\ngroups: { n: { count: 2, place: spread } }\n",
    );
    two.topology(
        "bm[01-02]",
        "ttl: never\nnetwork: { subnet: 10.78.0.0/24 }\ngroups: { n: { count: 2, place: spread } }\n",
    );
    one.run(&["up"]).code(0).says("lease ends at 20");
    two.run(&["up"]).code(0).says("its lease never ends");
    assert_eq!(claim(&two, "bm02")["expires"], serde_json::Value::Null);
    let end = |ran: Ran| json(&ran.code(0).stdout)["expires"].clone();
    let before = end(one.run(&["status", "--format", "json", "--no-ssh"]));
    let after = end(one.run(&["extend", "--by", "2h", "--format", "json"]));
    assert!(after.as_str() > before.as_str(), "{before} {after}");
    for host in ["bm01", "bm02"] {
        assert_eq!(claim(&one, host)["expires"], after);
    }
    let to = "2999-01-31T12:00:00Z";
    one.run(&["extend", "--to", to]).code(0).says(to);
    assert!(one.run(&["list"]).code(0).stdout.contains(to));
    for bad in [
        vec!["extend", "--by", "2"],
        vec!["extend", "--by", "1s"],
        vec!["extend", "--to", "tomorrow"],
        vec!["extend", "--to", "2020-01-31T12:00:00Z"],
        vec!["extend", "--never", "--by", "1h"],
        vec!["extend", "nosuch"],
        vec!["gc", "--older-than", "x"],
        vec!["reaper", "install"],
        vec!["reaper", "install", "--hosts", "bm01", "--every", "1s"],
        vec!["reaper", "script", "--every", "1m"],
        vec!["reaper", "status", "--hosts", "bm[01-"],
    ] {
        one.run(&bad).code(2);
    }
    one.run(&["gc", "-y"]).code(0).says("nothing to remove");

    expire(&one);
    let dry = one.run(&["gc", "--dry-run"]).code(0).stdout;
    assert!(
        dry.contains(&one.name) && dry.contains("its lease ended at 2020-01-31T12:00:00Z"),
        "{dry}"
    );
    assert!(!dry.contains(&two.name), "{dry}");
    one.run(&["gc", "-y"]).code(0).says("removed 1 cluster");
    assert_eq!(one.traces(), Vec::<String>::new());
    assert!(!one.state().exists());
    two.run(&["exec", "--", "true"]).code(0);

    the_reaper_removes_what_has_ended(&one, &two);
    two.run(&["down", "-y"]).code(0);
}

fn the_reaper_removes_what_has_ended(one: &World, two: &World) {
    let hosts = ["--hosts", "bm[01-02]"];
    for host in ["bm01", "bm02"] {
        // The hosts of the lab share a read-only root file system.
        output_of(host, "mount -t tmpfs tmpfs /usr/local/sbin");
    }
    let with = |verb: &str| one.run(&["reaper", verb, hosts[0], hosts[1], "--format", "json"]);
    let installed = json(&with("install").code(0).stdout);
    assert_eq!(installed["hosts"][1]["current"], true, "{installed}");
    one.run(&["up"]).code(0);
    let reap = "/usr/local/sbin/vcluster-reaper";
    assert_eq!(output_of("bm01", reap), "", "nothing has ended");
    expire(one);
    assert!(
        output_of("bm01", &format!("{reap} --dry-run"))
            .contains(&format!("would remove cluster {}", one.name))
    );
    for host in ["bm01", "bm02"] {
        let words = output_of(host, reap);
        assert!(
            words.contains(&format!("removed domain {}.n00", one.name)),
            "{words}"
        );
        assert!(!words.contains("left") && !words.contains(&two.name), "{words}");
    }
    assert_eq!(one.traces(), Vec::<String>::new());
    two.run(&["exec", "--", "true"]).code(0);
    let gone = json(&with("remove").code(0).stdout);
    assert_eq!(gone["hosts"][0]["installed"], false, "{gone}");
    for host in ["bm01", "bm02"] {
        assert_eq!(output_of(host, "ls /usr/local/sbin"), "");
        output_of(host, "umount /usr/local/sbin");
    }
    one.run(&["down", "-y"]).code(0);
}

#[test]
fn gc_removes_what_crashes_and_a_down_left_and_nothing_foreign() {
    let world = World::new();
    world.topology("bm[01-02]", "groups: { n: { count: 2, place: spread } }\n");
    world.run(&["up"]).code(0);
    // A crash in the middle of a removal: links remain, the directory with its claim is gone. And other leftovers.
    let name = &world.name;
    output_of(
        "bm02",
        &format!(
            "virsh -q destroy {name}.n002 && virsh -q undefine {name}.n002 && p=$(virsh -q pool-list --name | grep '[.]{name}[.]') && \
             virsh -q pool-destroy $p && virsh -q pool-undefine $p && rm -rf {ROOT}/{name}.* && \
             mkdir {ROOT}/.new.a1b2c3 && touch {ROOT}/images/{UPLOAD} && ip link add vcb00000000 type bridge && mkdir {ROOT}/foreign"
        ),
    );
    let seen = world.traces();
    assert!(seen.iter().any(|trace| trace.starts_with("bm02: ")), "{seen:?}");
    world.run(&["gc", "-y"]).code(0).says("nothing to remove");
    world
        .run(&["gc", "-y", "--older-than", "0s"])
        .code(0)
        .says("leftover of a crash")
        .says("other objects");
    let seen = world.traces();
    assert!(!seen.iter().any(|trace| trace.starts_with("bm02: ")), "{seen:?}");
    assert!(seen.iter().any(|trace| trace.starts_with("bm01: ")), "{seen:?}");
    let left = output_of(
        "bm02",
        &format!(
            "ls -A {ROOT} {ROOT}/images; ip -br link show vcb00000000; ip link del vcb00000000; rmdir {ROOT}/foreign"
        ),
    );
    assert!(!left.contains(".new") && !left.contains(".part"), "{left}");
    assert!(left.contains("foreign") && left.contains("vcb00000000"), "{left}");

    // A `down` that could not reach a host: the leftovers are removed when the host is back.
    world.run(&["up"]).code(0);
    let topology = std::fs::read_to_string(
        world
            .path("state")
            .join("vcluster")
            .join(name)
            .join("cluster.json"),
    );
    let away = topology.unwrap().replace("root@bm02", "root@bm02:1");
    std::fs::write(world.state().join("cluster.json"), &away).unwrap();
    let journal = world.state().join("journal.jsonl");
    let intents = std::fs::read_to_string(&journal).unwrap();
    std::fs::write(&journal, intents.replace("root@bm02", "root@bm02:1")).unwrap();
    world
        .run(&["down", "-y", "--connect-timeout", "5s"])
        .code(7)
        .says("bm02");
    assert!(!world.traces().is_empty());
    let back = away.replace("root@bm02:1", "root@bm02");
    std::fs::write(world.state().join("cluster.json"), back).unwrap();
    world
        .run(&["gc", "-y"])
        .code(0)
        .says("did not reach all its hosts");
    assert_eq!(world.traces(), Vec::<String>::new());
    assert!(!world.state().exists());
}
