//! The diagnostics of a topology: every mistake with its place, its line and what to write instead.
//! Rendering is pure; nothing here prints.

use std::cell::RefCell;
use std::fmt::{self, Write};
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};
use serde::Serialize;
use serde_json::{Value, json};

use super::limits::MAX_DIAGNOSTICS;
use super::model::Location;
use crate::base::exit::ExitCode;
use crate::base::failure::UserFacing;
use crate::base::text::plural;

/// Lines longer than this are not shown.
const MAX_LINE: usize = 2_000;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// What is wrong, as a lower-case fragment.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Where it begins.
    #[serde(flatten)]
    pub at: Location,
    /// The bytes of the mistake in the file.
    #[serde(skip)]
    span: Range<usize>,
}

/// All mistakes of one topology, in the order of the file; never empty if it is an error.
#[derive(Clone, Debug)]
pub struct Diagnostics {
    source: Arc<str>,
    list: Vec<Diagnostic>,
    dropped: usize,
}

impl Diagnostics {
    /// A mistake without a place in a text, such as a file that cannot be read.
    pub fn of_file(file: &str, message: String, hint: Option<String>) -> Self {
        Self::without_place(file, vec![(message, hint)])
    }

    /// Mistakes in what the command line sets in a topology, each with its hint.
    pub(super) fn of_command_line(mistakes: Vec<(String, String)>) -> Self {
        let mistakes = mistakes.into_iter().map(|(message, hint)| (message, Some(hint)));
        Self::without_place("command line", mistakes.collect())
    }

    fn without_place(file: &str, mistakes: Vec<(String, Option<String>)>) -> Self {
        let diagnostic = |(message, hint)| Diagnostic {
            message,
            hint,
            at: Location {
                file: file.to_owned(),
                line: 1,
                column: 1,
            },
            span: 0..0,
        };
        Self {
            source: Arc::from(""),
            list: mistakes.into_iter().map(diagnostic).collect(),
            dropped: 0,
        }
    }

    /// The mistakes, in the order of the file.
    pub fn list(&self) -> &[Diagnostic] {
        &self.list
    }

    /// How many there are, including those that are not kept.
    pub fn count(&self) -> usize {
        self.list.len() + self.dropped
    }

    /// All mistakes with their lines and carets, for people.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let mut text = String::new();
        for diagnostic in &self.list {
            text.push_str(&renderer.render(&[self.report(diagnostic)]));
            text.push_str("\n\n");
        }
        text.push_str(&self.summary());
        text.push('\n');
        text
    }

    /// The number of mistakes in the file: `big.yaml: 2 errors`.
    pub fn summary(&self) -> String {
        let file = self.list.first().map_or("", |first| first.at.file.as_str());
        let mut text = format!("{file}: {}", plural(self.count(), "error"));
        if self.dropped > 0 {
            let _ = write!(text, ", {} not shown", self.dropped);
        }
        text
    }

    /// All mistakes for programs: `[{message, hint, file, line, column}]`.
    pub fn to_json(&self) -> Value {
        json!(self.list)
    }

    fn report<'a>(&'a self, diagnostic: &'a Diagnostic) -> annotate_snippets::Group<'a> {
        let title = Level::ERROR.primary_title(printable(&diagnostic.message));
        let line = line_around(&self.source, diagnostic.span.start);
        let mut group = if self.source.is_empty() {
            title.element(Origin::path(diagnostic.at.file.as_str()))
        } else if line.len() > MAX_LINE {
            title.element(
                Origin::path(diagnostic.at.file.as_str())
                    .line(diagnostic.at.line)
                    .char_column(diagnostic.at.column),
            )
        } else {
            let start = diagnostic.span.start - line.start;
            let end = diagnostic.span.end.min(line.end).max(diagnostic.span.start) - line.start;
            title.element(
                Snippet::source(&self.source[line])
                    .line_start(diagnostic.at.line)
                    .path(diagnostic.at.file.as_str())
                    .annotation(AnnotationKind::Primary.span(start..end)),
            )
        };
        if let Some(hint) = &diagnostic.hint {
            group = group.element(Level::HELP.with_name("hint").message(printable(hint)));
        }
        group
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(false).trim_end())
    }
}

impl std::error::Error for Diagnostics {}

