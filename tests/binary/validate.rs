//! `validate`: every mistake at once, each with its place.

use crate::program::{Ran, Vcluster};

const GOOD: &str = "\
name: demo
hosts:
  bm[01-02]: {}
groups:
  web: { count: 3 }
  db: { count: 1, memory: 1GiB }
";

const MISTAKES: &str = "\
name: Demo
ttl: soon
hosts:
  bm[01-02]: { urll: \"qemu:///system\" }
groups:
  web: { count: 2, memory: 96, image: micrp }
configure:
  - { on: \"@wbe\", run: \"true\" }
colour: red
";

/// Line and column of each of [`MISTAKES`].
const PLACES: [(u64, u64); 7] = [(1, 7), (2, 6), (4, 16), (6, 28), (6, 39), (8, 11), (9, 1)];

fn stdin(text: &str) -> Ran {
    Vcluster::new().args(["validate", "-"]).stdin(text).run()
}

#[test]
fn a_good_topology_is_counted() {
    let ran = Vcluster::new()
        .file("demo.yaml", GOOD)
        .args(["validate", "demo.yaml"])
        .run()
        .code(0)
        .says_nothing()
        .prints("demo.yaml: 4 nodes in 2 groups on 2 hosts\n");
    assert_output!(ran);
}

#[test]
fn a_good_topology_is_no_news_when_quiet() {
    Vcluster::new()
        .file("demo.yaml", GOOD)
        .args(["validate", "--quiet", "demo.yaml"])
        .run()
        .code(0)
        .says_nothing()
        .prints_nothing();
}

#[test]
fn all_mistakes_are_reported_at_once_with_line_column_and_caret() {
    let mut ran = Vcluster::new()
        .file("bad.yaml", MISTAKES)
        .args(["validate", "bad.yaml"])
        .run()
        .code(3)
        .prints_nothing()
        .says("bad.yaml: 7 errors\n");
    for (line, column) in PLACES {
        ran = ran.says(&format!("--> bad.yaml:{line}:{column}\n"));
    }
    assert_output!(ran);
    let carets = ran
        .stderr
        .lines()
        .filter(|line| line.contains("| ") && line.ends_with('^'));
    assert_eq!(carets.count(), PLACES.len(), "{}", ran.stderr);
}

#[test]
fn mistakes_as_json_have_their_place_and_hint() {
    let ran = Vcluster::new()
        .file("good.yaml", GOOD)
        .file("bad.yaml", MISTAKES)
        .args(["validate", "--format", "json", "good.yaml", "bad.yaml"])
        .run()
        .code(3)
        .says_nothing();
    assert_output!(ran);
    let json = ran.json();
    assert_eq!(json["version"], 1);
    let [good, bad] = [&json["files"][0], &json["files"][1]];
    assert_eq!(good["valid"], true);
    assert_eq!(good["nodes"], 4);
    assert_eq!(bad["valid"], false);
    assert_eq!(bad["file"], "bad.yaml");
    let errors = bad["errors"].as_array().unwrap();
    let place = |error: &serde_json::Value| error["line"].as_u64().zip(error["column"].as_u64());
    let places: Vec<_> = errors.iter().filter_map(place).collect();
    assert_eq!(places, PLACES);
    assert!(errors.iter().all(|error| error["hint"].is_string()), "{errors:?}");
}

#[test]
fn an_unknown_key_is_an_error_with_its_place_and_the_key_that_was_meant() {
    let ran = stdin("name: demo\ngroups: { web: { count: 1, memroy: 1GiB } }\n")
        .code(3)
        .says("unknown key `memroy`")
        .says("--> <stdin>:2:28\n")
        .says("did you mean `memory`?");
    assert_output!(ran);
}

#[test]
fn a_topology_is_read_from_standard_input() {
    let ran = stdin(GOOD).code(0).says_nothing().prints("<stdin>: 4 nodes");
    assert_output!(ran);
}

#[test]
fn a_file_that_does_not_exist_is_an_error_with_its_name_and_a_hint() {
    let ran = Vcluster::new()
        .args(["validate", "nowhere.yaml"])
        .run()
        .code(3)
        .says("--> nowhere.yaml\n")
        .says("hint: ");
    assert_output!(ran);
}

#[test]
fn the_default_topology_is_named_where_it_does_not_exist() {
    for verb in ["plan", "up", "doctor"] {
        let ran = Vcluster::new().args([verb]).run().code(3).prints_nothing();
        let ran = ran.says("--> topology.yaml\n").says("hint: ");
        assert!(!ran.path("state").exists(), "{verb} left a state directory");
    }
}

#[test]
fn what_is_no_topology_at_all_is_an_error() {
    let ran = stdin("").code(3).says("empty").says("hint: ");
    assert_output!(ran);
    stdin("name: [\n").code(3).says("--> <stdin>:1:7\n");
    stdin("- a\n- b\n").code(3).says("<stdin>:1:1");
    let binary = Vcluster::new();
    std::fs::write(binary.path("binary.yaml"), b"name: \xff\n").unwrap();
    binary
        .args(["validate", "binary.yaml"])
        .run()
        .code(3)
        .says("UTF-8");
    Vcluster::new()
        .args(["validate", "."])
        .run()
        .code(3)
        .says("--> .\n");
}

#[test]
fn a_path_to_collect_is_no_template() {
    let step = r#"  - { run: "true", collect: ["/var/log/{{node.name}}.log"] }"#;
    stdin(&format!("{GOOD}workload:\n{step}\n"))
        .code(3)
        .prints_nothing()
        .says("collect: `/var/log/{{node.name}}.log` contains `{`")
        .says("write an absolute path");
}

#[test]
fn a_misspelt_variable_is_an_error_wherever_it_stands() {
    for (template, line) in [
        ("{{#if vars.tsl}}on{{else}}off{{/if}}", 1),
        ("{{#unless vars.tsl}}off{{/unless}}", 1),
        ("{{#each vars.tsl}}{{this}}{{else}}none{{/each}}", 1),
        ("{{#with vars.tsl}}{{this}}{{else}}none{{/with}}", 1),
        ("{{#if (eq vars.tsl true)}}on{{/if}}", 1),
        ("{{#if (and vars.port (not vars.tsl))}}on{{/if}}", 1),
        ("{{default vars.optional vars.tsl}}", 1),
        ("{{lookup vars vars.tsl}}", 1),
        // In branches that no node takes, too.
        ("{{#if false}}\n{{vars.tsl}}\n{{/if}}", 2),
        ("{{#if vars.tls}}on\n{{else if vars.tsl}}off{{/if}}", 2),
        ("{{#each vars.none}}\n\n{{@root.vars.tsl}}{{/each}}", 3),
    ] {
        let ran = Vcluster::new()
            .file("t.hbs", template)
            .file(
                "demo.yaml",
                &format!("{GOOD}vars: {{ tls: true, port: 1, none: [] }}\nconfigure: [{{ template: t.hbs, to: /t }}]\n"),
            )
            .args(["validate", "demo.yaml"])
            .run()
            .code(3)
            .prints_nothing()
            .says("unknown variable `")
            .says("vars.tsl`")
            .says("did you mean `tls`? (in `vars`)");
        ran.says(&format!("t.hbs:{line}:"));
    }
}

#[test]
fn a_variable_is_optional_where_the_template_says_so() {
    let template = "{{#if (defined vars.tls)}}{{vars.tls.cert}}{{/if}}{{default vars.port 1}}\
                    {{#if (contains vars \"zone\")}}{{vars.zone}}{{/if}}";
    Vcluster::new()
        .file("t.hbs", template)
        .file(
            "demo.yaml",
            &format!("{GOOD}configure: [{{ template: t.hbs, to: /t }}]\n"),
        )
        .args(["validate", "demo.yaml"])
        .run()
        .code(0);
}

#[test]
fn a_number_is_rendered_as_it_is_written() {
    // A path that must not contain `..`: the rendered text shows in the error.
    for (written, rendered) in [
        ("1.10", "1.10"),
        ("1e3", "1e3"),
        ("0x10", "0x10"),
        ("007", "007"),
        ("1_000", "1_000"),
        ("yes", "yes"),
        ("True", "true"),
        ("~", ""),
        ("&x 1.20", "1.20"),
        ("12", "12"),
        ("2.5", "2.5"),
    ] {
        let steps =
            format!("vars: {{ v: {written} }}\nconfigure: [{{ content: x, to: \"/../{{{{vars.v}}}}\" }}]\n");
        stdin(&format!("{GOOD}{steps}"))
            .code(3)
            .says(&format!("`/../{rendered}` contains `..`"));
    }
    // It is still a number.
    let same = "{{#if (and (eq vars.v 1.1) (lt vars.v 1.2))}}/ok{{else}}wrong{{/if}}";
    stdin(&format!(
        "{GOOD}vars: {{ v: 1.10 }}\nconfigure: [{{ content: x, to: \"{same}\" }}]\n"
    ))
    .code(0);
}

#[test]
fn a_surprise_of_yaml_has_a_hint() {
    for (text, hint) in [
        (
            "hosts: { bm[01-03]: { max_nodes: 4 } }\n",
            "quote it: \"bm[01-03]\"",
        ),
        ("hosts: { n[1-3]: }\n", "quote it: \"n[1-3]\""),
        ("configure:\n  - { on: @all, run: x }\n", "quote it: \"@all\""),
        ("min_ready: %90\n", "quote it: \"%90\""),
        ("hosts: { h: { uri: {{name}} } }\n", "contains `{{` in quotes"),
        ("groups:\n\tweb: { count: 1 }\n", "spaces"),
    ] {
        stdin(&format!("name: demo\n{text}")).code(3).says(hint);
    }
}

#[test]
fn a_uri_of_another_tool_gets_one_answer_with_all_that_is_not_supported() {
    let uri = "qemu+ssh://root@bm01:22/system?keyfile=/root/.ssh/id&sshauth=privkey&no_verify=1";
    stdin(&format!(
        "name: demo\nhosts: {{ bm01: {{ uri: \"{uri}\" }} }}\ngroups: {{ web: {{ count: 1 }} }}\n"
    ))
    .code(3)
    .says("`keyfile`, `sshauth`, `no_verify`")
    .says("`identity: /root/.ssh/id`")
    .says("<stdin>: 1 error\n");
}

#[test]
fn one_bad_file_of_several_decides_the_exit_code_and_hides_no_other() {
    Vcluster::new()
        .file("good.yaml", GOOD)
        .file("bad.yaml", MISTAKES)
        .args(["validate", "bad.yaml", "good.yaml", "nowhere.yaml"])
        .run()
        .code(3)
        .prints("good.yaml: 4 nodes")
        .says("bad.yaml: 7 errors\n")
        .says("nowhere.yaml: 1 error\n");
}

#[test]
fn the_example_topologies_are_valid() {
    let examples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("topologies");
    let mut files: Vec<String> = std::fs::read_dir(examples)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .map(|path| path.to_string_lossy().into_owned())
        .collect();
    files.sort();
    assert!(files.len() >= 5, "{files:?}");
    let ran = Vcluster::new()
        .args(["validate"])
        .args(files.iter().map(String::as_str))
        .run()
        .code(0)
        .says_nothing();
    assert_eq!(ran.stdout.lines().count(), files.len(), "{}", ran.stdout);
}
