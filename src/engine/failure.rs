//! Why a command of the engine failed.

use crate::base::exit::ExitCode;
use crate::base::failure::Failure;
use crate::base::name::{HostName, NodeName};

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
}

impl EngineError {
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

    /// What to do about it: the first hint of a failure.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Failed { failures, .. } => failures.iter().find_map(|failure| failure.hint.clone()),
            Self::Interrupted => None,
            Self::LeftBehind { .. } => Some("run the command again once the hosts are reachable".into()),
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
        1 => "1 item is".into(),
        n => format!("{n} items are"),
    }
}

/// Folds failures: an error that many nodes share is listed once.
fn list(failures: &[Failure]) -> String {
    let mut folded: Vec<(String, Vec<&str>)> = Vec::new();
    for failure in failures {
        let node = failure.node.as_ref().map(NodeName::as_str);
        let host = failure.host.as_ref().map(HostName::as_str);
        let subject = node.or(host).unwrap_or("controller");
        // The subject is printed before the error anyway, and without it more errors are equal.
        let text = failure.text();
        let error = text.strip_prefix(subject).and_then(|rest| rest.strip_prefix(' '));
        let error = error.unwrap_or(&text);
        match folded.iter_mut().find(|(known, _)| known == error) {
            Some((_, subjects)) => subjects.push(subject),
            None => folded.push((error.to_owned(), vec![subject])),
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
