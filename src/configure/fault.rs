//! Why a step failed, in words.

use crate::engine::explain;
use crate::name::NodeName;
use crate::report::sanitize;
use crate::supervise::StepError;

/// What a failing step says, without the node.
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
    /// It ran out of time.
    #[error("step `{step}` did not end within {allowed}\n  command: {command}{doing}{output}")]
    Timeout {
        /// The step.
        step: String,
        /// The time allowed.
        allowed: String,
        /// The command as it ran.
        command: String,
        /// What its processes did then, indented.
        doing: String,
        /// The tail of its output, indented, or empty.
        output: String,
    },
    /// The template could not be rendered.
    #[error("step `{step}`: {cause}")]
    Template {
        /// The step.
        step: String,
        /// What the template engine says.
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
        /// What SSH says.
        cause: String,
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
    /// What became of a command that did not come to an end of its own.
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
            other => Self::Ssh {
                step,
                cause: explain(&other),
            },
        }
    }

    /// What happened, without the step, the command and its output.
    pub(super) fn short(&self) -> String {
        match self {
            Self::Failed { how, .. } => how.clone(),
            Self::Timeout { allowed, .. } => format!("did not end within {allowed}"),
            Self::Template { cause, .. } | Self::Ssh { cause, .. } => cause.clone(),
            Self::Source { path, cause, .. } => format!("failed to read {path}: {cause}"),
            Self::Interrupted { .. } => "interrupted".to_owned(),
        }
    }

    /// The step that it is about.
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

/// Lines of a time-out's report that are shown.
const REPORTED: usize = 30;

/// What the processes of a step did when its time was over, indented.
fn doing(report: Option<&str>) -> String {
    let Some(report) = report else {
        return "\n  the node gave no answer within the time that it has to end a step".into();
    };
    let mut text = String::from("\n  its processes when the time was over:");
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
