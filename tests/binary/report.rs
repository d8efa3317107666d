//! `report`: stored runs as text and as a page.

use std::fs;

use crate::program::Vcluster;
use crate::stored::{CUT, EXPERIMENT, NEW, OLD, experiment, results, write_record};

/// The binary in a place with an experiment of a run that passed and one that did not, and a run that was cut off.
fn stored() -> Vcluster {
    let program = experiment();
    write_record(&program, CUT, 2);
    program
}

/// Runs the verb with these words, and with `--html report.html`; returns the page.
fn page(program: Vcluster, words: &[&str]) -> String {
    let args = ["report"].into_iter().chain(words.iter().copied());
    let ran = program
        .args(args.chain(["--html", "report.html"]))
        .run()
        .code(0)
        .says_nothing();
    assert_eq!(ran.stdout, "report.html\n");
    let page = fs::read_to_string(ran.path("report.html")).unwrap();
    for bad in ["http://", "https://", "<script"] {
        assert!(!page.contains(bad), "{bad} in {page}");
    }
    page
}

#[test]
fn a_run_is_reported_as_text_with_its_criteria_and_metrics() {
    stored()
        .args(["report", NEW])
        .run()
        .code(0)
        .says_nothing()
        .prints(&format!("{NEW}: criteria failed\n"))
        .prints(
            "failed: criterion join_seconds max < 2s: the value is 2.5 s, the bound is 2 s; 1 node: web002\n",
        )
        .prints("METRIC")
        .prints("join_seconds")
        .prints("the file is empty")
        .prints(&format!(
            "again:\n  vcluster test demo.yaml --vary rev=old,new\n  vcluster report {NEW}\n"
        ));
}

#[test]
fn a_page_of_a_run_is_written_whole_and_private_and_its_path_printed() {
    use std::os::unix::fs::PermissionsExt;
    let ran = stored()
        .args(["report", "20260131T13", "--html", "a.html"])
        .run()
        .code(0);
    let path = ran.path("a.html");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let page = fs::read_to_string(path).unwrap();
    assert!(
        page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>"),
        "{page}"
    );
    assert!(
        page.contains("criteria failed") && page.contains("web002"),
        "{page}"
    );
    assert!(!ran.path("a.html.new").exists());
}

#[test]
fn an_experiment_has_its_runs_and_what_could_not_be_compared() {
    let page = page(stored(), &[EXPERIMENT]);
    for part in [
        "1 of 2 runs passed",
        "rev=old",
        "rev=new (confirmation)",
        "not compared by rev",
        "vcluster test demo.yaml --vary rev=old,new",
    ] {
        assert!(page.contains(part), "no {part}: {page}");
    }
}

#[test]
fn two_runs_are_reported_as_a_comparison() {
    let page = page(stored(), &[OLD, NEW]);
    assert!(
        page.contains("inconclusive") && page.contains("<h2>Comparison</h2>"),
        "{page}"
    );
    assert!(page.contains(&format!("vcluster compare {OLD} {NEW}")), "{page}");
    stored()
        .args(["report", OLD, NEW])
        .run()
        .code(0)
        .prints("JUDGED METRIC")
        .prints(&format!("  vcluster report {OLD} {NEW}\n"));
}

#[test]
fn a_run_that_was_cut_off_has_a_page_that_says_so() {
    let page = page(stored(), &[CUT]);
    assert!(
        page.contains("is incomplete: it was cut off, or is in progress"),
        "{page}"
    );
}

#[test]
fn a_report_for_programs_has_the_verdict_and_what_failed() {
    let args = ["report", NEW, "--format", "json"];
    let json = stored().args(args).run().code(0).says_nothing().json();
    assert_eq!((&json["version"], &json["result"]), (&1.into(), &"bad".into()));
    assert_eq!(json["criteria"][0]["nodes"][0], "web002");
    let args = ["report", NEW, "--format", "json", "--html", "a.html"];
    let json = stored().args(args).run().code(0).json();
    assert_eq!(json["html"], "a.html");
}

#[test]
fn a_wrong_name_is_wrong_usage_and_the_nearest_one_is_named() {
    stored()
        .args(["report", "20260131T120001Z"])
        .run()
        .code(2)
        .says("there is no run or experiment `20260131T120001Z`")
        .says(OLD);
    for words in [
        vec!["report", "../x"],
        vec!["report", ""],
        vec!["report", "20260131"],
        vec!["report", OLD, "nothing"],
        vec!["report", OLD, "--by", "rev"],
        vec!["report", OLD, NEW, "--by", "rev"],
        vec!["report"],
    ] {
        stored().args(words).run().code(2).prints_nothing();
    }
    for (option, value, said) in [
        ("--results", "nowhere", "there is no directory nowhere"),
        ("--cluster", "other", "no cluster `other`"),
    ] {
        let ran = stored().args(["report", OLD, option, value]).run().code(2);
        ran.prints_nothing().says(said);
    }
}

#[test]
fn a_damaged_run_is_an_error_with_its_file_and_no_page() {
    let program = stored();
    fs::write(
        results(&program).join(NEW).join("samples.jsonl"),
        "{\"metric\":\"a\"\n",
    )
    .unwrap();
    let ran = program.args(["report", NEW, "--html", "a.html"]).run().code(1);
    let ran = ran.says("samples.jsonl:1 is damaged");
    assert!(!ran.path("a.html").exists());
}

#[test]
fn a_page_is_not_written_over_what_is_no_file() {
    let ran = stored().args(["report", NEW, "--html", "."]).run().code(2);
    ran.says("is not a regular file");
    stored()
        .args(["report", NEW, "--html", "nowhere/a.html"])
        .run()
        .code(1)
        .says("failed to write nowhere/a.html");
}
