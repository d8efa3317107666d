//! The result of cloud-init on a node, from the output of `cloud-init status`. Pure; `raise` runs the command.
//!
//! Since 23.4 the exit code distinguishes done (0), done with recoverable errors (2) and failed (1). Older versions,
//! like 22.4 of Debian 12, have 0 and 1 only, and write recoverable errors to their log. The text is checked as well as
//! the code, so that neither alone can make a failed node pass.

use crate::base::name::NodeName;
use crate::base::shell::{quote, with_variables};

/// The result of cloud-init.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CloudInit {
    /// It is done, was disabled, or is not installed.
    Done,
    /// It is done, with recoverable errors.
    Degraded(String),
    /// One of its modules failed.
    Failed {
        /// What it reported.
        text: String,
        /// What is missing of what vcluster asked for.
        lacks: Vec<String>,
    },
    /// Its result is unknown.
    Unknown(String),
    /// The login user cannot become root.
    NotRoot(String),
}

/// Prefix of log lines in the output of the script: no line of `cloud-init status` begins with it.
const LOGGED: &str = "vcluster-log: ";

/// The same of what is missing.
const LACKS: &str = "vcluster-lacks: ";

/// The first line of its output.
const ENTERED: &str = "vcluster-entered";

/// Maximum length of its output in messages, in characters.
const LONGEST: usize = 500;

/// The command that waits for its end on a node and prints the result, or next to nothing if all is well.
///
/// `cloud-init status` is Python and costs an emulated guest five seconds of CPU, a tenth of its whole boot. Its
/// `result.json` (cloud-init documentation, "Status") is written at the very end, with the errors of all stages. If it
/// has no errors and the log no warnings, the command has nothing to add and is skipped.
pub(super) fn command(node: &NodeName) -> String {
    let script = script(node, "/run/cloud-init", "/var/log/cloud-init.log", "/etc/hosts");
    format!("sh -c {}", quote(&script))
}

fn script(node: &NodeName, run: &str, log: &str, hosts: &str) -> String {
    let variables = [
        ("entered", ENTERED),
        ("name", node.as_str()),
        ("run", run),
        ("log", log),
        ("hosts", hosts),
        ("prefix", LOGGED),
        ("lacks", LACKS),
    ];
    with_variables(&variables, include_str!("cloud_init.sh"))
}

/// Reads the output of the command.
pub(crate) fn read(code: Option<u32>, stdout: &[u8], stderr: &[u8]) -> CloudInit {
    let text = String::from_utf8_lossy(stdout);
    // `su` and PAM modules may print something first.
    let Some((_, text)) = text.split_once(ENTERED) else {
        let words = String::from_utf8_lossy(stderr);
        return CloudInit::NotRoot(short(words.trim()));
    };
    let (mut lines, mut logged, mut lacks) = (Vec::new(), Vec::new(), Vec::new());
    for line in text.lines() {
        // While it waits it prints dots, sometimes on the line of the status.
        let line = line.trim().trim_start_matches('.').trim();
        if let Some(line) = line.strip_prefix(LOGGED) {
            logged.push(line);
        } else if let Some(line) = line.strip_prefix(LACKS) {
            lacks.push(line.to_owned());
        } else if !line.is_empty() {
            lines.push(line);
        }
    }
    let field = |mark: &str| {
        lines
            .iter()
            .find_map(|line| Some(line.strip_prefix(mark)?.trim()))
    };
    let (status, extended) = (field("status:"), field("extended_status:"));
    let has = |word: &str| {
        [status, extended]
            .into_iter()
            .flatten()
            .any(|text| text.split(' ').any(|part| part == word))
    };
    let unknown = || {
        let code = code.map_or("no exit code".to_owned(), |code| format!("exit code {code}"));
        let cause = if lines.is_empty() {
            String::from_utf8_lossy(stderr).trim().to_owned()
        } else {
            lines.join("; ")
        };
        CloudInit::Unknown(if cause.is_empty() {
            code
        } else {
            format!("{} ({code})", short(&cause))
        })
    };
    // It may report an error and still be running.
    if has("error") && !has("running") {
        let text = short(&first_error(&lines).unwrap_or_else(|| lines.join("; ")));
        return CloudInit::Failed { text, lacks };
    }
    if has("error") || !matches!(code, Some(0 | 2)) {
        return unknown();
    }
    if code == Some(2) || has("degraded") {
        return CloudInit::Degraded(short(&lines.join("; ")));
    }
    match status {
        // Not installed, or all is well.
        None if lines.is_empty() => CloudInit::Done,
        // A version with an extended status has just reported no recoverable errors; older ones only log them.
        Some("done") if extended.is_none() && !logged.is_empty() => {
            CloudInit::Degraded(short(&logged.join("; ")))
        }
        Some("done" | "disabled") => CloudInit::Done,
        _ => unknown(),
    }
}

