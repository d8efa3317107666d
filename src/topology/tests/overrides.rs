//! Values that the command line sets.

use indexmap::IndexMap;
use serde_json::{Value, json};

use super::*;

const TEXT: &str = "name: x\nvars: { rev: old, port: 6379 }\ngroups: { worker: { count: 3 }, db: { nodes: \"db[1-2]\" } }\nworkload: [ { run: \"echo {{vars.rev}}\" } ]\n";

fn overrides(vars: &[(&str, &str)], counts: &[(&str, u32)]) -> Overrides {
    let vars = vars
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    let counts = counts.iter().map(|(name, count)| (name.parse().unwrap(), *count));
    Overrides {
        vars: vars.collect(),
        counts: counts.collect(),
    }
}

fn parse_with(text: &str, overrides: &Overrides) -> Result<Topology, Diagnostics> {
    let dir = directory(&[]);
    Topology::parse_with(text, "topology.yaml", dir.path(), overrides)
}

#[test]
fn variables_and_sizes_are_set_as_if_they_were_in_the_file() {
    let topology = parse_with(TEXT, &overrides(&[("rev", "new")], &[("worker", 30)]))
        .unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    assert_eq!(topology.vars["rev"], "new");
    assert_eq!(topology.vars["port"], 6379);
    assert_eq!(topology.nodes.len(), 32);
    assert_eq!(topology.nodes[0].vars["rev"], "new");
    let sizes: Vec<String> = topology
        .sizes()
        .iter()
        .map(|(group, size)| format!("{group}={size}"))
        .collect();
    assert_eq!(sizes, ["db=2", "worker=30"]);
    assert_eq!(topology.text, TEXT);
    assert!(Overrides::default().is_empty() && !overrides(&[("a", "b")], &[]).is_empty());
}

#[test]
fn a_value_has_the_type_that_it_would_have_in_the_file() {
    for (text, wanted) in [
        ("new", json!("new")),
        ("10", json!(10)),
        ("-1.5", json!(-1.5)),
        ("1.10", json!("1.10")),
        ("007", json!("007")),
        ("1_000", json!("1_000")),
        ("true", json!(true)),
        ("False", json!(false)),
        ("yes", json!("yes")),
        ("~", Value::Null),
        ("", json!("")),
        ("[1]", json!("[1]")),
    ] {
        let topology = parse_with(
            "name: x\nvars: { v: 1 }\ngroups: { a: { count: 1 } }\n",
            &overrides(&[("v", text)], &[]),
        )
        .unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
        assert_eq!(topology.vars["v"], wanted, "{text}");
        let in_file = ["10", "-1.5", "1.10", "007", "1_000", "true", "yes", "~"];
        if in_file.contains(&text) {
            let written = good(&format!(
                "name: x\nvars: {{ v: {text} }}\ngroups: {{ a: {{ count: 1 }} }}\n"
            ));
            assert_eq!(topology.vars, written.vars, "{text}");
        }
    }
}

#[test]
fn mistakes_in_overrides_are_those_of_the_command_line() {
    let wrong = overrides(&[("revv", "new")], &[("wrker", 2), ("db", 2), ("worker", 0)]);
    let error = parse_with(TEXT, &wrong).unwrap_err();
    let found: Vec<String> = error
        .list()
        .iter()
        .map(|mistake| {
            format!(
                "{}: {} ({})",
                mistake.at.file,
                mistake.message,
                mistake.hint.as_ref().unwrap()
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            "command line: the topology has no variable `revv` (did you mean `rev`?)",
            "command line: the topology has no group `wrker` (did you mean `worker`?)",
            "command line: the group `db` has no `count`: its nodes are given by `nodes` (give the group a `count` in the topology in place of `nodes`, such as `count: 2`)",
            "command line: the group `worker` cannot have 0 nodes (give it 1 to 100000 nodes)",
        ]
    );
    assert!(error.render(false).contains("command line: 4 errors"), "{error}");
    assert!(parse_with(TEXT, &overrides(&[], &[("worker", 100_001)])).is_err());
    let error = parse_with(
        "name: x\ngroups: { a: { count: 1 } }\n",
        &overrides(&[("v", "1")], &[]),
    )
    .unwrap_err();
    assert!(
        error.to_string().contains("the topology has no variable `v`"),
        "{error}"
    );
}

#[test]
fn what_an_override_breaks_in_the_file_is_reported_there() {
    let error = parse_with(TEXT, &overrides(&[], &[("worker", 70_000)])).unwrap_err();
    assert_eq!(error.list().len(), 1, "{error}");
    assert!(error.list()[0].message.contains("too small"), "{error}");
    assert_eq!(error.list()[0].at.file, "topology.yaml");
    // A file that cannot be read has its own mistakes only.
    let broken = "name: x\nvars: 5\ngroups: 7\n";
    let error = parse_with(broken, &overrides(&[("v", "1")], &[("a", 1)])).unwrap_err();
    assert!(
        error
            .list()
            .iter()
            .all(|mistake| mistake.at.file == "topology.yaml"),
        "{error}"
    );
    let same = parse_with(
        TEXT,
        &Overrides {
            vars: IndexMap::new(),
            ..Overrides::default()
        },
    );
    assert_eq!(same.unwrap().nodes.len(), 5);
}
