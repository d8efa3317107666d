//! Fetches the files that a step collects, with their directories. The node's file list is not trusted.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use futures::future::OptionFuture;

use super::job::Workload;
use super::results::Unfetched;
use crate::base::failure::explain;
use crate::base::name::NodeName;
use crate::base::patience::patience;
use crate::base::shell::quote;
use crate::ssh::transfer::{Noted, PullLimits, Pulled, changed_while_read, pull};
use crate::ssh::{CommandShell, ExecRequest, Session, SshError};
use crate::topology::WorkloadStep;

/// Time allowed for the files of one node, from its turn.
const ALLOWED: Duration = Duration::from_mins(10);

/// The most files that one pattern may match on a node.
const MATCHES: usize = 10_000;

/// The pause before a retry after a lost connection.
const PAUSE: Duration = Duration::from_secs(1);

/// What is to be told of the files of a step on a node.
#[derive(Debug, Default)]
pub(super) struct Collected {
    /// Those that could not be fetched, and why.
    pub(super) failed: Noted,
    /// What is special about those that were.
    pub(super) notes: Noted,
    /// The patterns that were tried to their end, with the first reason why files of it are missing.
    tried: HashMap<String, Option<String>>,
    /// Why the others were not.
    stopped: Option<String>,
}

impl Collected {
    /// Nothing more is fetched.
    pub(super) fn stop(&mut self, why: String) {
        self.failed.add(why.clone());
        self.stopped = Some(why);
    }

    /// The patterns of which files may be missing.
    pub(super) fn unfetched(&self, patterns: &[String]) -> Vec<Unfetched> {
        let why = |pattern: &String| match self.tried.get(pattern) {
            Some(why) => why.clone(),
            None => Some(self.stopped.clone().unwrap_or_else(|| "not tried".to_owned())),
        };
        let unfetched = patterns.iter().filter_map(|pattern| {
            Some(Unfetched {
                pattern: pattern.clone(),
                why: why(pattern)?,
            })
        });
        unfetched.collect()
    }
}

/// Fetches the files of a step into `target`, under their directories on the node. One that cannot be fetched does not
/// prevent the others. Starts again if the connection is lost. An interrupt drops it.
pub(super) async fn collect(
    workload: &Workload<'_>,
    step: &WorkloadStep,
    node: &NodeName,
    target: &Path,
    collected: &mut Collected,
) {
    let nodes = workload.nodes;
    // A barrier lets all nodes start at once, but they need not transfer at once.
    let takes_turns = step.barrier || step.fanout.or(workload.fanout).is_none();
    let _turn = OptionFuture::from(takes_turns.then(|| nodes.turn(node))).await;
    let all = async {
        loop {
            let session = match nodes.session(node).await {
                Ok(session) => session,
                Err(SshError::Lost { .. }) => {
                    tokio::time::sleep(patience(PAUSE)).await;
                    continue;
                }
                Err(error) => {
                    collected.stop(explain(&error));
                    return;
                }
            };
            *collected = Collected::default();
            let dead = tokio::select! {
                () = fetch(&session, &step.collect, target, collected) => None,
                why = nodes.dead_while_probed(node, &session) => Some(why),
            };
            match dead {
                Some(why) => collected.stop(why.reason),
                None if collected.failed.count() > 0 && session.is_closed() => {
                    tokio::time::sleep(patience(PAUSE)).await;
                    continue;
                }
                None => {}
            }
            return;
        }
    };
    // The limits on time, bytes and files apply to all paths together: a hostile node may match thousands.
    if tokio::time::timeout(ALLOWED, all).await.is_err() {
        let took = format!("took longer than {}", humantime::format_duration(ALLOWED));
        collected.stop(took);
    }
}

async fn fetch(session: &Session, patterns: &[String], target: &Path, collected: &mut Collected) {
    let mut left = PullLimits::default();
    for pattern in patterns {
        let found = match expand(session, pattern).await {
            Ok(found) => found,
            Err(error) => {
                collected.failed.add(error.clone());
                collected.tried.insert(pattern.clone(), Some(error));
                continue;
            }
        };
        if found.is_empty() {
            collected.failed.add(format!("nothing matches {pattern}"));
        }
        let mut missing = None;
        for path in found {
            let shown = String::from_utf8_lossy(&path).escape_debug().to_string();
            let Some(into) = local(target, &path) else {
                let why = format!("{shown} is not a plain absolute path");
                collected.failed.add(why.clone());
                missing.get_or_insert(why);
                continue;
            };
            match pull(session, OsStr::from_bytes(&path), &into, left, Some(ALLOWED)).await {
                Ok(pulled) => {
                    let skipped = pulled.skipped.lines(1).into_iter().next();
                    missing = missing.or(skipped);
                    left.bytes = left.bytes.saturating_sub(pulled.bytes);
                    left.entries = left.entries.saturating_sub(pulled.entries);
                    note(collected, &shown, pulled);
                }
                Err(error) => {
                    let why = format!("{shown}: {}", explain(&error));
                    if !error.is_about_one_source() {
                        collected.stop(why);
                        return;
                    }
                    collected.failed.add(why.clone());
                    missing.get_or_insert(why);
                }
            }
        }
        collected.tried.insert(pattern.clone(), missing);
    }
}

