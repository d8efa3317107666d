//! Command lines that are wrong: exit code 2 and what to write instead.

use crate::hosts::{CLOSED, topology};
use crate::program::{Ran, Vcluster};

fn usage(line: &str) -> Ran {
    Vcluster::new()
        .args(line.split_whitespace())
        .run()
        .code(2)
        .prints_nothing()
        .says("error: ")
}

#[test]
fn a_verb_that_does_not_exist_is_wrong_usage_and_the_nearest_one_is_named() {
    let ran = usage("lst").says("unrecognized subcommand 'lst'").says("'list'");
    assert_output!(ran);
}

#[test]
fn an_option_that_does_not_exist_is_wrong_usage() {
    let ran = usage("list --frobnicate")
        .says("'--frobnicate'")
        .says("Usage: vcluster list");
    assert_output!(ran);
}

#[test]
fn a_format_that_does_not_exist_is_wrong_usage_in_an_option_and_in_the_environment() {
    let ran = usage("list --format xml").says("'xml'").says("human, json");
    assert_output!(ran);
    Vcluster::new()
        .args(["list"])
        .env("VCLUSTER_FORMAT", "xml")
        .run()
        .code(2)
        .says("'xml'");
}

#[test]
fn an_argument_that_is_missing_is_named() {
    for (line, missing) in [
        ("validate", "<FILE>..."),
        ("exec", "<COMMAND>..."),
        ("push file", "<SOURCE>..."),
        ("ssh", "<NODE>"),
        ("completions", "<SHELL>"),
        ("nodeset web1", "<--expand|--fold|--count>"),
    ] {
        usage(line).says(missing);
    }
    let ran = usage("exec");
    assert_output!(ran);
}

#[test]
fn options_that_exclude_each_other_are_named() {
    for (line, one, other) in [
        ("run --attach --stop", "--attach", "--stop"),
        ("extend --by 1h --never", "--by", "--never"),
        ("gc topology.yaml --hosts bm01", "[TOPOLOGY]", "--hosts"),
        ("nodeset --fold --count web1", "--fold", "--count"),
    ] {
        usage(line).says(one).says(other).says("cannot be used with");
    }
    let ran = usage("run --attach --stop");
    assert_output!(ran);
}

#[test]
fn values_that_cannot_be_read_are_shown_with_their_option() {
    for (line, value, option) in [
        ("plan --connect-timeout soon", "'soon'", "--connect-timeout"),
        ("exec --fanout 0 true", "'0'", "--fanout"),
        ("targets --port 70000", "'70000'", "--port"),
        ("pull --limit lots /var/log logs", "'lots'", "--limit"),
        ("extend --by soon", "'soon'", "--by"),
        ("extend --to tomorrow", "'tomorrow'", "--to"),
        ("reaper install --every 1s", "'1s'", "--every"),
        ("ssh Web001", "'Web001'", "<NODE>"),
    ] {
        usage(line).says(value).says(option);
    }
    let ran = usage("extend --to tomorrow").says("2026-01-31T12:00:00Z");
    assert_output!(ran);
}

#[test]
fn wrong_usage_is_an_error_in_json_too() {
    for (line, message, hint) in [
        ("lst", "unrecognized subcommand 'lst'", "'list'"),
        (
            "list --frobnicate",
            "unexpected argument '--frobnicate' found",
            "",
        ),
        (
            "list --quiet --quiet",
            "'--quiet' cannot be used multiple times",
            "",
        ),
        (
            "exec",
            "arguments were not provided:\n  <COMMAND>...",
            "usage: vcluster exec",
        ),
        ("extend --to tomorrow", "`tomorrow`", "--help"),
        ("reaper", "command", "usage: vcluster reaper"),
    ] {
        let program = || Vcluster::new().env("CLICOLOR_FORCE", "1");
        let before = program()
            .args(["--format", "json"])
            .args(line.split(' '))
            .run()
            .code(2);
        let after = program()
            .args(line.split(' '))
            .args(["--format=json"])
            .run()
            .code(2);
        let variable = program()
            .env("VCLUSTER_FORMAT", "json")
            .args(line.split(' '))
            .run()
            .code(2);
        for ran in [before, after, variable] {
            assert_eq!(ran.lines()[0]["type"], "vcluster", "{}", ran.text());
            let error = ran.error();
            assert_eq!(error["exit_code"], 2, "{line}");
            let is = |field: &str, wanted: &str| {
                let text = error[field].as_str().unwrap();
                assert!(
                    text.contains(wanted) && !text.starts_with("error") && !text.contains('\u{1b}'),
                    "{line}: {error}"
                );
            };
            is("error", message);
            is("hint", hint);
        }
    }
}

#[test]
fn wrong_usage_stays_text_where_json_is_not_wanted() {
    usage("list --frobnicate --format human").says("'--frobnicate'");
    // The option belongs to the remote command.
    usage("exec --fanout 0 -- tool --format json").says("'0'");
    Vcluster::new()
        .env("VCLUSTER_FORMAT", "json")
        .args(["--format", "human", "lst"])
        .run()
        .code(2)
        .prints_nothing()
        .says("error: unrecognized subcommand 'lst'");
}

