//! Why a step failed, as text.

use crate::base::exit::ExitCode;
use crate::base::failure::{UserFacing, explain};
use crate::base::failure_kind::FailureKind;
use crate::base::name::NodeName;
use crate::base::text::{sanitize, shortened};
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
    /// A file does not fit on the node.
    #[error("step `{step}`: no space left on the node for {path} ({size})")]
    NoSpace {
        /// The step.
        step: String,
        /// The file on the node.
        path: String,
        /// Its size, with its unit.
        size: String,
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
            Self::NoSpace { path, size, .. } => format!("no space left on the node for {path} ({size})"),
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
            | Self::NoSpace { step, .. }
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
            // Until the new file is complete, the node holds both.
            Self::NoSpace { .. } => Some(
                "free space on the node, or give it more `disk` (`micro`: `memory`), then run `vcluster configure` or \
                 `vcluster up` again"
                    .to_owned(),
            ),
            Self::Timeout { .. } => Some(
                "fix the step or raise its `timeout`, then run `vcluster configure` or `vcluster up` again".to_owned(),
            ),
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

/// Lines of a command's output that are shown.
const SHOWN: usize = 20;

/// Characters of a line that are shown.
const WIDTH: usize = 400;

/// What the processes of a step were doing at the timeout, indented.
fn doing(report: Option<&str>) -> String {
    let Some(report) = report else {
        return "\n  the node did not respond in time".into();
    };
    let mut text = String::from("\n  its processes at the timeout:");
    for line in report.lines().take(REPORTED) {
        text.push_str("\n  | ");
        text.push_str(&sanitize(&shortened(line, WIDTH)));
    }
    let more = report.lines().count().saturating_sub(REPORTED);
    if more > 0 {
        text.push_str(&format!("\n  | ... and {more} more"));
    }
    text
}

/// The last lines of a command's output, for an error message.
pub(super) fn tail(stdout: &[u8], stderr: &[u8]) -> String {
    tail_after(stdout, stderr, false)
}

/// Like [`tail`]; `cut`: whether there was more output before these bytes.
pub(super) fn tail_after(stdout: &[u8], stderr: &[u8], cut: bool) -> String {
    let both = [stdout, stderr].concat();
    let text = String::from_utf8_lossy(&both);
    let lines: Vec<&str> = text.lines().collect();
    let mut tail = String::new();
    if cut || lines.len() > SHOWN {
        tail.push_str("\n  | [earlier output is left out]");
    }
    for line in &lines[lines.len().saturating_sub(SHOWN)..] {
        tail.push_str("\n  | ");
        tail.push_str(&sanitize(&shortened(line, WIDTH)));
    }
    tail
}
