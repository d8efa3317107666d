//! docs/timeouts.md lists every limit on a wait, with its value: each is a constant in the code.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Constants that limit no wait: file, name, what it is.
const OTHERS: &[(&str, &str, &str)] = &[
    ("mock/src/spec/value.rs", "LONGEST", "the longest time of a mock"),
    (
        "mock/src/timer.rs",
        "FINE",
        "a part of the service time of a mock",
    ),
    ("src/base/units.rs", "LEASE", "the default lease of a cluster"),
    ("src/cmd/reaper.rs", "SHORTEST", "the least value of an option"),
    ("src/doctor/clock.rs", "SEEN", "a difference of clocks"),
    ("src/doctor/clock.rs", "FAILS", "a difference of clocks"),
    ("src/report/lines.rs", "AT_LEAST", "how often a line is printed"),
    ("src/report/lines.rs", "AT_MOST", "how often a line is printed"),
    ("src/report/lines.rs", "STANDSTILL", "how often a line is printed"),
    ("src/report/lines.rs", "FIRST", "when a line is printed"),
    ("src/report/run.rs", "TICK", "how often the screen is updated"),
];

/// The sources of the program, of the mocks and of the supervisor, without their tests: path and text.
fn sources() -> Vec<(String, String)> {
    fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension().is_some_and(|end| end == "rs" || end == "sh") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect(&root.join("src"), &mut files);
    collect(&root.join("guest/src"), &mut files);
    collect(&root.join("mock/src"), &mut files);
    files.sort();
    let mut sources = Vec::new();
    for file in files {
        let path = file.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        if path.contains("test") || path.contains("/fuzzing") {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        // A module of tests stands at the end of its file.
        let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
        sources.push((path, text[..end].to_owned()));
    }
    sources
}

fn is_script(file: &str) -> bool {
    Path::new(file).extension().is_some_and(|end| end == "sh")
}

/// The constants of a Rust file that are times, as the table has them: name and value.
fn constants(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for line in text.lines() {
        let Some((_, rest)) = line.split_once("const ") else {
            continue;
        };
        let Some((name, rest)) = rest.split_once(": ") else {
            continue;
        };
        if !name.chars().all(|c| c.is_ascii_uppercase() || c == '_') {
            continue;
        }
        let (kind, value) = rest.split_once(" =").unwrap_or((rest, ""));
        let value = value.trim().trim_end_matches(';');
        if kind.contains("Duration") {
            found.push((name.to_owned(), format!("`{name}`{}", duration(value))));
        } else if name.ends_with("_MS") {
            found.push((name.to_owned(), format!("`{name}` {} ms", value.replace('_', ""))));
        }
    }
    found
}

/// ` 5 s` of `Duration::from_secs(5)`; empty for what is not written like that.
fn duration(value: &str) -> String {
    let units = [("millis", "ms"), ("secs", "s"), ("mins", "min"), ("hours", "h")];
    for (function, unit) in units {
        let number = value
            .split_once(&format!("Duration::from_{function}("))
            .and_then(|(_, rest)| rest.strip_suffix(')'));
        if let Some(number) = number {
            return format!(" {} {unit}", number.replace('_', ""));
        }
    }
    String::new()
}

/// The limits of a shell script, as the table has them.
fn limits(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for command in ["flock -w ", "timeout "] {
        for (at, _) in text.match_indices(command) {
            let number = text[at + command.len()..]
                .chars()
                .take_while(char::is_ascii_digit);
            let number: String = number.collect();
            if !number.is_empty() {
                found.push(format!("`{command}{number}`"));
            }
        }
    }
    found
}

/// The rows of the table: file, and what stands beside it.
fn rows() -> Vec<(String, BTreeSet<String>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/timeouts.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, table) = text.split_once("## In the code").unwrap();
    let rows = table.lines().filter_map(|line| {
        let (file, listed) = line.strip_prefix("| `")?.split_once("` | ")?;
        let listed = listed.trim_end_matches(" |").split(", ");
        let listed: BTreeSet<String> = listed.map(str::to_owned).collect();
        Some((file.to_owned(), listed))
    });
    rows.collect()
}

#[test]
fn every_limit_of_a_wait_is_in_the_documentation_with_its_value() {
    let mut wanted: BTreeSet<(String, String)> = BTreeSet::new();
    let mut others = BTreeSet::new();
    for (file, text) in sources() {
        if is_script(&file) {
            wanted.extend(limits(&text).into_iter().map(|limit| (file.clone(), limit)));
            continue;
        }
        for (name, listed) in constants(&text) {
            let other = OTHERS.iter().find(|other| other.0 == file && other.1 == name);
            if let Some((file, name, _)) = other {
                others.insert((*file, *name));
            } else {
                wanted.insert((file.clone(), listed));
            }
        }
    }
    let listed: BTreeSet<(String, String)> = rows()
        .into_iter()
        .flat_map(|(file, all)| all.into_iter().map(move |listed| (file.clone(), listed)))
        .collect();
    let missing: Vec<_> = wanted.difference(&listed).collect();
    let stale: Vec<_> = listed.difference(&wanted).collect();
    assert!(
        missing.is_empty() && stale.is_empty(),
        "not in docs/timeouts.md: {missing:?}; only there: {stale:?}"
    );
    assert_eq!(others.len(), OTHERS.len(), "found of the others: {others:?}");
    assert!(wanted.len() > 60, "only {} were found", wanted.len());
}

#[test]
fn every_limit_of_a_wait_has_a_name() {
    let mut nameless = Vec::new();
    for (file, text) in sources().into_iter().filter(|(file, _)| !is_script(file)) {
        for call in ["timeout(", "timeout_at(", "sleep("] {
            for (at, _) in text.match_indices(call) {
                let argument = text[at + call.len()..].trim_start();
                let argument = argument.trim_start_matches("std::time::");
                if argument.starts_with("Duration::from_") {
                    let line = text[..at].lines().count();
                    nameless.push(format!("{file}:{line}"));
                }
            }
        }
    }
    let none = Vec::<String>::new();
    assert_eq!(
        nameless, none,
        "give each a constant, and list it in docs/timeouts.md"
    );
}