#[test]
fn help_and_version_are_no_errors_in_json() {
    for option in ["--help", "--version"] {
        Vcluster::new()
            .args(["--format", "json", option])
            .run()
            .code(0)
            .says_nothing()
            .prints("vcluster ");
    }
}

#[test]
fn the_variable_of_a_flag_takes_the_usual_words() {
    // With `--quiet`, the first line is not printed.
    let run = |value: &str| {
        let program = Vcluster::new().file("demo.yaml", &topology(CLOSED));
        program
            .env("VCLUSTER_QUIET", value)
            .args(["plan", "demo.yaml"])
            .run()
            .code(5)
    };
    for value in ["1", "yes", "on", "true", "TRUE"] {
        let ran = run(value);
        assert!(!ran.stderr.contains("plan demo"), "{value}: {}", ran.text());
    }
    for value in ["0", "no", "off", "false", ""] {
        run(value).says("plan demo: 2 nodes on 1 host\n");
    }
}

#[test]
fn the_variable_of_a_flag_is_named_if_its_value_is_wrong() {
    for (variable, line) in [
        ("VCLUSTER_QUIET", "list"),
        ("VCLUSTER_VERBOSE", "list"),
        ("VCLUSTER_KEEP", "up demo.yaml"),
        ("VCLUSTER_YES", "down demo"),
        ("VCLUSTER_YES", "gc"),
    ] {
        Vcluster::new()
            .env(variable, "maybe")
            .args(line.split(' '))
            .run()
            .code(2)
            .prints_nothing()
            .says(&format!("invalid value 'maybe' for '{variable}'"))
            .says("tip: use true or false");
    }
    let ran = Vcluster::new()
        .env("VCLUSTER_QUIET", "maybe")
        .args(["list", "--format", "json"])
        .run()
        .code(2);
    let error = ran.error();
    assert!(
        error["error"].as_str().unwrap().contains("VCLUSTER_QUIET"),
        "{error}"
    );
    assert!(
        error["hint"].as_str().unwrap().contains("true or false"),
        "{error}"
    );
}

#[test]
fn a_lease_cannot_end_in_the_past() {
    let ran = usage("extend demo --to 2020-01-01T00:00:00Z")
        .says("hint: ")
        .says("vcluster down");
    assert_output!(ran);
}

#[test]
fn hosts_that_name_no_host_are_wrong_usage_with_a_hint() {
    for hosts in ["root@", "qemu:///session", "-oProxyCommand=x"] {
        let line = format!("down demo --yes --hosts={hosts}");
        usage(&line)
            .says("`--hosts`")
            .says("hint: ")
            .says("qemu+ssh://root@bm01/system");
    }
    let ran = usage("down demo --yes --hosts=root@");
    assert_output!(ran);
}

#[test]
fn a_wrong_node_set_of_hosts_is_wrong_usage_with_a_hint() {
    let ran = usage("down demo --yes --hosts bm[01-").says("hint: ");
    assert_output!(ran);
    usage("down demo --yes --hosts bm[2-1]")
        .says("`2-1`")
        .says("hint: ");
}

#[test]
fn gc_and_reaper_ask_for_hosts_where_none_is_known() {
    let ran = usage("gc").says("hint: ").says("vcluster gc --hosts");
    assert_output!(ran);
    usage("reaper status").says("hint: ").says("--hosts");
}

#[test]
fn a_cluster_that_does_not_exist_is_wrong_usage_with_a_hint() {
    let ran = usage("status nowhere")
        .says("`nowhere`")
        .says("hint: ")
        .says("vcluster list");
    assert_output!(ran);
    for line in [
        "down nowhere",
        "run nowhere",
        "configure nowhere",
        "extend nowhere",
        "exec --cluster nowhere true",
        "push -c nowhere file /",
        "pull -c nowhere /file .",
        "ssh -c nowhere web001",
        "console -c nowhere web001",
        "ssh-config -c nowhere",
        "inventory -c nowhere",
        "hosts -c nowhere",
        "targets -c nowhere",
    ] {
        let ran = usage(line).says("`nowhere`").says("hint: ");
        assert!(
            !ran.path("state/vcluster/nowhere").exists(),
            "{line} left a directory"
        );
    }
}

#[test]
fn without_any_cluster_the_verbs_of_one_say_how_to_raise_one() {
    for line in [
        "status",
        "down",
        "run",
        "configure",
        "extend",
        "exec true",
        "hosts",
    ] {
        usage(line)
            .says("hint: ")
            .says("vcluster up")
            .says("vcluster down");
    }
    let ran = usage("status");
    assert_output!(ran);
}

#[test]
fn the_cluster_can_be_named_by_the_environment() {
    Vcluster::new()
        .args(["status"])
        .env("VCLUSTER_NAME", "elsewhere")
        .run()
        .code(2)
        .says("`elsewhere`");
}

#[test]
fn a_name_that_no_cluster_can_have_is_refused_with_a_hint() {
    let ran = refused("No_Name");
    assert_output!(ran);
    refused("..");
}

/// A name that is refused; of its exit code see `known_defects`.
fn refused(name: &str) -> Ran {
    let ran = Vcluster::new().args(["status", name]).run();
    assert_ne!(ran.code, Some(0), "{}", ran.text());
    ran.prints_nothing().says("error: ").says("hint: ")
}
