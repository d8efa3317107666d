//! `accepted.yaml`: regressions that the user knows of and accepts until a day.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::variant::Selector;
use crate::base::exit::ExitCode;
use crate::base::failure::UserFacing;
use crate::base::units::Moment;
use crate::measure::MetricName;

/// The largest file, in bytes.
const LIMIT: u64 = 1024 * 1024;

/// A regression that is accepted.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accepted {
    /// The metric.
    pub metric: MetricName,
    /// Only for sides of this variant: `rev=new`.
    #[serde(default)]
    pub variant: Option<Selector>,
    /// Why, for people.
    #[serde(deserialize_with = "not_empty")]
    pub reason: String,
    /// The last day on which it is accepted.
    pub until: Day,
}

impl Accepted {
    /// Whether its last day, in UTC, is past.
    pub fn is_expired(&self, now: Moment) -> bool {
        now > self.until.0
    }
}

/// A day, `2026-12-31`, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Day(Moment);

/// A text that is no day.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a day such as 2026-12-31")]
pub struct DayError(String);

impl FromStr for Day {
    type Err = DayError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || {
            DayError(
                text.chars()
                    .take(40)
                    .collect::<String>()
                    .escape_debug()
                    .to_string(),
            )
        };
        let is_day = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        let last = format!("{text}T23:59:59Z").parse::<Moment>();
        last.ok().filter(|_| is_day).map(Self).ok_or_else(wrong)
    }
}

impl TryFrom<String> for Day {
    type Error = DayError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        f.write_str(text.split('T').next().unwrap_or_default())
    }
}

fn not_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.trim().is_empty() {
        return Err(D::Error::custom("`reason` is empty"));
    }
    Ok(text)
}

/// Why a file of accepted regressions could not be read.
#[derive(Debug, thiserror::Error)]
pub enum AcceptedError {
    /// It could not be read.
    #[error("failed to read {path}: {source}", path = .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// It is too large.
    #[error("{path} has more than 1 MiB", path = .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// It is not a list of accepted regressions.
    #[error("{path}:{line}:{column}: {cause}", path = .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The column, from 1.
        column: u64,
        /// What is wrong.
        cause: String,
    },
}

impl UserFacing for AcceptedError {
    fn exit_code(&self) -> ExitCode {
        ExitCode::Usage
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Unreadable { .. } => "check its path, owner and permissions",
            Self::TooLarge { .. } | Self::Malformed { .. } => {
                "write a list of entries with `metric`, `reason`, `until` and optionally `variant`, such as \
                 `- { metric: join_seconds, variant: rev=new, reason: waits for the disk, until: 2026-12-31 }`"
            }
        };
        Some(hint.to_owned())
    }
}

/// Reads a file of accepted regressions.
pub fn read_accepted(path: &Path) -> Result<Vec<Accepted>, AcceptedError> {
    let unreadable = |source| AcceptedError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut text = String::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(LIMIT + 1)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    if text.len() as u64 > LIMIT {
        return Err(AcceptedError::TooLarge {
            path: path.to_owned(),
        });
    }
    parse(&text, path)
}

/// Reads the text of such a file.
pub(super) fn parse(text: &str, path: &Path) -> Result<Vec<Accepted>, AcceptedError> {
    let is_nothing = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    if text.lines().all(is_nothing) {
        return Ok(Vec::new());
    }
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let place = error.location();
        let message = error.without_snippet().to_string();
        let message = message.lines().next().unwrap_or_default().trim();
        AcceptedError::Malformed {
            path: path.to_owned(),
            line: place.map_or(1, |place| place.line()),
            column: place.map_or(1, |place| place.column()),
            cause: message.split(" at line ").next().unwrap_or(message).to_owned(),
        }
    })
}
