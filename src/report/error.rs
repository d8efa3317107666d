//! The error printer: what failed, why, what to do about it, and the exit code.

use std::error::Error;
use std::fmt::Write;

use serde::Serialize;

use super::terminal::{Colour, Terminal, paint};
use super::text;
use crate::cmd::Format;
use crate::exit::ExitCode;

/// An error of a verb that has no type of its own: a message, what to do, an exit code.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What failed and why: a lowercase fragment.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// The exit code.
    pub code: ExitCode,
}

impl Failure {
    /// A failure without a hint.
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

/// What is known of one error of a chain beyond its message.
#[derive(Debug, Default)]
struct Known {
    hint: Option<String>,
    code: Option<ExitCode>,
}

/// Gives the first type of the table that the error is. A line per type:
/// `Type, error => hint (Option<String>), exit code (Option<ExitCode>);`
macro_rules! downcast {
    ($cause:expr; $($type:ty, $error:pat => $hint:expr, $code:expr;)*) => {
        $(if let Some($error) = $cause.downcast_ref::<$type>() {
            return Known { hint: $hint, code: $code };
        })*
    };
}

fn known(cause: &(dyn Error + 'static)) -> Known {
    downcast!(cause;
        Failure, error => error.hint.clone(), Some(error.code);
        crate::plan::PlanError, error => error.hint(), Some(error.exit_code());
        crate::name::NameError, error => Some(error.hint().to_owned()), None;
        crate::nodeset::NodeSetError, error => error.hint(), Some(ExitCode::Usage);
        crate::topology::Diagnostics, error => error.hint(), Some(error.exit_code());
        crate::engine::ClaimError, error => error.hint(), Some(error.exit_code());
        crate::engine::EngineError, error => error.hint(), Some(error.exit_code());
        crate::state::StateError, error => error.hint(), Some(error.exit_code());
        crate::host::HostError, error => error.hint(), Some(error.exit_code());
        crate::image::ImageError, error => error.hint(), Some(error.exit_code());
        crate::ssh::SshError, error => error.hint(), Some(error.exit_code());
        crate::template::TemplateError, error => error.hint(), Some(error.exit_code());
        crate::units::SizeError, error => Some(error.hint().to_owned()), None;
    );
    Known::default()
}

/// An error made ready for the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// What failed, then its causes from the outermost to the root, each fit for a terminal.
    /// A message may have several lines (the diagnostics of a topology have).
    pub lines: Vec<String>,
    /// What to do, where an error of the chain knows: the outermost one that does.
    pub hint: Option<String>,
    /// The exit code of the outermost error that has one, else [`ExitCode::Unexpected`].
    pub code: ExitCode,
}

/// Describes an error with its causes. A cause that the line before it ends with is not said twice.
pub fn describe(error: &anyhow::Error) -> Described {
    let mut described = Described {
        lines: Vec::new(),
        hint: None,
        code: ExitCode::Unexpected,
    };
    // A failure given as anyhow context is no link of the chain by its type: only anyhow itself finds it.
    let context = error.downcast_ref::<Failure>();
    described.hint = context.and_then(|failure| failure.hint.as_deref()).map(clean);
    let mut code = context.map(|failure| failure.code);
    let mut last = String::new();
    for cause in error.chain() {
        let said = cause.to_string();
        if last.is_empty() || !last.ends_with(&said) {
            described.lines.push(clean(&said));
            last = said;
        }
        let known = known(cause);
        described.hint = described.hint.or(known.hint.map(|hint| clean(&hint)));
        code = code.or(known.code);
    }
    described.code = code.unwrap_or(ExitCode::Unexpected);
    described
}

fn clean(said: &str) -> String {
    said.lines()
        .map(|line| text::line(line.as_bytes()))
        .collect::<Vec<_>>()
        .join("\n")
}

impl Described {
    /// The text for people.
    pub fn human(&self, colour: bool) -> String {
        let mut said = String::new();
        for (index, line) in self.lines.iter().enumerate() {
            if index == 0 {
                // Diagnostics of a topology begin with the word themselves.
                let line = line.strip_prefix("error: ").unwrap_or(line);
                let _ = writeln!(said, "{}: {line}", paint(colour, Colour::Red, "error"));
            } else {
                let _ = writeln!(said, "  caused by: {}", line.replace('\n', "\n    "));
            }
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(said, "{}: {hint}", paint(colour, Colour::Cyan, "hint"));
        }
        said
    }
}

/// The JSON form: the last line of stdout.
#[derive(Serialize)]
struct Line<'a> {
    error: &'a str,
    causes: &'a [String],
    hint: Option<&'a str>,
    exit_code: u8,
}

