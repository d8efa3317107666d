//! What went wrong, as data: which host or node, and the whole story in words.

use std::error::Error;

use crate::exit::ExitCode;
use crate::host::HostError;
use crate::name::{HostName, NodeName};

/// One thing that went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The host that it happened on.
    pub host: Option<HostName>,
    /// The node that it happened to.
    pub node: Option<NodeName>,
    /// The error with its causes.
    pub error: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure of a host.
    pub fn of_host(host: HostName, error: HostError) -> Self {
        Self {
            host: Some(host),
            node: None,
            error: explain(&error),
            hint: error.hint(),
        }
    }

    /// A failure of a node.
    pub fn of_node(node: NodeName, host: HostName, error: String, hint: Option<String>) -> Self {
        Self {
            host: Some(host),
            node: Some(node),
            error,
            hint,
        }
    }
}

/// An error with all its causes on one line.
pub fn explain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        // Some errors repeat their cause in their own text.
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

/// Why a command of the engine did not reach its end.
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
    /// Objects of ours are still there after `down`.
    #[error("{} left behind: {}", count(left), left.join(", "))]
    LeftBehind {
        /// The objects, `kind name on host`.
        left: Vec<String>,
    },
}

impl EngineError {
    /// A failure of several things; `None` when there are none.
    pub fn from_failures(what: &str, failures: Vec<Failure>) -> Result<(), Self> {
        if failures.is_empty() {
            return Ok(());
        }
        Err(Self::Failed {
            what: what.to_owned(),
            failures,
        })
    }

    /// What to do about it: the first hint that a failure offers.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Failed { failures, .. } => failures.iter().find_map(|failure| failure.hint.clone()),
            Self::Interrupted => None,
            Self::LeftBehind { .. } => Some("run `vcluster down` again once the hosts are reachable".into()),
        }
    }

    /// The exit code that fits.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Failed { .. } => ExitCode::ApplyFailed,
            Self::Interrupted => ExitCode::Interrupted,
            Self::LeftBehind { .. } => ExitCode::LeftBehind,
        }
    }
}

fn count(left: &[String]) -> String {
    match left.len() {
        1 => "1 object is".into(),
        n => format!("{n} objects are"),
    }
}

/// Failures folded: the same error of many nodes is said once.
fn list(failures: &[Failure]) -> String {
    let mut folded: Vec<(&str, Vec<&str>)> = Vec::new();
    for failure in failures {
        let subject = failure
            .node
            .as_ref()
            .map(NodeName::as_str)
            .or(failure.host.as_ref().map(HostName::as_str))
            .unwrap_or("controller");
        // The subject stands before the error anyway, and without it more errors are equal.
        let error = failure
            .error
            .strip_prefix(subject)
            .and_then(|rest| rest.strip_prefix(' '))
            .unwrap_or(&failure.error);
        match folded.iter_mut().find(|(known, _)| *known == error) {
            Some((_, subjects)) => subjects.push(subject),
            None => folded.push((error, vec![subject])),
        }
    }
    let lines: Vec<String> = folded
        .into_iter()
        .map(|(error, subjects)| format!("{}: {error}", crate::nodeset::fold(subjects)))
        .collect();
    if lines.len() == 1 {
        format!(" {}", lines.concat())
    } else {
        format!("\n  {}", lines.join("\n  "))
    }
}