/// The first error in the output of `cloud-init status --long`: before 23.4 below `detail:`, since then below `errors:`
/// as a list.
fn first_error(lines: &[&str]) -> Option<String> {
    let below = |mark: &str| {
        let at = lines.iter().position(|line| *line == mark)?;
        lines.get(at + 1).copied()
    };
    let listed = below("errors:").and_then(|line| line.strip_prefix('-'));
    let detail = below("detail:").filter(|line| !line.starts_with("DataSource"));
    listed.or(detail).map(|line| line.trim().to_owned())
}

fn short(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: u32, text: &str) -> CloudInit {
        read(Some(code), format!("{ENTERED}\n{text}").as_bytes(), b"")
    }

    const OLD_DONE: &str = "\n.....\nstatus: done\ntime: Sun, 22 Nov 2026 18:00:00 +0000\n\
                            detail:\nDataSourceNoCloud [seed=/dev/vdb][dsmode=net]\n";

    #[test]
    fn done_is_done_in_the_words_of_old_and_new_versions() {
        assert_eq!(of(0, OLD_DONE), CloudInit::Done);
        let new = "status: done\nextended_status: done\nboot_status_code: enabled-by-generator\n\
                   detail: DataSourceNoCloud [seed=/dev/vdb]\nerrors: []\nrecoverable_errors: {}\n";
        assert_eq!(of(0, new), CloudInit::Done);
        assert_eq!(of(0, "status: disabled\ndetail:\nby kernel\n"), CloudInit::Done);
    }

    #[test]
    fn no_output_is_done() {
        assert_eq!(of(0, ""), CloudInit::Done);
    }

    #[test]
    fn exit_code_2_and_the_word_degraded_are_done_with_errors() {
        let text =
            "status: done\nextended_status: degraded done\nrecoverable_errors:\nWARNING:\n- deprecated key\n";
        for code in [0, 2] {
            let CloudInit::Degraded(cause) = of(code, text) else {
                panic!("exit code {code}");
            };
            assert!(cause.contains("deprecated key"), "{cause}");
        }
    }

    #[test]
    fn warnings_in_the_log_of_a_version_without_exit_code_2_are_reported() {
        let logged = "vcluster-log: 2026-11-22 18:00:00,000 - schema.py[WARNING]: Invalid cloud-config\n";
        let CloudInit::Degraded(cause) = of(0, &format!("{OLD_DONE}{logged}")) else {
            panic!("not degraded");
        };
        assert!(cause.contains("Invalid cloud-config"), "{cause}");
        let new = format!("status: done\nextended_status: done\n{logged}");
        assert_eq!(of(0, &new), CloudInit::Done);
    }

    #[test]
    fn an_error_is_a_failure_whatever_the_exit_code() {
        let old = "\nstatus: error\ntime: x\ndetail:\n('locale', OSError(2))\n('apt', OSError(3))\n";
        let new = "status: error\nextended_status: error - done\ndetail: DataSourceNoCloud\nerrors:\n\
                   \t- ('locale', OSError(2))\n\t- x\nrecoverable_errors: {}\n";
        for (code, output) in [(0, old), (1, old), (2, old), (1, new)] {
            let failed = CloudInit::Failed {
                text: "('locale', OSError(2))".into(),
                lacks: Vec::new(),
            };
            assert_eq!(of(code, output), failed, "exit code {code}");
        }
        // It still runs: what it will have done is unknown.
        assert!(matches!(
            of(2, "status: error\nextended_status: error - running\n"),
            CloudInit::Unknown(_)
        ));
    }

    #[test]
    fn what_is_missing_of_what_was_asked_for_is_listed() {
        let lacks = "vcluster-lacks: the host name\nvcluster-lacks: /etc/hosts\n";
        let CloudInit::Failed { lacks, .. } = of(1, &format!("status: error\n{lacks}")) else {
            panic!("not failed");
        };
        assert_eq!(lacks, ["the host name", "/etc/hosts"]);
        // After a success nobody asks.
        assert_eq!(of(0, &format!("{OLD_DONE}vcluster-lacks: x\n")), CloudInit::Done);
    }

    #[test]
    fn a_user_who_cannot_become_root_is_no_failure_of_cloud_init() {
        for words in ["sudo: a password is required\n", "sh: 1: sudo: not found\n"] {
            let refused = read(Some(1), b"", words.as_bytes());
            assert_eq!(refused, CloudInit::NotRoot(words.trim().to_owned()));
        }
    }

    #[test]
    fn a_missing_status_is_unknown_with_the_text_of_stderr() {
        let broken = read(Some(1), ENTERED.as_bytes(), b"cloud-init: no module named yaml\n");
        assert_eq!(
            broken,
            CloudInit::Unknown("cloud-init: no module named yaml (exit code 1)".into())
        );
        let killed = read(None, ENTERED.as_bytes(), b"");
        assert_eq!(killed, CloudInit::Unknown("no exit code".into()));
        assert!(matches!(of(0, "status: running\n"), CloudInit::Unknown(_)));
    }

    /// Runs the script with a `cloud-init` that prints what Debian 12's prints.
    fn ask(result: &str, log: &str) -> CloudInit {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("result.json"), result).unwrap();
        std::fs::write(path("log"), log).unwrap();
        std::fs::write(path("cloud-init"), "#!/bin/sh\necho; echo 'status: done'\n").unwrap();
        std::fs::set_permissions(path("cloud-init"), std::fs::Permissions::from_mode(0o755)).unwrap();
        let here = dir.path().to_str().unwrap();
        std::fs::write(path("hosts"), "127.0.0.1 localhost\n10.77.0.1 n001\n").unwrap();
        let node = "n001".parse().unwrap();
        let script = script(&node, here, &format!("{here}/log"), &format!("{here}/hosts"));
        let output = std::process::Command::new("sh")
            .args(["-c", &script])
            .env("PATH", format!("{here}:{}", std::env::var("PATH").unwrap()))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(!text.contains("lacks: /etc/hosts"), "{text}");
        // Without a status, `cloud-init status` was skipped.
        let asked = text.contains("status:");
        let noted = log.contains("[WARNING]");
        assert_eq!(asked, noted || !result.contains("[]"), "{output:?}");
        let code = output.status.code().and_then(|code| u32::try_from(code).ok());
        read(code, &output.stdout, &output.stderr)
    }

    #[test]
    fn cloud_init_status_runs_only_if_its_files_have_warnings_or_errors() {
        let (good, bad) = ("{\"v1\": {\"errors\": []}}", "{\"v1\": {\"errors\": [\"x\"]}}");
        let quiet = "2026-11-22 18:00:00,000 - util.py[DEBUG]: no WARNING here\n";
        let warning = "2026-11-22 18:00:00,000 - schema.py[WARNING]: Invalid cloud-config\n";
        assert_eq!(ask(good, quiet), CloudInit::Done);
        assert!(
            matches!(ask(good, warning), CloudInit::Degraded(cause) if cause.contains("Invalid cloud-config"))
        );
        assert_eq!(ask(bad, quiet), CloudInit::Done);
    }
}
