//! The main job: up, use, run, down.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use crate::world::{World, find, json};

const CLUSTER: &str = r#"
groups:
  web: { count: 2, place: spread }
  db:  { count: 1 }
vars: { greeting: "hello 'world'" }
configure:
  - { on: "@all", template: note.hbs, to: /etc/note, mode: "0640" }
  - { on: "@db", run: "test -s /etc/note && echo done > /root/configured" }
workload:
  - name: work
    on: "@all"
    run: "date +%s; hostname | tee /tmp/name; ping -c3 -W5 web002 >/dev/null && echo reached"
    barrier: true
    collect: [/tmp/name]
"#;

#[test]
fn up_run_exec_and_down_do_the_main_job_and_leave_nothing() {
    let world = World::new();
    world.write(
        "note.hbs",
        "{{vars.greeting}} from {{node.name}} at {{node.address}}\n",
    );
    world.topology("bm[01-02]", CLUSTER);

    world
        .run(&["up", "topology.yaml"])
        .code(0)
        .says("is up: 3 nodes on 2 hosts");
    status_shows_three_running_nodes_on_two_hosts(&world);

    let name = world.name.as_str();
    let ran = world
        .run(&["exec", "-c", name, "-w", "@all", "--", "cat", "/etc/note"])
        .code(0);
    for node in ["web001", "web002", "db001"] {
        assert!(
            ran.stdout
                .contains(&format!("{node}: hello 'world' from {node} at 10.77.0.")),
            "{}",
            ran.stdout
        );
    }
    let mode = world.run(&[
        "exec",
        "-c",
        name,
        "-w",
        "db001",
        "--",
        "stat -c %a /etc/note; cat /root/configured",
    ]);
    assert_eq!(mode.code(0).stdout, "db001: 640\ndb001: done\n");

    workload_keeps_output_and_files(&world);
    files_go_there_and_back(&world);
    odd_files_cost_no_other(&world);
    what_cannot_be_collected_does_not_stop_a_run(&world);

    // Nothing is missing, so `up` does nothing.
    let again = world.run(&["up", "topology.yaml", "--format", "json"]).code(0);
    assert!(!again.stdout.contains(r#""stage":"start""#), "{}", again.stdout);

    world
        .run(&["down", "topology.yaml", "-y"])
        .code(0)
        .says("nothing is left");
    assert_eq!(world.traces(), Vec::<String>::new());
    world.run(&["down", name, "-y"]).code(2).says("no cluster");
}

fn status_shows_three_running_nodes_on_two_hosts(world: &World) {
    let status = json(&world.run(&["status", "--format", "json"]).code(0).stdout);
    let nodes = status["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 3);
    assert!(
        nodes
            .iter()
            .all(|node| node["state"] == "running" && node["ssh"] == "ok"),
        "{status}"
    );
    let host = |name: &str| nodes.iter().find(|node| node["node"] == name).unwrap()["host"].clone();
    assert_ne!(host("web001"), host("web002"), "{status}");
}

fn workload_keeps_output_and_files(world: &World) {
    let results = world.path("results");
    let junit = world.path("junit.xml");
    let ran = world.run(&[
        "run",
        "--results",
        results.to_str().unwrap(),
        "--junit",
        junit.to_str().unwrap(),
    ]);
    let ran = ran.code(0);
    assert!(
        ran.stdout.contains("step work: 3 of 3 nodes passed"),
        "{}",
        ran.stdout
    );
    let mut starts = Vec::new();
    for node in ["web001", "web002", "db001"] {
        let text = std::fs::read_to_string(find(&results, &format!("{node}.out"))).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1..], [node, "reached"], "{text}");
        starts.push(lines[0].parse::<i128>().unwrap());
    }
    let fetched: Vec<_> = std::fs::read_dir(results).unwrap().collect();
    assert_eq!(fetched.len(), 1);
    let work = fetched[0].as_ref().unwrap().path().join("work");
    assert_eq!(
        std::fs::read_to_string(find(&work.join("db001"), "name")).unwrap(),
        "db001\n"
    );
    assert!(std::fs::read_to_string(junit).unwrap().contains("tests=\"3\""));
}

fn files_go_there_and_back(world: &World) {
    let name = world.name.as_str();
    std::fs::create_dir_all(world.path("tree/sub")).unwrap();
    world.write("tree/sub/script", "#!/bin/sh\necho \"it's here\"\n");
    let script = world.path("tree/sub/script");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o750)).unwrap();
    world
        .run(&["push", "-c", name, "-w", "@web", "tree", "/opt"])
        .code(0);
    let ran = world
        .run(&[
            "exec",
            "-c",
            name,
            "-w",
            "@web",
            "-b",
            "--",
            "/opt/tree/sub/script",
        ])
        .code(0);
    assert!(
        ran.stdout.contains("web[001-002]") && ran.stdout.contains("it's here"),
        "{}",
        ran.stdout
    );
    world
        .run(&["pull", "-c", name, "-w", "@web", "/opt/tree", "back"])
        .code(0);
    for node in ["web001", "web002"] {
        let back = find(&world.path("back").join(node), "script");
        assert_eq!(std::fs::read(&back).unwrap(), std::fs::read(&script).unwrap());
        assert_eq!(
            std::fs::metadata(&back).unwrap().permissions().mode() & 0o777,
            0o750
        );
    }
}

