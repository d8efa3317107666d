//! Failures as data: an error of a host or node with its causes and hint, and an error of a command.

use std::error::Error;

use super::exit::ExitCode;
use super::name::{HostName, NodeName};

/// One failure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// The host on which it occurred.
    pub host: Option<HostName>,
    /// The node to which it occurred.
    pub node: Option<NodeName>,
    /// The error with its causes.
    pub error: String,
    /// The last lines of the console of a failed guest: untrusted text.
    pub console: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure of a host.
    pub fn of_host(host: HostName, error: impl Hinted) -> Self {
        Self {
            host: Some(host),
            node: None,
            error: explain(&error),
            hint: error.hint(),
            console: None,
        }
    }

    /// A failure of a node.
    pub fn of_node(node: NodeName, host: HostName, error: String, hint: Option<String>) -> Self {
        Self {
            host: Some(host),
            node: Some(node),
            error,
            hint,
            console: None,
        }
    }

    /// The error, followed by the console.
    pub fn text(&self) -> String {
        with_console(&self.error, self.console.as_deref())
    }
}

/// An error followed by the last lines of a console, one marked line each.
pub fn with_console(error: &str, console: Option<&str>) -> String {
    let mut text = error.to_owned();
    if let Some(console) = console {
        text.push_str("; the last of its console:");
        for line in console.lines() {
            text.push_str("\n    | ");
            text.push_str(line.trim_end());
        }
    }
    text
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

/// An error with advice for the user.
pub trait Hinted: Error {
    /// What to do about it.
    fn hint(&self) -> Option<String>;
}

/// An error without a type of its own: a message, a hint, an exit code.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct UserError {
    /// What failed and why: a lowercase fragment.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// The exit code.
    pub code: ExitCode,
}

impl UserError {
    /// An error without a hint.
    pub fn new(code: ExitCode, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
            code,
        }
    }

    /// With a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
