//! Finds the collected files that a path of a metric names: `*`, `?` and `[...]` as in `sh`, within components. Symlinks
//! in the tree are followed as long as they stay in it. Only regular files count, each once.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::limits;

/// A file.
#[derive(Debug)]
pub(super) struct Found {
    /// Where it is.
    pub(super) path: PathBuf,
    /// Its path on the node, for people.
    pub(super) shown: String,
}

/// The files of a source.
#[derive(Debug, Default)]
pub(super) struct Matches {
    /// In the order of their names.
    pub(super) files: Vec<Found>,
    /// Whether there are more than are listed.
    pub(super) more: bool,
}

/// The file of an output stream.
pub(super) fn output(path: PathBuf) -> Matches {
    let mut matches = Matches::default();
    if fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_file()) {
        let shown = path.display().to_string();
        matches.files.push(Found { path, shown });
    }
    matches
}

/// The files below a tree that match an absolute path of the node.
pub(super) fn matching(tree: &Path, pattern: &str) -> Matches {
    let mut matches = Matches::default();
    let Ok(root) = tree.canonicalize() else {
        return matches;
    };
    let mut places = vec![root.clone()];
    for component in pattern.split('/').filter(|part| !matches!(*part, "" | ".")) {
        let mut next = Vec::new();
        for place in &places {
            next.extend(below(place, component, &root));
            if next.len() > limits::FILES {
                next.truncate(limits::FILES);
                matches.more = true;
                break;
            }
        }
        places = next;
    }
    let mut known = HashSet::new();
    for path in places {
        let Ok(meta) = fs::metadata(&path) else {
            continue;
        };
        // A link to a file that matches as well would give its values twice.
        if meta.is_file() && known.insert((meta.dev(), meta.ino())) {
            let on_node = path.strip_prefix(&root).unwrap_or(&path);
            let shown = format!("/{}", on_node.to_string_lossy().escape_debug());
            matches.files.push(Found { path, shown });
        }
    }
    matches
}

/// What matches a component in a directory, by name.
fn below(place: &Path, component: &str, root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    if component == ".." {
        return found;
    }
    if component.contains(['*', '?', '[']) {
        let pattern: Vec<char> = component.chars().collect();
        let Ok(entries) = fs::read_dir(place) else {
            return found;
        };
        for entry in entries.flatten() {
            let name: Vec<char> = entry.file_name().to_string_lossy().chars().collect();
            if fits(&pattern, &name) {
                found.push(entry.path());
            }
        }
        found.sort_unstable();
    } else {
        found.push(place.join(component));
    }
    found.retain(|path| stays(path, root));
    found
}

/// Whether something exists, and not outside of the tree.
fn stays(path: &Path, root: &Path) -> bool {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_symlink() => path.canonicalize().is_ok_and(|real| real.starts_with(root)),
        Ok(_) => true,
        Err(_) => false,
    }
}