/// Notes what is special about a path that was fetched.
fn note(collected: &mut Collected, path: &str, pulled: Pulled) {
    const SHOWN: usize = 5;
    collected.failed.extend(pulled.skipped);
    if let Some(note) = changed_while_read(&pulled.changed) {
        collected.notes.add(format!("{path}: {note}"));
    }
    if pulled.outside.count() > 0 {
        let links = pulled.outside.lines(SHOWN).join(", ");
        let text = format!("{path}: symlinks that point outside are left out: {links}");
        collected.notes.add(text);
    }
}

/// The paths that match a pattern. Each ends with a zero, because names may contain anything else.
async fn expand(session: &Session, pattern: &str) -> Result<Vec<Vec<u8>>, String> {
    let request = ExecRequest {
        command: matching(pattern),
        // What the login shell prints is no path.
        shell: CommandShell::Sh,
        timeout: Some(ALLOWED),
        limit: 4 << 20,
        ..ExecRequest::default()
    };
    let output = session.exec(&request).await.map_err(|error| explain(&error))?;
    let paths = output.stdout.split(|byte| *byte == 0);
    let found: Vec<Vec<u8>> = paths
        .filter(|path| !path.is_empty())
        .map(<[u8]>::to_vec)
        .collect();
    if found.len() > MATCHES || output.truncated {
        return Err(format!("{pattern} matches more than {MATCHES} files"));
    }
    Ok(found)
}

/// The script that prints the paths that match a pattern. A symlink to something that does not exist is one of them: that
/// it cannot be fetched is reported.
fn matching(pattern: &str) -> String {
    let pattern = glob(pattern);
    format!(r#"for f in {pattern}; do [ ! -e "$f" ] && [ ! -L "$f" ] || printf '%s\0' "$f"; done"#)
}

/// A pattern for the shell: everything except `*`, `?`, `[`, `]` and the `!` of `[!...]` is quoted.
fn glob(pattern: &str) -> String {
    let special = |c: char| "*?[]!".contains(c);
    let mut word = String::new();
    let mut rest = pattern;
    while let Some(at) = rest.find(special) {
        let (plain, from) = rest.split_at(at);
        if !plain.is_empty() {
            word.push_str(&quote(plain));
        }
        word.push_str(&from[..1]);
        rest = &from[1..];
    }
    if !rest.is_empty() {
        word.push_str(&quote(rest));
    }
    word
}

/// The local directory of a node's file; `None` for a path that could leave the target.
fn local(target: &Path, path: &[u8]) -> Option<PathBuf> {
    let mut into = target.to_owned();
    let parent = Path::new(OsStr::from_bytes(path)).parent()?;
    for component in parent.components() {
        match component {
            Component::RootDir => {}
            Component::Normal(name) => into.push(name),
            _ => return None,
        }
    }
    path.starts_with(b"/").then_some(into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_glob_characters_reach_the_shell_unquoted() {
        assert_eq!(glob("/var/log/*.log"), "/var/log/*.log");
        assert_eq!(glob("/a b/$(x)*"), "'/a b/$(x)'*");
    }

    #[test]
    fn a_pattern_matches_what_is_there_and_links_to_what_is_not() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::write(temp.path().join("a.log"), "").unwrap();
        std::os::unix::fs::symlink("nowhere", temp.path().join("b.log")).unwrap();
        std::fs::write(temp.path().join("c!.log"), "").unwrap();
        let found = |pattern: &str| {
            let pattern = format!("{}/{pattern}", temp.path().display());
            let output = std::process::Command::new("sh")
                .args(["-c", &matching(&pattern)])
                .output()
                .unwrap();
            String::from_utf8(output.stdout).unwrap().matches('\0').count()
        };
        assert_eq!([found("*.log"), found("b.log"), found("*.txt")], [3, 1, 0]);
        assert_eq!([found("[!ab]*"), found("[a-b].log"), found("c!.log")], [1, 2, 1]);
    }

    #[test]
    fn a_path_of_the_node_cannot_leave_the_target() {
        let target = Path::new("/t");
        assert_eq!(local(target, b"/var/log/x"), Some("/t/var/log".into()));
        assert_eq!(local(target, b"/../x/y"), None);
        assert_eq!(local(target, b"x/y"), None);
    }
}
