//! Configuration steps on real SSH servers: what is written and run where, and what a failure leads to.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;

use proptest::prelude::{Just, Strategy, prop};
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use vcluster::base::name::NodeName;
use vcluster::configure::{DoneCommands, StepFault};

use crate::cluster::Cluster;
use crate::server::{asleep, wait_until_not_asleep};

fn ended(steps: &[(&str, usize, usize, usize)]) -> Vec<(String, usize, usize, usize)> {
    let owned =
        |&(name, ok, changed, failed): &(&str, usize, usize, usize)| (name.to_owned(), ok, changed, failed);
    steps.iter().map(owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_written_where_they_differ_and_commands_run_only_on_the_given_nodes() {
    let cluster = Cluster::new(
        3,
        r#"
configure:
  - { name: conf, on: "@all", content: "I am {{node.name}}\n", to: "DIR/{{node.name}}/conf", mode: "0640" }
  - { name: count, on: "@all", run: "test -s DIR/{{node.name}}/conf && echo {{node.name}} >>DIR/ran" }
"#,
    );
    let names = cluster.names();
    assert_eq!(cluster.configure(&names, 0).await, []);
    assert_eq!(
        cluster.ended_steps(),
        ended(&[("conf", 3, 3, 0), ("count", 3, 3, 0)])
    );
    for name in &names {
        let file = format!("{name}/conf");
        assert_eq!(cluster.read(&file), format!("I am {name}\n"));
        let mode = std::fs::metadata(cluster.path(&file))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o7777, 0o640);
    }

    std::fs::remove_file(cluster.path("n002/conf")).unwrap();
    assert_eq!(cluster.configure(&names[2..], 0).await, []);
    assert_eq!(
        cluster.ended_steps(),
        ended(&[("conf", 3, 1, 0), ("count", 1, 1, 0)])
    );
    let mut ran: Vec<_> = cluster.read("ran").lines().map(str::to_owned).collect();
    ran.sort();
    assert_eq!(ran, ["n001", "n002", "n003", "n003"]);
    cluster.nodes.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ended_well_is_not_run_again_until_its_node_is_forgotten_and_equal_steps_are_two() {
    let cluster = Cluster::new(
        2,
        r#"
configure:
  - { on: "@all", run: "echo one {{node.name}} >>DIR/ran" }
  - { on: "@all", run: "echo one {{node.name}} >>DIR/ran" }
  - { name: two, on: "@all", run: "echo two {{node.name}} >>DIR/ran; test {{node.name}} != n002 -o -e DIR/repaired" }
"#,
    );
    let names = cluster.names();
    let mut done = DoneCommands::default();
    let ran = || {
        let text = cluster.read("ran");
        let mut ran: Vec<String> = text.lines().map(str::to_owned).collect();
        ran.sort();
        std::fs::remove_file(cluster.path("ran")).unwrap();
        ran
    };
    let faults = cluster.configure_rest(&names, 0, &mut done).await;
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!(
        ran(),
        [
            "one n001", "one n001", "one n002", "one n002", "two n001", "two n002"
        ]
    );
    std::fs::write(cluster.path("repaired"), "").unwrap();
    cluster.ended_steps();
    assert_eq!(cluster.configure_rest(&names, 0, &mut done).await, []);
    assert_eq!(ran(), ["two n002"]);
    assert_eq!(cluster.ended_steps(), ended(&[("two", 1, 1, 0)]));
    done.forget(&names[0]);
    assert_eq!(cluster.configure_rest(&names, 0, &mut done).await, []);
    assert_eq!(ran(), ["one n001", "one n001", "two n001"]);
    cluster.nodes.close().await;
}

/// For each step, for each node: whether it is one of the step's, and whether it fails there.
type Steps = Vec<Vec<(bool, bool)>>;

const NODES: usize = 3;

fn steps() -> impl Strategy<Value = (Steps, usize)> {
    let node = prop::bool::ANY.prop_flat_map(|on| (Just(on), prop::bool::weighted(0.2)));
    let step = prop::collection::vec(node, NODES)
        .prop_filter("a step has nodes", |nodes| nodes.iter().any(|(on, _)| *on));
    (prop::collection::vec(step, 1..5), 0..NODES)
}

/// What must have run: the (step, node) pairs, and the nodes that are lost.
fn expected(steps: &Steps, may_lose: usize) -> (BTreeSet<(usize, usize)>, BTreeSet<usize>) {
    let (mut ran, mut lost) = (BTreeSet::new(), BTreeSet::new());
    for (step, nodes) in steps.iter().enumerate() {
        let before = lost.clone();
        for (node, (on, fails)) in nodes.iter().enumerate() {
            if *on && !before.contains(&node) {
                ran.insert((step, node));
                if *fails {
                    lost.insert(node);
                }
            }
        }
        if lost.len() > may_lose {
            break;
        }
    }
    (ran, lost)
}

fn yaml(steps: &Steps, case: usize, names: &[NodeName]) -> String {
    let mut text = String::from("configure:\n");
    for (step, nodes) in steps.iter().enumerate() {
        let chosen = |keep: fn(&(bool, bool)) -> bool, separator| {
            let marked = names.iter().zip(nodes).filter(|(_, node)| keep(node));
            let chosen: Vec<&str> = marked.map(|(name, _)| name.as_str()).collect();
            chosen.join(separator)
        };
        let (on, fails) = (chosen(|(on, _)| *on, ","), chosen(|(_, fails)| *fails, " "));
        text.push_str(&format!(
            "  - {{ name: s{step}, on: \"{on}\", run: \"echo {step} {{{{node.name}}}} >>DIR/ran{case}; \
             for n in none {fails}; do [ $n != {{{{node.name}}}} ] || exit 1; done\" }}\n"
        ));
    }
    text
}

#[test]
fn a_node_that_failed_is_skipped_and_too_many_failures_end_the_configuration() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _guard = runtime.enter();
    let cluster = std::cell::RefCell::new(Cluster::new(NODES, ""));
    let names = cluster.borrow().names();
    let cases = std::cell::Cell::new(0);
    let config = Config {
        cases: 16,
        failure_persistence: None,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&steps(), |(steps, may_lose)| {
        let case = cases.replace(cases.get() + 1);
        let mut cluster = cluster.borrow_mut();
        cluster.set_steps(&yaml(&steps, case, &names));
        let faults = runtime.block_on(cluster.configure(&names, may_lose));
        cluster.ended_steps();
        let (ran, lost) = expected(&steps, may_lose);
        let found: BTreeSet<String> = cluster
            .read(&format!("ran{case}"))
            .lines()
            .map(str::to_owned)
            .collect();
        let wanted = ran.iter().map(|(step, node)| format!("{step} {}", names[*node]));
        let failed: Vec<&NodeName> = faults.iter().map(|fault| &fault.node).collect();
        let all_lost: Vec<&NodeName> = lost.iter().map(|node| &names[*node]).collect();
        if found == wanted.collect() && failed == all_lost {
            Ok(())
        } else {
            Err(TestCaseError::fail(format!("ran {found:?}, faults {faults:?}")))
        }
    });
    outcome.unwrap();
    runtime.block_on(cluster.borrow().nodes.close());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timeout_says_what_ran_and_an_interrupt_ends_it_and_starts_nothing_more() {
    let mark = format!("47{}", std::process::id());
    let mut cluster = Cluster::new(
        2,
        &format!(
            r#"
configure:
  - {{ name: hang, on: n001, run: "echo DIR; sleep {mark}", timeout: 1s }}
  - {{ name: after, on: "@all", run: "echo {{{{node.name}}}} >>DIR/after" }}
"#
        ),
    );
    let names = cluster.names();
    let faults = cluster.configure(&names, 1).await;
    let [fault] = faults.as_slice() else {
        panic!("{faults:?}");
    };
    let text = fault.fault.to_string();
    assert!(
        text.starts_with("step `hang` timed out after 1s") && text.contains(&format!("sleep {mark}")),
        "{text}"
    );
    assert!(!asleep(&mark));
    assert_eq!(cluster.read("after"), "n002\n");
    assert_eq!(
        cluster.ended_steps(),
        ended(&[("hang", 0, 0, 1), ("after", 1, 1, 0)])
    );

    cluster.set_steps(&format!(
        r#"
configure:
  - {{ name: hang, on: "@all", run: "touch DIR/hangs; sleep {mark}" }}
  - {{ name: never, on: "@all", run: "touch DIR/never" }}
"#
    ));
    let interrupt = async {
        cluster.exists("hangs").await;
        cluster.cancel.cancel();
    };
    let (faults, ()) = tokio::join!(cluster.configure(&names, 2), interrupt);
    let interrupted: Vec<_> = faults
        .iter()
        .map(|fault| matches!(fault.fault, StepFault::Interrupted { .. }))
        .collect();
    assert_eq!(interrupted, [true, true], "{faults:?}");
    wait_until_not_asleep(&mark).await;
    assert!(!cluster.path("never").exists());
    cluster.nodes.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_rendered_or_read_names_its_step_and_fails_no_other_node() {
    let mut cluster = Cluster::new(2, "");
    // The file is there at validation and gone afterwards.
    std::fs::write(cluster.path("source"), "").unwrap();
    cluster.set_steps(
        r"
configure:
  - { name: source, on: n001, file: source, to: DIR/copy }
  - { name: twice, on: n002, content: x, to: DIR }
",
    );
    std::fs::remove_file(cluster.path("source")).unwrap();
    let names = cluster.names();
    let faults = cluster.configure(&names, 2).await;
    let texts: Vec<String> = faults
        .iter()
        .map(|fault| format!("{}: {}", fault.node, fault.fault))
        .collect();
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert!(
        texts[0].starts_with("n001: step `source`: failed to read") && texts[0].contains("No such file"),
        "{texts:?}"
    );
    assert!(
        texts[1].starts_with("n002: step `twice`") && texts[1].contains("is a directory"),
        "{texts:?}"
    );
    cluster.nodes.close().await;
}

/// A file that is too large for a script.
fn large(seed: u8) -> Vec<u8> {
    (0..16_u32 << 20).map(|at| (at / 251) as u8 ^ seed).collect()
}

/// A program that adds a line to this file whenever it receives a file, and does this first.
fn receiver(cluster: &Cluster, first: &str) {
    for server in &cluster.servers {
        let sent = cluster.path("sent");
        server.replace("cat", &format!("echo >>{}; {first}; exec cat", sent.display()));
    }
}

const LARGE: &str = r#"
configure:
  - { name: small, on: "@all", content: "small\n", to: "DIR/{{node.name}}/small" }
  - { name: large, on: "@all", file: source, to: "DIR/{{node.name}}/large", mode: "0640", timeout: 2m }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_file_is_sent_only_where_it_differs() {
    let mut cluster = Cluster::new(2, "");
    std::fs::write(cluster.path("source"), large(0)).unwrap();
    cluster.set_steps(LARGE);
    receiver(&cluster, ":");
    let names = cluster.names();
    let sent = || cluster.read("sent").lines().count();
    assert_eq!(cluster.configure(&names, 0).await, []);
    assert_eq!(
        cluster.ended_steps(),
        ended(&[("small", 2, 2, 0), ("large", 2, 2, 0)])
    );
    assert_eq!(sent(), 2);
    for name in &names {
        let path = cluster.path(&format!("{name}/large"));
        assert!(std::fs::read(&path).unwrap() == large(0));
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
            0o640
        );
    }

    // The same again, then with another mode on one node, then with another content.
    let (first, second) = (cluster.path("n001/large"), cluster.path("n002/large"));
    let steps: [(&dyn Fn(), usize, usize); 3] = [
        (&|| {}, 0, 2),
        (
            &|| std::fs::set_permissions(&first, PermissionsExt::from_mode(0o600)).unwrap(),
            1,
            2,
        ),
        (&|| std::fs::write(&second, large(1)).unwrap(), 1, 3),
    ];
    for (change, changed, total) in steps {
        change();
        assert_eq!(cluster.configure(&names, 0).await, []);
        assert_eq!(
            cluster.ended_steps(),
            ended(&[("small", 2, 0, 0), ("large", 2, changed, 0)])
        );
        assert_eq!(sent(), total);
    }
    assert!(std::fs::read(&second).unwrap() == large(0));
    let left = std::fs::read_dir(cluster.path("n002")).unwrap().count();
    assert_eq!(left, 2);
    cluster.nodes.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_changes_and_a_full_disk_name_the_step_and_leave_the_old_file() {
    let mut cluster = Cluster::new(1, "");
    std::fs::write(cluster.path("source"), large(0)).unwrap();
    cluster.set_steps(LARGE);
    let names = cluster.names();
    std::fs::create_dir(cluster.path("n001")).unwrap();
    std::fs::write(cluster.path("n001/large"), "old").unwrap();
    let source = cluster.path("source").display().to_string();
    let full = "echo cat: write error: No space left on device >&2; exit 1";
    let shrinks = format!(": >{source}");
    let there = cluster.path("n001/large").display().to_string();
    for (first, expected) in [
        (
            full,
            format!("step `large`: no space left on the node for {there} ("),
        ),
        (
            shrinks.as_str(),
            format!("step `large`: failed to read {source}: it changed while it was being read"),
        ),
    ] {
        receiver(&cluster, first);
        let faults = cluster.configure(&names, 0).await;
        let [fault] = faults.as_slice() else {
            panic!("{faults:?}");
        };
        let text = fault.fault.to_string();
        assert!(text.starts_with(&expected), "{text}");
        assert_eq!(cluster.read("n001/large"), "old");
        let left = std::fs::read_dir(cluster.path("n001")).unwrap().count();
        assert_eq!(left, 2, "{expected}");
    }
    cluster.nodes.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_arrive_at_a_node_that_has_only_busybox() {
    let mut cluster = Cluster::dropbear("");
    std::fs::write(cluster.path("source"), large(0)).unwrap();
    cluster.set_steps(
        r#"
configure:
  - { name: large, on: "@all", file: source, to: 'DIR/new/it''s \ large', mode: "4750", timeout: 2m }
  - { name: small, on: "@all", content: "small", to: "DIR/new/small", mode: "0600" }
"#,
    );
    let names = cluster.names();
    for changed in [1, 0] {
        assert_eq!(cluster.configure(&names, 0).await, []);
        assert_eq!(
            cluster.ended_steps(),
            ended(&[("large", 1, changed, 0), ("small", 1, changed, 0)])
        );
        let path = cluster.path("new/it's \\ large");
        assert!(std::fs::read(&path).unwrap() == large(0));
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
            0o4750
        );
        assert_eq!(std::fs::read_dir(cluster.path("new")).unwrap().count(), 2);
    }
    cluster.nodes.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_that_is_none_on_another_node_than_the_validated_one_fails_there() {
    let cluster = Cluster::new(
        2,
        r#"
configure:
  - { name: path, on: "@all", content: x, to: 'DIR/{{#if (eq node.name "n002")}}../{{/if}}x' }
"#,
    );
    let names = cluster.names();
    let faults = cluster.configure(&names, 2).await;
    let [fault] = faults.as_slice() else {
        panic!("{faults:?}");
    };
    assert_eq!(fault.node.as_str(), "n002");
    let text = fault.fault.to_string();
    assert!(
        text.contains("step `path`: to: ") && text.contains("contains `..`"),
        "{text}"
    );
    assert_eq!(cluster.read("x"), "x");
    cluster.nodes.close().await;
}