/// Without a hint: every mistake has its own.
impl UserFacing for Diagnostics {
    fn exit_code(&self) -> ExitCode {
        ExitCode::InvalidTopology
    }
}

/// The user's text with characters escaped that control a terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() && c != '\n' {
                c.escape_debug().to_string()
            } else {
                c.to_string()
            }
        })
        .collect()
}

/// The bytes of the line that contains `offset`, without its line end.
fn line_around(source: &str, offset: usize) -> Range<usize> {
    let start = source[..offset].rfind('\n').map_or(0, |i| i + 1);
    let end = source[offset..].find('\n').map_or(source.len(), |i| offset + i);
    start..end.max(start)
}

/// Collects the mistakes of one text while it is read.
pub(super) struct Sink<'a> {
    file: &'a str,
    source: &'a str,
    line_starts: Vec<usize>,
    found: RefCell<(Vec<Diagnostic>, usize)>,
}

impl<'a> Sink<'a> {
    pub(super) fn new(file: &'a str, source: &'a str) -> Self {
        let line_starts = std::iter::once(0)
            .chain(source.match_indices('\n').map(|(i, _)| i + 1))
            .collect();
        Self {
            file,
            source,
            line_starts,
            found: RefCell::default(),
        }
    }

    pub(super) fn file(&self) -> &str {
        self.file
    }

    /// Line and column of a byte of the text.
    pub(super) fn locate(&self, offset: usize) -> Location {
        let offset = self.floor(offset);
        let line = self.line_starts.partition_point(|&start| start <= offset);
        let start = self.line_starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        Location {
            file: self.file.to_owned(),
            line,
            column: self.source[start..offset].chars().count() + 1,
        }
    }

    /// The byte offset of a line and column that count from 1.
    pub(super) fn offset(&self, line: usize, column: usize) -> usize {
        let start = self
            .line_starts
            .get(line.saturating_sub(1))
            .copied()
            .unwrap_or(self.source.len());
        self.source[start..]
            .char_indices()
            .nth(column.saturating_sub(1))
            .map_or(self.source.len(), |(i, _)| start + i)
    }

    /// The place in the file of a line and column of a text in it; `None` if the text is written with
    /// escapes or folded, so that its lines are not those of the file.
    pub(super) fn pinpoint(
        &self,
        span: &Range<usize>,
        text: &str,
        line: usize,
        column: usize,
    ) -> Option<Range<usize>> {
        let wanted = text.lines().nth(line.checked_sub(1)?)?;
        let number = self.locate(span.start).line + line - 1;
        let from = if line == 1 {
            span.start
        } else {
            self.offset(number, 1)
        };
        let written = self.source[from..].lines().next()?;
        let begin = from + written.find(wanted)?;
        let (inner, _) = wanted.char_indices().nth(column.checked_sub(1)?)?;
        let rest = &wanted[inner..];
        let length = if rest.starts_with("{{") {
            rest.find("}}").map_or(2, |end| end + 2)
        } else {
            1
        };
        Some(begin + inner..begin + inner + length)
    }

    /// Records a mistake with what to write instead.
    pub(super) fn error_hint(
        &self,
        span: &Range<usize>,
        message: impl Into<String>,
        hint: impl Into<Option<String>>,
    ) {
        let mut found = self.found.borrow_mut();
        if found.0.len() >= MAX_DIAGNOSTICS {
            found.1 += 1;
            return;
        }
        let start = self.floor(span.start);
        let end = self.floor(span.end).max(start);
        let diagnostic = Diagnostic {
            message: message.into(),
            hint: hint.into(),
            at: self.locate(start),
            span: start..end,
        };
        if !found.0.contains(&diagnostic) {
            found.0.push(diagnostic);
        }
    }

    fn floor(&self, offset: usize) -> usize {
        let mut offset = offset.min(self.source.len());
        while !self.source.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.borrow().0.is_empty()
    }

    /// The mistakes in the order of the file.
    pub(super) fn finish(self) -> Diagnostics {
        let (mut list, dropped) = self.found.into_inner();
        list.sort_by_key(|diagnostic| diagnostic.span.start);
        Diagnostics {
            source: Arc::from(self.source),
            list,
            dropped,
        }
    }
}
