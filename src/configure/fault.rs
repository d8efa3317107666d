//! Why a step failed, as text.

use crate::base::exit::ExitCode;
use crate::base::failure::{UserFacing, explain};
use crate::base::failure_kind::FailureKind;
use crate::base::name::NodeName;
use crate::base::text::sanitize;
use crate::supervise::StepError;

/// Why a step failed, without the node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepFault {
    /// The command ended with another status than 0.
    #[error("step `{step}` failed: {how}\n  command: {command}{output}")]
    Failed {
        /// The step.
        step: String,
        /// `exit code 3`, `signal KILL`.
        how: String,
        /// The command as it ran.
        command: String,
        /// The tail of its output, indented, or empty.
        output: String,
    },
    /// It timed out.
    #[error("step `{step}` timed out after {allowed}\n  command: {command}{doing}{output}")]
    Timeout {
        /// The step.
        step: String,
        /// The time allowed.
        allowed: String,
        /// The command as it ran.
        command: String,
        /// What its processes were doing then, indented.
        doing: String,
        /// The tail of its output, indented, or empty.
        output: String,
    },
    /// The template could not be rendered.
    #[error("step `{step}`: {cause}")]
    Template {
        /// The step.
        step: String,
        /// The error of the template engine.
        cause: String,
    },
    /// The file to copy could not be read.
    #[error("step `{step}`: failed to read {path}: {cause}")]
    Source {
        /// The step.
        step: String,
        /// The file.
        path: String,
        /// The cause.
        cause: String,
    },
    /// SSH failed.
    #[error("step `{step}`: {cause}")]
    Ssh {
        /// The step.
        step: String,
        /// The error.
        cause: String,
        /// What it is about.
        kind: FailureKind,
    },
    /// Interrupted before it ended.
    #[error("interrupted in step `{step}`")]
    Interrupted {
        /// The step.
        step: String,
    },
}

/// A node on which a step failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeFault {
    /// The node.
    pub node: NodeName,
    /// What happened.
    pub fault: StepFault,
}

impl StepFault {
    /// The fault of a command that did not end by itself.
    pub(super) fn of_step(step: &str, command: &str, error: StepError, output: &str) -> Self {
        let step = step.to_owned();
        match error {
            StepError::TimedOut { after, doing: report } => Self::Timeout {
                step,
                allowed: humantime::format_duration(after).to_string(),
                command: command.to_owned(),
                doing: doing(report.as_deref()),
                output: output.to_owned(),
            },
            StepError::Interrupted => Self::Interrupted { step },
            StepError::Unconfirmed(error) => Self::of_step(&step, command, *error, output),
            other => Self::Ssh {
                step,
                cause: explain(&other),
                kind: kind_of(&other),
            },
        }
    }

    /// What happened, without the step, the command and its output.
    pub(super) fn short(&self) -> String {
        match self {
            Self::Failed { how, .. } => how.clone(),
            Self::Timeout { allowed, .. } => format!("timed out after {allowed}"),
            Self::Template { cause, .. } | Self::Ssh { cause, .. } => cause.clone(),
            Self::Source { path, cause, .. } => format!("failed to read {path}: {cause}"),
            Self::Interrupted { .. } => "interrupted".to_owned(),
        }
    }

    /// The step that failed.
    pub fn step(&self) -> &str {
        match self {
            Self::Failed { step, .. }
            | Self::Timeout { step, .. }
            | Self::Template { step, .. }
            | Self::Source { step, .. }
            | Self::Ssh { step, .. }
            | Self::Interrupted { step } => step,
        }
    }
}

impl UserFacing for StepFault {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Interrupted { .. } => None,
            Self::Ssh { .. } => {
                Some("check the node with `vcluster status`, then run `vcluster up` again".to_owned())
            }
            _ => Some("fix the step, then run `vcluster configure` or `vcluster up` again".to_owned()),
        }
    }

    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Interrupted { .. } => ExitCode::Interrupted,
            _ => ExitCode::ApplyFailed,
        }
    }

    fn kind(&self) -> FailureKind {
        match self {
            Self::Interrupted { .. } => FailureKind::Interrupted,
            Self::Ssh { kind, .. } => *kind,
            _ => FailureKind::StepFailed,
        }
    }

    fn brief(&self) -> Option<String> {
        match self {
            Self::Failed { step, how, .. } => Some(format!("step `{step}` failed: {how}")),
            Self::Timeout { step, allowed, .. } => Some(format!("step `{step}` timed out after {allowed}")),
            _ => None,
        }
    }
}

/// What the error of a step is about that did not end by itself.
fn kind_of(error: &StepError) -> FailureKind {
    match error {
        StepError::Ssh(error) => error.kind(),
        StepError::Dead(_) | StepError::Rebooted => FailureKind::GuestDied,
        StepError::NoLogin { .. } | StepError::NoAnswer { .. } => FailureKind::Timeout,
        StepError::Lost(_) => FailureKind::Unreachable,
        _ => FailureKind::Other,
    }
}

/// Lines of a timeout's report that are shown.
const REPORTED: usize = 30;

/// What the processes of a step were doing at the timeout, indented.
fn doing(report: Option<&str>) -> String {
    let Some(report) = report else {
        return "\n  the node did not respond in time".into();
    };
    let mut text = String::from("\n  its processes at the timeout:");
    for line in report.lines().take(REPORTED) {
        text.push_str("\n  | ");
        let head: String = line.chars().take(400).collect();
        text.push_str(&sanitize(&head));
    }
    text
}

/// The last lines of a command's output, for an error message.
pub(super) fn tail(stdout: &[u8], stderr: &[u8]) -> String {
    let both = [stdout, stderr].concat();
    let text = String::from_utf8_lossy(&both);
    let lines: Vec<&str> = text.lines().collect();
    let mut tail = String::new();
    for line in &lines[lines.len().saturating_sub(20)..] {
        tail.push_str("\n  | ");
        let head: String = line.chars().take(400).collect();
        tail.push_str(&sanitize(&head));
    }
    tail
}
