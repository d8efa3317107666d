//! Why a command of the engine failed.

use crate::base::exit::ExitCode;
use crate::base::failure::{Failure, UserFacing};
use crate::base::failure_kind::FailureKind;
use crate::base::name::{HostName, NodeName};
use crate::nodeset::{About, fold_texts};

/// Why a command of the engine failed.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Hosts or nodes failed; the reporter has shown each as it happened.
    #[error("{what}:{}", list(failures))]
    Failed {
        /// What could not be done.
        what: String,
        /// The failures, at least one.
        failures: Vec<Failure>,
    },
    /// The user interrupted.
    #[error("interrupted")]
    Interrupted,
    /// Objects of the cluster still exist after its removal.
    #[error("{} left behind: {}", count(left), left.join(", "))]
    LeftBehind {
        /// The objects, `kind name on host`.
        left: Vec<String>,
    },
    /// Everything of the cluster was removed, except for the pools in which others keep something.
    #[error("the pool is kept, because vcluster did not create what is in it: {}", kept.join(", "))]
    Kept {
        /// What others keep there, `path on host`.
        kept: Vec<String>,
    },
}

impl EngineError {
    /// What is left behind after a removal; any other error is passed through.
    pub fn into_left(self) -> Result<Vec<String>, Self> {
        match self {
            Self::LeftBehind { left } => Ok(left),
            Self::Kept { kept } => Ok(kept
                .iter()
                .map(|path| format!("{path} (vcluster did not create it)"))
                .collect()),
            other => Err(other),
        }
    }

    /// One error for several failures; `Ok` if there are none.
    pub fn from_failures(what: &str, failures: Vec<Failure>) -> Result<(), Self> {
        if failures.is_empty() {
            return Ok(());
        }
        Err(Self::Failed {
            what: what.to_owned(),
            failures,
        })
    }
}

impl UserFacing for EngineError {
    /// The first hint of a failure.
    fn hint(&self) -> Option<String> {
        match self {
            Self::Failed { failures, .. } => failures.iter().find_map(|failure| failure.hint.clone()),
            Self::Interrupted => None,
            Self::LeftBehind { .. } => Some("run the command again once the hosts are reachable".into()),
            Self::Kept { .. } => Some("move it elsewhere or delete it, then run the command again".into()),
        }
    }

    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Failed { failures, .. } if !failures.is_empty() && failures.iter().all(is_interrupted) => {
                ExitCode::Interrupted
            }
            Self::Failed { .. } => ExitCode::ApplyFailed,
            Self::Interrupted => ExitCode::Interrupted,
            Self::LeftBehind { .. } | Self::Kept { .. } => ExitCode::LeftBehind,
        }
    }
}

fn is_interrupted(failure: &Failure) -> bool {
    failure.kind() == FailureKind::Interrupted
}

fn count(left: &[String]) -> String {
    match left.len() {
        1 => "1 item is".into(),
        n => format!("{n} items are"),
    }
}

/// Folds failures: an error that many nodes share is listed once.
fn list(failures: &[Failure]) -> String {
    let texts: Vec<String> = failures.iter().map(Failure::text).collect();
    let about = failures.iter().zip(&texts).map(|(failure, text)| {
        let node = failure.node.as_ref().map(NodeName::as_str);
        let host = failure.host.as_ref().map(HostName::as_str);
        let name = node.or(host).unwrap_or("controller");
        // The name is printed before the error anyway.
        let error = text.strip_prefix(name).and_then(|rest| rest.strip_prefix(' '));
        let about = About {
            name,
            is_host: node.is_none(),
            host: host.filter(|_| node.is_some()),
            text: error.unwrap_or(text),
        };
        ((), about)
    });
    let lines: Vec<String> = fold_texts(about)
        .into_iter()
        .map(|((), folded)| format!("{}: {}", folded.names, folded.text))
        .collect();
    if lines.len() == 1 {
        format!(" {}", lines.concat())
    } else {
        format!("\n  {}", lines.join("\n  "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::failure::UserError;

    fn failures(of: &[(&str, &str)]) -> Vec<Failure> {
        let failures = of.iter().map(|(node, text)| {
            let error = UserError::new(ExitCode::ApplyFailed, *text);
            Failure::of_node(node.parse().unwrap(), "bm01".parse().unwrap(), error)
        });
        failures.collect()
    }

    #[test]
    fn errors_that_differ_only_in_the_names_are_one_line() {
        let failures = failures(&[
            ("n1", "n1 has no room"),
            ("n2", "failed to start `n2` on `bm01`: no memory"),
            ("n3", "failed to start `n3` on `bm01`: no memory"),
        ]);
        let error = EngineError::from_failures("2 nodes failed", failures).unwrap_err();
        assert_eq!(
            error.to_string(),
            "2 nodes failed:\n  n1: has no room\n  n[2-3]: failed to start `<node>` on `bm01`: no memory"
        );
    }
}
