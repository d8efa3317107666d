//! Takes out of a text what differs from run to run: paths, times, process ids, the version.

use std::path::Path;

/// Keys of JSON numbers that are times.
const TIMES: [&str; 3] = ["\"elapsed\":", "\"wall\":", "\"took\":"];

/// The text with placeholders, and without spaces at the ends of lines.
pub(crate) fn stable(text: &str, temp: &Path) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut text = text
        .replace(&*temp.to_string_lossy(), "[TEMP]")
        .replace(&format!("\"release\":\"{version}\""), "\"release\":\"[VERSION]\"")
        .replace(&format!("vcluster {version}"), "vcluster [VERSION]");
    for key in TIMES {
        text = after(&text, key, is_number, "[TIME]");
    }
    text = after(&text, "(pid ", is_number, "[PID]");
    text = after(&text, " since ", is_moment, "[TIME]");
    text.lines().map(duration).collect::<Vec<_>>().join("\n")
}

fn is_number(character: char) -> bool {
    character.is_ascii_digit() || character == '.'
}

/// A part of a time such as `2026-01-31T12:00:00Z`.
fn is_moment(character: char) -> bool {
    character.is_ascii_digit() || "-:TZ".contains(character)
}

/// Replaces the characters of a kind that follow a text, wherever some do.
fn after(text: &str, before: &str, kind: fn(char) -> bool, instead: &str) -> String {
    let mut parts = text.split(before);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(kind);
        out.push_str(before);
        if rest.len() < part.len() {
            out.push_str(instead);
        }
        out.push_str(rest);
    }
    out
}

/// A line that ends with the time that something took: `... in 0.21 s`.
fn duration(line: &str) -> String {
    let line = line.trim_end();
    match line.rsplit_once(" in ") {
        Some((head, tail))
            if tail.ends_with('s') && tail.chars().all(|c| is_number(c) || " hms".contains(c)) =>
        {
            format!("{head} in [TIME]")
        }
        _ => line.to_owned(),
    }
}

#[test]
fn what_differs_from_run_to_run_is_replaced_and_nothing_else() {
    let shown = |text: &str| stable(text, Path::new("/tmp/x"));
    assert_eq!(
        shown("\"elapsed\":0.25,\"nodes\":2"),
        "\"elapsed\":[TIME],\"nodes\":2"
    );
    assert_eq!(
        shown("read /tmp/x/state in 1.2 s  "),
        "read [TEMP]/state in [TIME]"
    );
    assert_eq!(
        shown("2 nodes in 1 group on 2 hosts"),
        "2 nodes in 1 group on 2 hosts"
    );
    assert_eq!(
        shown("`vcluster up` (pid 12) since 2026-01-31T12:00:00Z"),
        "`vcluster up` (pid [PID]) since [TIME]"
    );
}
