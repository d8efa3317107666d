//! Failures as data: what an error means for the user, the planner and the exit code, and an error of a command.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use super::event::{NodeStage, Stage};
use super::exit::ExitCode;
use super::failure_kind::FailureKind;
use super::name::{HostName, NameError, NodeName};

/// An error that can end a command, or with which a host or node fails. The list of them is in `report::error`.
pub trait UserFacing: Error + Send + Sync + 'static {
    /// The exit code of a command that ends with it.
    fn exit_code(&self) -> ExitCode;

    /// What to do about it.
    fn hint(&self) -> Option<String> {
        None
    }

    /// What it is about.
    fn kind(&self) -> FailureKind {
        FailureKind::default()
    }

    /// What it may have left on a host. Its text says so too.
    fn leftovers(&self) -> Leftovers {
        Leftovers::Nothing
    }

    /// The error on one line, if its text has more lines: a command and its output.
    fn brief(&self) -> Option<String> {
        None
    }
}

/// What a failed action may have left on a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Leftovers {
    /// Nothing.
    #[default]
    Nothing,
    /// Possibly this.
    Maybe(String),
}

impl Leftovers {
    /// What it may be, if anything.
    pub fn what(self) -> Option<String> {
        match self {
            Self::Nothing => None,
            Self::Maybe(what) => Some(what),
        }
    }
}

/// The end of an error's text.
impl fmt::Display for Leftovers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => Ok(()),
            Self::Maybe(what) => write!(f, " (may have left {what})"),
        }
    }
}

/// One failure of a host or node.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The host on which it occurred.
    pub host: Option<HostName>,
    /// The node to which it occurred.
    pub node: Option<NodeName>,
    /// The stage in which it occurred, if it was in one.
    pub stage: Option<Stage>,
    /// The error.
    pub source: Arc<dyn UserFacing>,
    /// The last lines of the console of a failed guest: untrusted text.
    pub console: Option<String>,
    /// What to do about it: the hint of the error, or a better one.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure of neither a host nor a node.
    pub fn new(source: Arc<dyn UserFacing>) -> Self {
        Self {
            host: None,
            node: None,
            stage: None,
            hint: source.hint(),
            source,
            console: None,
        }
    }

    /// A failure of a host.
    pub fn of_host(host: HostName, error: impl UserFacing) -> Self {
        Self {
            host: Some(host),
            ..Self::new(Arc::new(error))
        }
    }

    /// A failure of a node.
    pub fn of_node(node: NodeName, host: HostName, error: impl UserFacing) -> Self {
        Self {
            node: Some(node),
            ..Self::of_host(host, error)
        }
    }

    /// The same failure, in this stage.
    #[must_use]
    pub fn at(self, stage: impl Into<Stage>) -> Self {
        Self {
            stage: Some(stage.into()),
            ..self
        }
    }

    /// What it is about.
    pub fn kind(&self) -> FailureKind {
        self.source.kind()
    }

    /// Whether a step of the configuration failed, and not the node itself.
    pub fn is_of_configuration(&self) -> bool {
        self.stage == Some(Stage::Node(NodeStage::Configure))
    }

    /// The error with its causes.
    pub fn error(&self) -> String {
        explain(self.source.as_ref())
    }

    /// The error on one line, without the output of a command.
    pub fn summary(&self) -> String {
        let text = self.source.brief().unwrap_or_else(|| self.error());
        text.lines().collect::<Vec<_>>().join("; ")
    }

    /// The error, followed by the console.
    pub fn text(&self) -> String {
        with_console(&self.error(), self.console.as_deref())
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

impl UserFacing for UserError {
    fn exit_code(&self) -> ExitCode {
        self.code
    }

    fn hint(&self) -> Option<String> {
        self.hint.clone()
    }
}

impl UserFacing for NameError {
    fn exit_code(&self) -> ExitCode {
        ExitCode::Usage
    }

    fn hint(&self) -> Option<String> {
        Some(NameError::hint(self).to_owned())
    }
}