/// Prints an error and gives the exit code that goes with it: on stderr for people, as the last JSON line of
/// stdout for programs.
pub fn error(error: &anyhow::Error, format: Format) -> ExitCode {
    let described = describe(error);
    match format {
        Format::Human => {
            super::talk(described.human(Terminal::detect().colour).trim_end_matches('\n'));
        }
        Format::Json => {
            let (first, causes) = described
                .lines
                .split_first()
                .map_or(("", &[][..]), |(f, c)| (f.as_str(), c));
            let hint = described.hint.as_deref();
            super::json::line(
                "error",
                &Line {
                    error: first,
                    causes,
                    hint,
                    exit_code: described.code.code(),
                },
            );
        }
    }
    described.code
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn causes_follow_and_the_hint_comes_from_anywhere_in_the_chain() {
        let error = "../x"
            .parse::<crate::name::ClusterName>()
            .context("failed to read the cluster's name")
            .unwrap_err();
        insta::assert_snapshot!(describe(&error).human(false), @r"
        error: failed to read the cluster's name
          caused by: the cluster name `../x` holds `.`
        hint: use lower-case letters, digits and inner hyphens, beginning with a letter
        ");
    }

    #[test]
    fn the_outermost_code_and_hint_win() {
        let inner = Failure::new(ExitCode::Timeout, "inner").with_hint("inner hint");
        let outer = Failure::new(ExitCode::ApplyFailed, "outer");
        let described = describe(&anyhow::Error::new(inner).context(outer));
        assert_eq!(described.lines, ["outer", "inner"]);
        assert_eq!(described.code, ExitCode::ApplyFailed);
        assert_eq!(described.hint.as_deref(), Some("inner hint"));
    }

    #[test]
    fn an_error_of_no_known_type_is_unexpected() {
        let described = describe(&anyhow::anyhow!("odd"));
        assert_eq!((described.code, described.hint), (ExitCode::Unexpected, None));
    }

    #[test]
    fn a_plan_that_does_not_fit_has_its_exit_code_under_any_context() {
        let error = crate::plan::PlanError::DoesNotFit {
            node: "n1".parse().unwrap(),
            needs: "1 GiB of memory and 1 vCPU".into(),
            best: "no host may take it".into(),
            unplaced: 0,
            lacks: crate::plan::Lack::Memory,
            at: None,
        };
        let error = anyhow::Error::new(error).context("failed to plan");
        let described = describe(&error);
        assert_eq!(described.code, ExitCode::DoesNotFit);
        assert_eq!(described.hint.as_deref(), Some("add hosts, or lower `memory`"));
    }

    #[test]
    fn a_cause_that_was_said_already_is_not_repeated() {
        let error = anyhow::anyhow!("no space").context("failed to write: no space");
        assert_eq!(describe(&error).lines, ["failed to write: no space"]);
    }

    #[test]
    fn escapes_in_a_message_do_not_reach_the_screen() {
        let error = anyhow::anyhow!("console:\n\x1b[2Jpanic");
        assert_eq!(describe(&error).human(false), "error: console:\n^[[2Jpanic\n");
    }

    #[test]
    fn the_word_error_stands_there_once() {
        let error = anyhow::anyhow!("error: unknown key\n --> file:1:1");
        assert_eq!(
            describe(&error).human(false),
            "error: unknown key\n --> file:1:1\n"
        );
    }
}
