//! Why runs could not be read, found or removed.

use std::io;
use std::path::{Path, PathBuf};

use crate::base::exit::ExitCode;
use crate::base::failure::UserFacing;
use crate::base::suggest::nearest;

/// Why the store of runs could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file or directory could not be read or written.
    #[error("failed to {doing} {path}: {source}", path = .path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file has unexpected contents, or is missing.
    #[error("{} is damaged: {cause}", place(path, *line))]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, from 1, if known.
        line: Option<usize>,
        /// What is wrong with it.
        cause: String,
    },
    /// There is none of this name.
    #[error("there is no {what} `{}` in {place}", shown(name))]
    Unknown {
        /// What was looked for: `run`, `experiment`, or either.
        what: &'static str,
        /// The name as given.
        name: String,
        /// Where it was looked for.
        place: String,
        /// The names that exist there.
        known: Vec<String>,
    },
    /// Several names begin with this text.
    #[error("`{}` may be {}", shown(name), listed(candidates))]
    Ambiguous {
        /// The text as given.
        name: String,
        /// What it may be.
        candidates: Vec<String>,
    },
    /// A text that can be no name.
    #[error("`{}` is not a name of a run or experiment", shown(name))]
    Name {
        /// The text as given.
        name: String,
    },
    /// A run or an experiment that a command works on.
    #[error("{what} `{name}` is in use by another command")]
    Busy {
        /// `run` or `experiment`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A run that belongs to an experiment.
    #[error("run `{run}` is a part of experiment `{experiment}`")]
    Member {
        /// The run.
        run: String,
        /// The experiment.
        experiment: String,
    },
}

/// A file with its line, as compilers write it.
fn place(path: &Path, line: Option<usize>) -> String {
    match line {
        Some(line) => format!("{}:{line}", path.display()),
        None => path.display().to_string(),
    }
}

/// A text of the user, fit for a message.
fn shown(name: &str) -> String {
    name.chars()
        .take(80)
        .collect::<String>()
        .escape_debug()
        .to_string()
}

/// The first names of a list.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let more = names.len().saturating_sub(SHOWN);
    let first = names[..names.len().min(SHOWN)].join(", ");
    if more > 0 {
        format!("{first} or {more} others")
    } else {
        first
    }
}

impl StoreError {
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }

    /// A document that could not be read.
    pub(super) fn document(path: &Path, error: &serde_json::Error) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            line: Some(error.line()).filter(|line| *line > 0),
            cause: cause(error),
        }
    }

    /// A line of a file of JSON lines that could not be read.
    pub(super) fn line(path: &Path, line: usize, cause: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            line: Some(line),
            cause: cause.into(),
        }
    }

    pub(super) fn damaged(path: &Path, cause: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            line: None,
            cause: cause.into(),
        }
    }
}

/// What is wrong with a JSON text, without the place, which counts from the begin of that text.
pub(super) fn cause(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) if error.line() > 0 => text[..end].to_owned(),
        _ => text,
    }
}

impl UserFacing for StoreError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                "free space on the file system of this path".into()
            }
            Self::Io { .. } => "check the type, owner and permissions of this path".into(),
            Self::Damaged { .. } => {
                "restore it from a copy; `vcluster runs remove NAME` removes a damaged run or experiment"
                    .into()
            }
            Self::Unknown { name, known, .. } => {
                let near = nearest(name, known.iter().take(5_000).map(String::as_str));
                match near.filter(|_| name.len() <= 64) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "`vcluster runs` lists the runs and experiments".into(),
                }
            }
            Self::Ambiguous { .. } => {
                "write more of the name; of equal names in several clusters, choose one with `--cluster NAME`"
                    .into()
            }
            Self::Name { .. } => "give a name that `vcluster runs` lists, or its beginning".into(),
            Self::Busy { .. } => "wait for that command to end, or stop it; nothing was removed".into(),
            Self::Member { experiment, .. } => {
                format!("`vcluster runs remove {experiment}` removes the experiment with all its runs")
            }
        })
    }

    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Unknown { .. } | Self::Ambiguous { .. } | Self::Name { .. } | Self::Member { .. } => {
                ExitCode::Usage
            }
            Self::Io { .. } | Self::Damaged { .. } | Self::Busy { .. } => ExitCode::Unexpected,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_file_is_named_with_its_line_and_without_the_line_of_its_part() {
        let error = serde_json::from_str::<u32>("\n{").unwrap_err();
        let path = Path::new("results/1/run.json");
        let text = StoreError::document(path, &error).to_string();
        assert_eq!(
            text,
            "results/1/run.json:2 is damaged: invalid type: map, expected u32"
        );
        let text = StoreError::line(path, 7, "x").to_string();
        assert_eq!(text, "results/1/run.json:7 is damaged: x");
    }

    #[test]
    fn a_name_that_is_nearly_right_is_suggested() {
        let unknown = |name: &str| StoreError::Unknown {
            what: "run",
            name: name.into(),
            place: "results".into(),
            known: vec!["20260131T120000Z".into()],
        };
        let hint = |name: &str| unknown(name).hint().unwrap();
        assert_eq!(hint("20260131T120001Z"), "did you mean `20260131T120000Z`?");
        assert!(hint("x").starts_with("`vcluster runs`"));
        assert_eq!(
            unknown("\u{1b}[2J").to_string(),
            "there is no run `\\u{1b}[2J` in results"
        );
    }

    #[test]
    fn of_many_candidates_the_first_are_listed() {
        let candidates: Vec<String> = (0..10).map(|number| format!("r{number}")).collect();
        let name = "r".into();
        let text = StoreError::Ambiguous { name, candidates }.to_string();
        assert_eq!(text, "`r` may be r0, r1, r2, r3, r4, r5, r6, r7 or 2 others");
    }
}
