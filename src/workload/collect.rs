//! Fetches the files that a step collects, with their directories. The node's file list is not trusted.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use futures::future::OptionFuture;

use super::job::Workload;
use crate::base::failure::explain;
use crate::base::name::NodeName;
use crate::base::patience::patience;
use crate::base::shell::quote;
use crate::ssh::transfer::{PullLimits, pull};
use crate::ssh::{ExecRequest, Session, SshError};
use crate::topology::WorkloadStep;

/// Time allowed for the files of one node, from its turn.
const ALLOWED: Duration = Duration::from_mins(10);

/// The most files that one pattern may match on a node.
const MATCHES: usize = 10_000;

/// The pause before a retry after a lost connection.
const PAUSE: Duration = Duration::from_secs(1);

/// Fetches the files of a step into `target`, under their directories on the node. Starts again if the connection is
/// lost. An interrupt drops it.
pub(super) async fn collect(
    workload: &Workload<'_>,
    step: &WorkloadStep,
    node: &NodeName,
    target: &Path,
) -> Result<(), String> {
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
                Err(error) => return Err(explain(&error)),
            };
            let fetched = tokio::select! {
                fetched = fetch(&session, &step.collect, target) => fetched,
                why = nodes.dead_while_probed(node, &session) => Err(why.reason),
            };
            match fetched {
                Err(_) if session.is_closed() => tokio::time::sleep(patience(PAUSE)).await,
                other => return other,
            }
        }
    };
    // The limits on time, bytes and files apply to all paths together: a hostile node may match thousands.
    let limited = tokio::time::timeout(ALLOWED, all).await;
    limited.unwrap_or_else(|_| {
        Err(format!(
            "took longer than {}",
            humantime::format_duration(ALLOWED)
        ))
    })
}

async fn fetch(session: &Session, patterns: &[String], target: &Path) -> Result<(), String> {
    let mut left = PullLimits::default();
    for pattern in patterns {
        let found = expand(session, pattern).await?;
        if found.is_empty() {
            return Err(format!("nothing matches {pattern}"));
        }
        for path in found {
            let into = local(target, &path)
                .ok_or_else(|| format!("{} is not a plain absolute path", path.escape_debug()))?;
            let pulled = pull(session, &path, &into, left, true, Some(ALLOWED))
                .await
                .map_err(|error| explain(&error))?;
            left.bytes = left.bytes.saturating_sub(pulled.bytes);
            left.entries = left.entries.saturating_sub(pulled.entries);
        }
    }
    Ok(())
}

async fn expand(session: &Session, pattern: &str) -> Result<Vec<String>, String> {
    let request = ExecRequest {
        command: format!(
            "for f in {}; do [ ! -e \"$f\" ] || printf '%s\\n' \"$f\"; done",
            glob(pattern)
        ),
        timeout: Some(ALLOWED),
        limit: 4 << 20,
        ..ExecRequest::default()
    };
    let output = session.exec(&request).await.map_err(|error| explain(&error))?;
    let text = String::from_utf8(output.stdout)
        .map_err(|_| format!("{pattern} matches a name that is not UTF-8"))?;
    let found: Vec<String> = text.lines().map(str::to_owned).collect();
    if found.len() > MATCHES || output.truncated {
        return Err(format!("{pattern} matches more than {MATCHES} files"));
    }
    Ok(found)
}

/// A pattern for the shell: everything except `*`, `?`, `[` and `]` is quoted.
fn glob(pattern: &str) -> String {
    let special = |c: char| "*?[]".contains(c);
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
fn local(target: &Path, path: &str) -> Option<PathBuf> {
    let mut into = target.to_owned();
    let parent = Path::new(path).parent()?;
    for component in parent.components() {
        match component {
            Component::RootDir => {}
            Component::Normal(name) => into.push(name),
            _ => return None,
        }
    }
    path.starts_with('/').then_some(into)
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
    fn a_path_of_the_node_cannot_leave_the_target() {
        let target = Path::new("/t");
        assert_eq!(local(target, "/var/log/x"), Some("/t/var/log".into()));
        assert_eq!(local(target, "/../x/y"), None);
        assert_eq!(local(target, "x/y"), None);
    }
}
