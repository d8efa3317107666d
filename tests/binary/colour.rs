//! Colour is for terminals, or where it is asked for.

use crate::program::{Ran, Vcluster};
use crate::recorded::recorded;

const ESCAPE: char = '\u{1b}';

#[track_caller]
fn is_plain(ran: &Ran) {
    let escaped = ran.stdout.contains(ESCAPE) || ran.stderr.contains(ESCAPE);
    assert!(!escaped, "{:?}\n{:?}", ran.stdout, ran.stderr);
}

#[test]
fn without_a_terminal_nothing_is_coloured() {
    for line in [
        "list",
        "status",
        "exec true",
        "status nowhere",
        "--help",
        "frobnicate",
        "plan nowhere.yaml",
    ] {
        is_plain(&recorded().args(line.split(' ')).run());
    }
    is_plain(
        &Vcluster::new()
            .args(["validate", "-"])
            .stdin("nme: x\n")
            .run()
            .code(3),
    );
}

#[test]
fn without_a_terminal_there_are_no_bars() {
    let ran = recorded().args(["down", "--yes"]).run().code(7);
    assert!(!ran.stderr.contains('\r'), "{:?}", ran.stderr);
    is_plain(&ran);
}

#[test]
fn clicolor_force_colours_errors_hints_and_headings() {
    let forced = || recorded().env("CLICOLOR_FORCE", "1");
    let ran = forced().args(["status", "nowhere"]).run().code(2);
    ran.says("\u{1b}[31merror\u{1b}[0m: ")
        .says("\u{1b}[36mhint\u{1b}[0m: ");
    forced().args(["list"]).run().code(0).prints("\u{1b}[1mNAME");
}

#[test]
fn no_color_wins_over_clicolor_force() {
    for line in ["status nowhere", "list", "--help", "frobnicate"] {
        let forced = recorded().env("CLICOLOR_FORCE", "1").env("NO_COLOR", "1");
        is_plain(&forced.args(line.split(' ')).run());
    }
}

#[test]
fn colour_changes_no_words() {
    let plain = recorded().args(["status", "nowhere"]).run();
    let forced = recorded()
        .env("CLICOLOR_FORCE", "1")
        .args(["status", "nowhere"])
        .run();
    let mut text = forced.stderr;
    for code in ["\u{1b}[31m", "\u{1b}[36m", "\u{1b}[0m"] {
        text = text.replace(code, "");
    }
    assert_eq!(text, plain.stderr);
}