/// Whether a name matches a pattern. Only a dot matches a leading dot.
fn fits(pattern: &[char], name: &[char]) -> bool {
    if name.first() == Some(&'.') && pattern.first() != Some(&'.') {
        return false;
    }
    let (mut at, mut read) = (0, 0);
    // Behind the last `*`, and the character up to which it stands for.
    let mut star = None;
    while let Some(&character) = name.get(read) {
        if pattern.get(at) == Some(&'*') {
            at += 1;
            star = Some((at, read));
        } else if let Some(length) = one(&pattern[at..], character) {
            at += length;
            read += 1;
        } else if let Some((after, until)) = star {
            at = after;
            read = until + 1;
            star = Some((after, read));
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|rest| *rest == '*')
}

/// The length of what a pattern begins with, if that matches a character.
fn one(pattern: &[char], character: char) -> Option<usize> {
    match pattern.first()? {
        '?' => Some(1),
        '[' => match bracket(pattern, character) {
            Some((length, matches)) => matches.then_some(length),
            // It has no end, so it is a plain character.
            None => (character == '[').then_some(1),
        },
        plain => (*plain == character).then_some(1),
    }
}

/// The length of a bracket expression, and whether it matches; `None` if it has no end.
fn bracket(pattern: &[char], character: char) -> Option<(usize, bool)> {
    let is_negated = pattern.get(1) == Some(&'!');
    let first = if is_negated { 2 } else { 1 };
    let (mut at, mut is_in) = (first, false);
    loop {
        let from = *pattern.get(at)?;
        if from == ']' && at > first {
            return Some((at + 1, is_in != is_negated));
        }
        if let Some((length, matches)) = class(&pattern[at..], character) {
            is_in |= matches;
            at += length;
            continue;
        }
        match pattern[at + 1..] {
            ['-', to, ..] if to != ']' => {
                is_in |= (from..=to).contains(&character);
                at += 3;
            }
            _ => {
                is_in |= from == character;
                at += 1;
            }
        }
    }
}

/// The name of a class, and whether it contains a character.
type Class = (&'static str, fn(char) -> bool);

/// The length of a class such as `[:digit:]`, and whether it matches.
fn class(pattern: &[char], character: char) -> Option<(usize, bool)> {
    const CLASSES: [Class; 8] = [
        ("alnum", char::is_alphanumeric),
        ("alpha", char::is_alphabetic),
        ("digit", |c| c.is_ascii_digit()),
        ("lower", char::is_lowercase),
        ("punct", |c| c.is_ascii_punctuation()),
        ("space", char::is_whitespace),
        ("upper", char::is_uppercase),
        ("xdigit", |c| c.is_ascii_hexdigit()),
    ];
    CLASSES.iter().find_map(|(name, contains)| {
        let whole: Vec<char> = format!("[:{name}:]").chars().collect();
        pattern
            .starts_with(&whole)
            .then(|| (whole.len(), contains(character)))
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        let characters = |text: &str| text.chars().collect::<Vec<char>>();
        fits(&characters(pattern), &characters(name))
    }

    #[test]
    fn patterns_match_as_in_a_shell() {
        let cases = [
            ("*.log", "a.log", true),
            ("*.log", "a.log.1", false),
            ("*", "", true),
            ("*", ".hidden", false),
            (".*", ".hidden", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("?é", "xé", true),
            ("[a-c]1", "b1", true),
            ("[a-c]1", "d1", false),
            ("[!a-c]1", "d1", true),
            ("[!a-c]1", "a1", false),
            ("[]a]", "]", true),
            ("[a-]", "-", true),
            ("[[:digit:]x]", "7", true),
            ("[[:digit:]x]", "y", false),
            ("[a", "[a", true),
            ("[", "[", true),
            ("a]", "a]", true),
        ];
        for (pattern, name, wanted) in cases {
            assert_eq!(matches(pattern, name), wanted, "{pattern} and {name}");
        }
    }

    #[test]
    fn a_shell_and_our_own_matching_agree() {
        let temp = tempfile::tempdir().unwrap();
        let names = ["a1", "b2", "c.log", ".d", "e[", "-", "A", "a!"];
        for name in names {
            fs::write(temp.path().join(name), "").unwrap();
        }
        for pattern in [
            "*",
            "?",
            "??",
            "[a-b]?",
            "[!a-b]*",
            "*.log",
            ".*d",
            "*[[]",
            "[[:upper:]]",
            "*!",
            "[a-]",
        ] {
            let script =
                format!("cd \"$1\" && for f in {pattern}; do [ -f \"$f\" ] && echo \"$f\"; done; true");
            let output = std::process::Command::new("sh")
                .env("LC_ALL", "C")
                .args(["-c", &script, "sh"])
                .arg(temp.path())
                .output()
                .unwrap();
            let mut shell: Vec<String> = String::from_utf8(output.stdout)
                .unwrap()
                .lines()
                .map(|name| format!("/{name}"))
                .collect();
            shell.sort();
            let ours: Vec<String> = matching(temp.path(), &format!("/{pattern}"))
                .files
                .into_iter()
                .map(|found| found.shown)
                .collect();
            assert_eq!(ours, shell, "{pattern}");
        }
    }

    #[test]
    fn only_regular_files_within_the_tree_are_found_each_once() {
        let temp = tempfile::tempdir().unwrap();
        let tree = temp.path().join("tree");
        fs::create_dir_all(tree.join("tmp/b/c")).unwrap();
        fs::write(temp.path().join("secret"), "1").unwrap();
        fs::write(tree.join("tmp/a.json"), "1").unwrap();
        fs::write(tree.join("tmp/b/x.json"), "2").unwrap();
        symlink("a.json", tree.join("tmp/latest.json")).unwrap();
        symlink("../../secret", tree.join("tmp/out.json")).unwrap();
        symlink("../..", tree.join("tmp/up")).unwrap();
        symlink("loop", tree.join("tmp/loop")).unwrap();
        let found = |pattern: &str| -> Vec<String> {
            let files = matching(&tree, pattern).files.into_iter();
            files.map(|found| found.shown).collect()
        };
        assert_eq!(found("/tmp/*.json"), ["/tmp/a.json"]);
        assert_eq!(found("/tmp/latest.json"), ["/tmp/latest.json"]);
        assert_eq!(found("/tmp/*/*.json"), ["/tmp/b/x.json"]);
        for pattern in [
            "/tmp/out.json",
            "/tmp/up/secret",
            "/../secret",
            "/tmp/b",
            "/tmp/loop",
            "/no",
        ] {
            assert_eq!(found(pattern), Vec::<String>::new(), "{pattern}");
        }
        assert!(!matching(&tree, "/tmp/*").more);
    }

    #[test]
    fn more_files_than_the_limit_are_not_listed() {
        let temp = tempfile::tempdir().unwrap();
        for number in 0..=limits::FILES {
            fs::write(temp.path().join(format!("f{number}")), "").unwrap();
        }
        let matches = matching(temp.path(), "/f*");
        assert_eq!((matches.files.len(), matches.more), (limits::FILES, true));
    }

    #[test]
    fn a_pattern_of_many_stars_is_fast() {
        let begun = std::time::Instant::now();
        assert!(!matches(&"*a".repeat(100), &"a".repeat(99)));
        assert!(begun.elapsed().as_secs() < 5);
    }
}