/// A log that grows and takes long to read, links, files of `/proc` and `/sys`, odd names, a socket, and the mode of a
/// directory that exists.
fn odd_files_cost_no_other(world: &World) {
    let on = |verb: &'static str| [verb, "-c", world.name.as_str(), "-w", "web001"];
    let run = |verb: &'static str, rest: &[&str]| world.run(&[&on(verb)[..], rest].concat());
    let make = "cd /tmp; echo content >b.1; ln -s b.1 rel; ln -s /tmp/b.1 abs; yes | head -c 4000000 >app.log; \
        (while sleep 0.02; do date; done >>app.log) >/dev/null 2>&1 </dev/null &";
    run("exec", &["--", make]).code(0);
    std::thread::sleep(std::time::Duration::from_secs(1));
    let sources = [
        "/tmp/app.log",
        "/tmp/rel",
        "/tmp/abs",
        "/proc/version",
        "/sys/class/net/lo/mtu",
    ];
    run("pull", &[&sources[..], &["odd"]].concat())
        .code(0)
        .says("1 file changed while it was read: app.log");
    let read = |name: &str| std::fs::read_to_string(world.path("odd/web001").join(name)).unwrap();
    assert!(!read("app.log").is_empty() && !read("app.log").contains('\0'));
    for (name, text) in [("rel", "content\n"), ("abs", "content\n"), ("mtu", "65536\n")] {
        assert_eq!(read(name), text, "{name}");
    }
    assert!(read("version").starts_with("Linux"));
    // One source that does not exist costs no other.
    run("pull", &["/tmp/nothing", "/tmp/b.1", "odd"])
        .code(5)
        .says("nothing");
    assert_eq!(read("b.1"), "content\n");

    std::fs::create_dir(world.path("root")).unwrap();
    std::fs::set_permissions(world.path("root"), std::fs::Permissions::from_mode(0o775)).unwrap();
    world.write("root/mnt-data\\x2dbig.mount", "odd");
    let _socket = UnixListener::bind(world.path("root/socket")).unwrap();
    run("push", &["root", "/"]).code(5).says("root/socket (a socket)");
    let seen = run("exec", &["--", "stat -c %a /root; ls /root"]).code(0);
    assert_eq!(seen.stdout, "web001: 700\nweb001: mnt-data\\x2dbig.mount\n");
}

fn what_cannot_be_collected_does_not_stop_a_run(world: &World) {
    let workload = r#"workload:
  - { name: first, on: web001, run: "echo kept >/tmp/kept", collect: [/tmp/none, /tmp/app.log, /tmp/kept] }
  - { name: second, on: web001, run: "killall sleep; true" }
"#;
    let (rest, _) = CLUSTER.split_once("workload:").unwrap();
    world.topology("bm[01-02]", &format!("{rest}{workload}"));
    let results = world.path("incomplete");
    let ran = world
        .run(&["run", "--results", results.to_str().unwrap()])
        .code(5)
        .says("incomplete: all steps passed");
    assert!(
        ran.stdout.contains("[not collected: nothing matches /tmp/none]"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.contains("step second: 1 of 1 node passed"),
        "{}",
        ran.stdout
    );
    assert_eq!(std::fs::read_to_string(find(&results, "kept")).unwrap(), "kept\n");
    assert!(
        !std::fs::read_to_string(find(&results, "app.log"))
            .unwrap()
            .is_empty()
    );
    let stored = json(&std::fs::read_to_string(find(&results, "results.json")).unwrap());
    let node = &stored["steps"][0]["nodes"][0];
    assert_eq!(node["outcome"], "passed");
    assert_eq!(node["uncollected"][0], "nothing matches /tmp/none");
    world.topology("bm[01-02]", CLUSTER);
}
