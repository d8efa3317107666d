//! The error printer: what failed, why, what to do about it, and the exit code.

use std::error::Error;
use std::fmt::Write;

use serde::Serialize;

use super::Format;
use super::style::{ERROR, HINT};
use crate::base::exit::ExitCode;
use crate::base::failure::UserError;
use crate::base::text;
use crate::topology::Diagnostics;

/// What one error of a chain provides besides its message.
#[derive(Debug, Default)]
struct Known {
    hint: Option<String>,
    code: Option<ExitCode>,
}

/// Finds the first type of the table that the error has. A line per type:
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
        UserError, error => error.hint.clone(), Some(error.code);
        crate::plan::PlanError, error => error.hint(), Some(error.exit_code());
        crate::base::name::NameError, error => Some(error.hint().to_owned()), Some(ExitCode::Usage);
        crate::nodeset::NodeSetError, error => error.hint(), Some(ExitCode::Usage);
        crate::topology::Diagnostics, error => error.hint(), Some(error.exit_code());
        crate::engine::ClaimError, error => error.hint(), Some(error.exit_code());
        crate::engine::EngineError, error => error.hint(), Some(error.exit_code());
        crate::state::StateError, error => error.hint(), Some(error.exit_code());
        crate::host::HostError, error => error.hint(), Some(error.exit_code());
        crate::image::ImageError, error => error.hint(), Some(error.exit_code());
        crate::ssh::SshError, error => error.hint(), Some(error.exit_code());
        crate::template::TemplateError, error => error.hint(), Some(error.exit_code());
        crate::base::units::SizeError, error => Some(error.hint().to_owned()), None;
    );
    Known::default()
}

/// An error prepared for display.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// What failed, then its causes from the outermost to the root, each fit for a terminal.
    /// A message may have several lines (the diagnostics of a topology have).
    pub lines: Vec<String>,
    /// What to do: the hint of the outermost error that has one.
    pub hint: Option<String>,
    /// The exit code of the outermost error that has one, else [`ExitCode::Unexpected`].
    pub code: ExitCode,
}

/// Describes an error with its causes, without a cause that the previous line already ends with.
pub fn describe(error: &anyhow::Error) -> Described {
    let mut described = Described {
        lines: Vec::new(),
        hint: None,
        code: ExitCode::Unexpected,
    };
    // The chain hides the type of an error that was added as anyhow context: only anyhow itself finds it.
    let context = error.downcast_ref::<UserError>();
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
    pub fn human(&self) -> String {
        let mut said = String::new();
        for (index, line) in self.lines.iter().enumerate() {
            if index == 0 {
                // Diagnostics of a topology already begin with the word.
                let line = line.strip_prefix("error: ").unwrap_or(line);
                let _ = writeln!(said, "{ERROR}error{ERROR:#}: {line}");
            } else {
                let _ = writeln!(said, "  caused by: {}", line.replace('\n', "\n    "));
            }
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(said, "{HINT}hint{HINT:#}: {hint}");
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
    /// Every mistake of a topology, with its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    mistakes: Option<serde_json::Value>,
}

/// Prints an error and returns its exit code: on stderr for people, as the last JSON line of stdout for
/// programs.
pub fn error(error: &anyhow::Error, format: Format) -> ExitCode {
    let described = describe(error);
    match format {
        Format::Human => {
            super::message(described.human().trim_end_matches('\n'));
        }
        Format::Json => {
            let diagnostics = error
                .chain()
                .find_map(|cause| cause.downcast_ref::<Diagnostics>());
            let summary = diagnostics.map(Diagnostics::summary);
            let (first, causes) = described
                .lines
                .split_first()
                .map_or(("", &[][..]), |(f, c)| (f.as_str(), c));
            let first = summary.as_deref().unwrap_or(first);
            let hint = described.hint.as_deref();
            super::json::line(
                "error",
                &Line {
                    error: first,
                    causes,
                    hint,
                    exit_code: described.code.code(),
                    mistakes: diagnostics.map(Diagnostics::to_json),
                },
            );
        }
    }
    described.code
}

#[cfg(test)]
mod tests {
    use super::super::style::plain;
    use super::*;
    use anyhow::Context;

    #[test]
    fn causes_follow_and_the_hint_comes_from_anywhere_in_the_chain() {
        let error = "../x"
            .parse::<crate::base::name::ClusterName>()
            .context("failed to read the cluster's name")
            .unwrap_err();
        insta::assert_snapshot!(plain(&describe(&error).human()), @r"
        error: failed to read the cluster's name
          caused by: the cluster name `../x` contains `.`
        hint: use lower-case letters, digits and inner hyphens, beginning with a letter
        ");
    }

    #[test]
    fn the_outermost_code_and_hint_win() {
        let inner = UserError::new(ExitCode::Timeout, "inner").with_hint("inner hint");
        let outer = UserError::new(ExitCode::ApplyFailed, "outer");
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
            lacks: crate::plan::Shortage::Memory,
            at: None,
        };
        let error = anyhow::Error::new(error).context("failed to plan");
        let described = describe(&error);
        assert_eq!(described.code, ExitCode::DoesNotFit);
        assert_eq!(described.hint.as_deref(), Some("add hosts, or lower `memory`"));
    }

    #[test]
    fn a_cause_that_is_already_shown_is_not_repeated() {
        let error = anyhow::anyhow!("no space").context("failed to write: no space");
        assert_eq!(describe(&error).lines, ["failed to write: no space"]);
    }

    #[test]
    fn escapes_in_a_message_do_not_reach_the_screen() {
        let error = anyhow::anyhow!("console:\n\x1b[2Jpanic");
        assert_eq!(plain(&describe(&error).human()), "error: console:\n^[[2Jpanic\n");
    }

    #[test]
    fn the_word_error_appears_once() {
        let error = anyhow::anyhow!("error: unknown key\n --> file:1:1");
        assert_eq!(
            plain(&describe(&error).human()),
            "error: unknown key\n --> file:1:1\n"
        );
    }
}
