//! What can be wrong with a source, counted, with the first example of each kind.

use std::collections::BTreeMap;

use super::extracted::Trouble;
use super::limits;
use crate::base::name::NodeName;
use crate::measure::MetricName;

/// A kind of problem, in the order in which they are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Problem {
    /// Nothing to read; the example is the whole text.
    NoFile,
    /// Files that collecting could not fetch; the example is the whole text.
    NotFetched,
    /// More files match than are read; the example is the whole text.
    TooManyFiles,
    /// A file that cannot be read, or not to its end.
    Unreadable,
    /// An output stream that was cut.
    Cut,
    /// Output that was lost; the example is the whole text.
    Lost,
    /// A line that is too long.
    LongLine,
    /// A line that does not have the format.
    Malformed,
    /// The last line has no end.
    Torn,
    /// A document that is too large.
    TooLarge,
    /// A document that does not parse.
    NotJson,
    /// A document that has nothing at the pointer.
    Absent,
    /// A JSON value that is no number.
    WrongType,
    /// A value that is no finite decimal number.
    NotFinite,
    /// A value in a unit that cannot be converted.
    Unit,
    /// A name that a metric cannot have.
    BadName,
    /// Too many labels, or too long ones.
    Labels,
    /// More names than are kept.
    Names,
    /// More bytes of labels than are kept.
    LabelBytes,
    /// More samples than are kept.
    Samples,
}

impl Problem {
    /// Whether samples are missing because of it. A line that is only odd may have been meant for people.
    fn is_incomplete(self) -> bool {
        matches!(
            self,
            Self::NotFetched
                | Self::TooManyFiles
                | Self::Unreadable
                | Self::Cut
                | Self::Lost
                | Self::Torn
                | Self::TooLarge
                | Self::NotJson
                | Self::Unit
                | Self::Labels
                | Self::Names
                | Self::LabelBytes
                | Self::Samples
        )
    }

    fn describe(self, count: u64, first: &str) -> String {
        let many = |one: &str, more: &str| {
            if count == 1 {
                format!("1 {one}")
            } else {
                format!("{count} {more}")
            }
        };
        let with_first = |text: String| {
            if count == 1 {
                format!("{text}: {first}")
            } else {
                format!("{text}: the first is {first}")
            }
        };
        match self {
            Self::NoFile | Self::NotFetched | Self::TooManyFiles | Self::Lost => first.to_owned(),
            Self::Unreadable => with_first(many("file cannot be read", "files cannot be read")),
            Self::Cut => format!("the output was cut after {} MiB", limits::OUTPUT >> 20),
            Self::LongLine => format!(
                "{} than {} KiB",
                many(
                    "line was skipped because it is longer",
                    "lines were skipped because they are longer"
                ),
                limits::LINE >> 10
            ),
            Self::Malformed => with_first(many("line cannot be read", "lines cannot be read")),
            Self::Torn => with_first(many("file ends within a line", "files end within a line")),
            Self::TooLarge => format!(
                "{} than {} MiB",
                many("document is larger", "documents are larger"),
                limits::DOCUMENT >> 20
            ),
            Self::NotJson => with_first(many("document is not JSON", "documents are not JSON")),
            Self::Absent => with_first(many("document has no such value", "documents have no such value")),
            Self::WrongType => with_first(many("value is not a number", "values are not numbers")),
            Self::NotFinite => with_first(many(
                "value is not a finite number",
                "values are not finite numbers",
            )),
            Self::Unit => with_first(many(
                "value is in a unit that cannot be converted",
                "values are in units that cannot be converted",
            )),
            Self::BadName => with_first(many(
                "name cannot be that of a metric",
                "names cannot be those of metrics",
            )),
            Self::Labels => format!(
                "{}: at most {} are allowed, with names of {} and values of {} bytes",
                many(
                    "sample has too many or too long labels",
                    "samples have too many or too long labels"
                ),
                limits::LABELS,
                limits::LABEL_NAME,
                limits::LABEL_VALUE
            ),
            Self::Names => format!(
                "{} after the first {} metrics of the source",
                many("sample is of a metric", "samples are of metrics"),
                limits::NAMES
            ),
            Self::LabelBytes => format!(
                "{} after {} MiB of labels of the source",
                many("sample comes", "samples come"),
                limits::LABEL_BYTES >> 20
            ),
            Self::Samples => format!(
                "{} after the first {} of the source",
                many("sample comes", "samples come"),
                limits::SAMPLES
            ),
        }
    }
}

/// How often a problem was found, and its first example.
#[derive(Debug)]
struct Seen {
    count: u64,
    first: String,
}

/// The problems of a source.
#[derive(Debug, Default)]
pub(super) struct Problems(BTreeMap<Problem, Seen>);

impl Problems {
    /// Counts a problem. The example is used if it is the first.
    pub(super) fn add(&mut self, problem: Problem, example: impl FnOnce() -> String) {
        let seen = self.0.entry(problem).or_insert_with(|| Seen {
            count: 0,
            first: example(),
        });
        seen.count += 1;
    }

    /// As they are reported.
    pub(super) fn troubles(
        self,
        step: &str,
        node: &NodeName,
        metric: &MetricName,
        source: &str,
    ) -> Vec<Trouble> {
        let kinds = self.0.into_iter();
        kinds
            .map(|(problem, seen)| Trouble {
                step: step.to_owned(),
                node: node.clone(),
                metric: metric.clone(),
                source: source.to_owned(),
                what: problem.describe(seen.count, &seen.first),
                count: seen.count,
                incomplete: problem.is_incomplete(),
            })
            .collect()
    }
}
