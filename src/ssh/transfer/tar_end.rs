//! How the tar of a node ended, and what it and other tools report.

use super::super::request::Output;
use super::names::shown;
use super::unpack::End;

/// Reports of a tool that are named.
const REPORTS: usize = 10;

/// How tar ended.
pub(super) struct Archive {
    pub(super) output: Output,
    pub(super) end: End,
}

impl Archive {
    /// Whether it is whole, and tar reports nothing.
    pub(super) fn is_quiet(&self) -> bool {
        self.output.is_success() && matches!(self.end, End::Whole) && self.output.stderr.is_empty()
    }

    /// Whether it lacks what comes after its end.
    pub(super) fn is_cut(&self) -> bool {
        !matches!(self.end, End::Whole) || self.output.code().is_none()
    }

    /// Whether tar reports this. Its language is English, and a file's name can add a report, but not hide one.
    pub(super) fn reports(&self, what: &str) -> bool {
        String::from_utf8_lossy(&self.output.stderr).contains(what)
    }
}

/// What a tool reports of entries that it could not read.
pub(super) fn refusals(output: &Output) -> Vec<String> {
    let causes = [
        "Permission denied",
        "Operation not permitted",
        "Input/output error",
    ];
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines = errors
        .lines()
        .filter(|line| causes.iter().any(|cause| line.ends_with(*cause)));
    lines.take(REPORTS).map(|line| shown(line.as_bytes())).collect()
}
