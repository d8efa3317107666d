//! The error printer: what failed, why, what to do about it, and the exit code.

use std::error::Error;
use std::fmt::Write;

use serde::Serialize;

use super::Format;
use super::style::{ERROR, HINT};
use crate::base::exit::ExitCode;
use crate::base::failure::{UserError, UserFacing};
use crate::base::text;
use crate::topology::Diagnostics;

/// Finds the first type of the list that an error has.
macro_rules! user_facing {
    ($($type:ty,)*) => {
        fn known<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a dyn UserFacing> {
            $(if let Some(error) = cause.downcast_ref::<$type>() {
                return Some(error);
            })*
            None
        }

        #[cfg(test)]
        const KNOWN: &[&str] = &[$(stringify!($type),)*];
    };
}

// A test compares the list with the implementations of the trait.
user_facing!(
    crate::base::failure::UserError,
    crate::base::name::NameError,
    crate::compare::AcceptedError,
    crate::compare::Refusal,
    crate::configure::StepFault,
    crate::engine::ClaimError,
    crate::engine::EngineError,
    crate::engine::NodeError,
    crate::host::HostError,
    crate::image::ImageError,
    crate::nodeset::NodeSetError,
    crate::plan::PlanError,
    crate::runs::StoreError,
    crate::ssh::SshError,
    crate::ssh::transfer::TransferError,
    crate::state::StateError,
    crate::template::TemplateError,
    crate::topology::Diagnostics,
);

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
        let text = cause.to_string();
        if last.is_empty() || !last.ends_with(&text) {
            described.lines.push(clean(&text));
            last = text;
        }
        if let Some(known) = known(cause) {
            described.hint = described.hint.or(known.hint().map(|hint| clean(&hint)));
            code = code.or(Some(known.exit_code()));
        }
    }
    described.code = code.unwrap_or(ExitCode::Unexpected);
    described
}

fn clean(text: &str) -> String {
    text.lines()
        .map(|line| text::line(line.as_bytes()))
        .collect::<Vec<_>>()
        .join("\n")
}

impl Described {
    /// The text for people.
    pub fn human(&self) -> String {
        let mut text = String::new();
        for (index, line) in self.lines.iter().enumerate() {
            if index == 0 {
                // Diagnostics of a topology already begin with the word.
                let line = line.strip_prefix("error: ").unwrap_or(line);
                let _ = writeln!(text, "{ERROR}error{ERROR:#}: {line}");
            } else {
                let _ = writeln!(text, "  caused by: {}", line.replace('\n', "\n    "));
            }
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(text, "{HINT}hint{HINT:#}: {hint}");
        }
        text
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
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::super::style::plain;
    use super::*;
    use anyhow::Context;

    /// Errors that never reach the user by themselves: they end in another error, or in a mistake of a topology.
    const INTERNAL: [&str; 24] = [
        "AddressRangeError",
        "Cause",
        "DayError",
        "ExpressionError",
        "FrameError",
        "GrowthError",
        "HeaderError",
        "HostKeyError",
        "LeaseError",
        "MetricNameError",
        "MinReadyError",
        "Mistake",
        "MomentError",
        "NetworkError",
        "NodeSetErrorKind",
        "PatternError",
        "SeedError",
        "SeenError",
        "SelectorError",
        "SigningError",
        "SizeError",
        "StatisticError",
        "StepError",
        "UnitError",
    ];

    /// All sources below a directory.
    fn sources(directory: &Path) -> Vec<String> {
        let mut sources = Vec::new();
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources.extend(self::sources(&path));
            } else if path.extension().is_some_and(|end| end == "rs") {
                sources.push(std::fs::read_to_string(&path).unwrap());
            }
        }
        sources
    }

    /// The names that follow one of these beginnings of a line.
    fn named(lines: &[&str], beginnings: &[&str]) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for line in lines {
            for beginning in beginnings {
                if let Some(rest) = line.strip_prefix(*beginning) {
                    let name = rest.split(|c: char| !c.is_alphanumeric()).next();
                    names.extend(name.map(str::to_owned));
                }
            }
        }
        names
    }

    #[test]
    fn every_error_is_in_the_list_or_ends_in_another_one() {
        let sources = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
        let lines: Vec<&str> = sources.iter().flat_map(|source| source.lines()).collect();
        let known: BTreeSet<String> = KNOWN
            .iter()
            .map(|path| path.rsplit("::").next().unwrap().trim().to_owned())
            .collect();
        assert_eq!(named(&lines, &["impl UserFacing for "]), known);
        // Those that are derived, with their attributes between, and those that are written by hand.
        let mut errors = named(&lines, &["impl std::error::Error for "]);
        for (at, line) in lines.iter().enumerate() {
            if line.starts_with("#[derive(") && line.contains("thiserror::Error") {
                let types = lines[at..].iter().find_map(|line| {
                    let named = named(&[*line], &["pub enum ", "pub struct ", "pub(super) enum "]);
                    named.into_iter().next()
                });
                errors.extend(types);
            }
        }
        let internal: BTreeSet<String> = INTERNAL.map(str::to_owned).into();
        let listed: BTreeSet<String> = known.union(&internal).cloned().collect();
        assert_eq!(errors, listed);
    }

    #[test]
    fn a_file_that_cannot_be_sent_is_wrong_usage() {
        let source = std::io::Error::from(std::io::ErrorKind::NotFound);
        let path = "nowhere.txt".into();
        let error = crate::ssh::transfer::TransferError::Unreadable { path, source };
        let described = describe(&anyhow::Error::new(error));
        assert_eq!(described.code, ExitCode::Usage);
        assert!(described.hint.is_some());
    }

    #[test]
    fn a_directory_that_cannot_be_written_has_a_hint() {
        let source = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        let path = "out/n1".into();
        let error = crate::ssh::transfer::TransferError::Local { path, source };
        assert!(describe(&anyhow::Error::new(error)).hint.is_some());
    }

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
