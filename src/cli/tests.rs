//! The command line as a whole, and the command lines that hints and documentation show.

use std::path::{Path, PathBuf};

use clap::CommandFactory;
use clap::error::ErrorKind;

use super::Cli;

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn command_lines_in_hints_and_in_the_documentation_are_accepted() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut lines: Vec<(PathBuf, String)> = Vec::new();
    for path in files(&root.join("src"), "rs") {
        // This file has back-quotes that quote no command line.
        if !path.ends_with("cli/tests.rs") {
            let text = std::fs::read_to_string(&path).unwrap().replace("\\\n", " ");
            lines.extend(quoted(&text).into_iter().map(|line| (path.clone(), line)));
        }
    }
    let mut pages = files(&root.join("docs"), "md");
    pages.extend(["README.md", "CONTRIBUTING.md"].map(|name| root.join(name)));
    for path in pages {
        let text = std::fs::read_to_string(&path).unwrap();
        let shown = quoted(&text).into_iter().chain(in_code_blocks(&text));
        lines.extend(shown.map(|line| (path.clone(), line)));
    }
    assert!(lines.len() > 100, "only {} command lines were found", lines.len());
    let wrong: Vec<String> = lines
        .iter()
        .filter_map(|(path, line)| {
            let why = refusal(line)?;
            Some(format!("{}: `vcluster {line}`: {why}", path.display()))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_command_line_that_clap_refuses_is_found() {
    for line in [
        "status -c {cluster}",
        "lst",
        "down NAME --host HOSTS",
        "run --attach --stop",
    ] {
        assert!(refusal(line).is_some(), "{line}");
    }
    for line in [
        "status {cluster}",
        "{verb}",
        "exec",
        "exec -S",
        "help COMMAND",
        "list | head -1",
        "exec -w '@web' -- sleep 1 # a comment",
        "hosts >hosts.txt",
    ] {
        assert_eq!(refusal(line), None, "{line}");
    }
}

/// The files below a folder with this extension.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|end| end == extension) {
            found.push(path);
        }
    }
    found
}

/// Command lines in back-quotes, without the name of the program. What has a backslash in it is no command line.
fn quoted(text: &str) -> Vec<String> {
    text.split("`vcluster ")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once('`')?.0.to_owned()))
        .filter(|line| !line.contains('\\'))
        .collect()
}

/// Command lines in the code blocks of a page, without the name of the program.
fn in_code_blocks(text: &str) -> Vec<String> {
    let mut is_code = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if is_code || line.starts_with("    ") {
            let at = line.find("vcluster ").filter(|&at| {
                let before = line[..at].chars().next_back();
                before.is_none_or(|before| before == ' ' || before == '(')
            });
            found.extend(at.map(|at| line[at + "vcluster ".len()..].to_owned()));
        }
    }
    found
}

/// Why clap refuses a command line. `None` if it does not, or if the line has no command.
fn refusal(line: &str) -> Option<String> {
    let words: Vec<String> = words(line).iter().map(|word| filled(word)).collect();
    let is_command = |word: &str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    words.first().filter(|word| is_command(word.as_str()))?;
    let arguments = std::iter::once("vcluster").chain(words.iter().map(String::as_str));
    let error = Cli::command().try_get_matches_from(arguments).err()?;
    // A sentence may name a command without its arguments.
    let is_name = words.iter().skip(1).all(|word| word.starts_with('-'));
    let is_incomplete = matches!(
        error.kind(),
        ErrorKind::MissingRequiredArgument
            | ErrorKind::MissingSubcommand
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    // Help and version are no errors.
    let is_accepted = !error.use_stderr() || (is_name && is_incomplete);
    (!is_accepted).then(|| error.to_string())
}

/// The words of a command line as `sh` splits them, up to a comment, a pipe or a redirection.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for character in line.chars() {
        match (quote, character) {
            (Some(open), close) if open == close => quote = None,
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None, ' ' | '\n') => words.extend(word.take()),
            (None, '#') if word.is_none() => break,
            (None, '|' | '>' | ';' | '&' | ')') => break,
            (_, character) => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
}

/// A word with a valid value in place of a placeholder such as `NODE`, `{cluster}` or `...`.
fn filled(word: &str) -> String {
    match word.trim_end_matches("...") {
        "SHELL" => "bash",
        "COMMAND" => "status",
        "TIME" => "5m",
        "SIZE" => "1GiB",
        "N" | "PORT" | "LINES" => "3",
        name if name.chars().all(|c| c.is_ascii_uppercase()) => "web001",
        text if text.contains('{') => "web001",
        text => text,
    }
    .to_owned()
}
