//! What needs neither a cluster nor a host: `schema`, `nodeset`, `completions`, `man`, `reaper script`.

use std::process::{Command, Stdio};

use crate::program::{Ran, Vcluster};

const VERBS: [&str; 6] = ["up", "down", "status", "exec", "validate", "ssh-config"];

fn ok<'a>(args: impl IntoIterator<Item = &'a str>) -> Ran {
    Vcluster::new().args(args).run().code(0).says_nothing()
}

#[test]
fn the_schema_is_the_one_in_the_documentation() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/topology.schema.json");
    let documented = std::fs::read_to_string(path).unwrap();
    let ran = ok(["schema"]);
    assert!(
        ran.stdout == documented,
        "run: UPDATE_SCHEMA=1 cargo test the_committed_schema"
    );
    assert_eq!(ran.json()["title"], "vcluster topology");
}

#[test]
fn output_that_cannot_be_written_is_an_error_unless_its_reader_is_gone() {
    let schema = |stdout: Stdio| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vcluster"));
        let output = command.arg("schema").stdin(Stdio::null()).stdout(stdout).output();
        let output = output.unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let (code, errors) = schema(full.into());
    assert_eq!(code, Some(1), "{errors}");
    let expected = "failed to write standard output: No space left on device";
    assert!(errors.contains(expected), "{errors}");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(schema(writer.into()), (Some(0), String::new()));
}

#[test]
fn nodeset_expands_folds_and_counts() {
    for (line, wanted) in [
        ("nodeset --expand web[1-3],db1", "db1 web1 web2 web3\n"),
        ("nodeset --fold web1 web3 web2", "web[1-3]\n"),
        ("nodeset --count web[001-150]", "150\n"),
        ("nodeset -e -S , web[1-3]", "web1,web2,web3\n"),
        ("nodeset -e -S \\n web[1-2]", "web1\nweb2\n"),
        ("nodeset -f web[1-9] -x web[2-3] -i web[1-5]", "web[1,4-5]\n"),
        ("nodeset -f web[1-3] -X web[3-4]", "web[1-2,4]\n"),
        ("nodeset -e --format json web[1-2]", "[\"web1\",\"web2\"]\n"),
        ("nodeset -f --format json web[1-2]", "\"web[1-2]\"\n"),
        ("nodeset -c --format json web[1-2]", "2\n"),
    ] {
        assert_eq!(ok(line.split(' ')).stdout, wanted, "{line}");
    }
}

#[test]
fn nodeset_reads_names_from_standard_input() {
    for args in [&["nodeset", "--fold"][..], &["nodeset", "--fold", "-"]] {
        let ran = Vcluster::new()
            .args(args.iter().copied())
            .stdin("web1\nweb2 web[3-4]\n")
            .run()
            .code(0);
        assert_eq!(ran.stdout, "web[1-4]\n");
    }
}

#[test]
fn a_wrong_node_set_is_shown_with_a_caret_under_the_place() {
    let ran = Vcluster::new()
        .args(["nodeset", "--expand", "web[1-3],db[9-2]"])
        .run()
        .prints_nothing()
        .says("`9-2`")
        .says("\n  web[1-3],db[9-2]\n              ^\n")
        .says("hint: ");
    assert_ne!(ran.code, Some(0));
    assert_output!(ran);
}

#[test]
fn completions_of_every_shell_name_the_verbs() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ran = ok(["completions", shell]);
        for verb in VERBS {
            assert!(ran.stdout.contains(verb), "{shell} does not know {verb}");
        }
    }
    let ran = ok(["completions", "bash"]);
    assert!(ran.stdout.contains("complete -F _vcluster"), "{}", ran.stdout);
}

#[test]
fn bash_can_read_the_completions() {
    let ran = ok(["completions", "bash"]);
    let script = ran.path("vcluster.bash");
    std::fs::write(&script, &ran.stdout).unwrap();
    let status = std::process::Command::new("bash").arg("-n").arg(&script).status();
    assert!(status.unwrap().success());
}

#[test]
fn the_man_page_names_the_verbs() {
    let ran = ok(["man"]).prints(".TH vcluster 1");
    for verb in VERBS {
        let page = format!("vcluster\\-{}(1)", verb.replace('-', "\\-"));
        assert!(ran.stdout.contains(&page), "no {page}");
    }
}

#[test]
fn every_verb_has_a_man_page_of_its_own() {
    let ran = ok(["man", "--dir", "man1"]).prints_nothing();
    for verb in VERBS {
        let page = ran.path(&format!("man1/vcluster-{verb}.1"));
        let text = std::fs::read_to_string(page).unwrap();
        assert!(text.contains(".SH SYNOPSIS"), "{text}");
    }
    assert!(ran.path("man1/vcluster.1").exists());
}

#[test]
fn the_script_of_the_reaper_is_one_that_sh_can_read() {
    for line in ["reaper script", "reaper script --install --every 10m"] {
        let ran = ok(line.split(' ')).prints("#!/bin/sh\n");
        let script = ran.path("reaper.sh");
        std::fs::write(&script, &ran.stdout).unwrap();
        let status = std::process::Command::new("sh").arg("-n").arg(&script).status();
        assert!(status.unwrap().success(), "{line}");
    }
}
