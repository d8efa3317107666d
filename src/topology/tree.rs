//! YAML text to a tree in which every value has its byte range. The YAML reader stops at its
//! first mistake, so only the syntax is checked here; the meaning is checked on the tree.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;
use serde_saphyr::{DuplicateKeyPolicy, Location, MergeKeyPolicy, Spanned};

use super::diagnostics::Sink;
use super::limits::{MAX_ALIASED_VALUES, MAX_DEPTH, MAX_FILE_BYTES, MAX_VALUES};
use super::surprise;
use crate::base::number;

/// The hint for a topology that is too large.
const FOLD: &str = "name many nodes or hosts at once with node sets, such as `bm[01-15]`";

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    pub(super) kind: Kind,
    pub(super) span: Range<usize>,
    /// The text of a number that is not in the usual form of its value: `1.10`, `007`, `0x10`, `1e3`, `1_000`.
    pub(super) written: Option<String>,
}

/// A key of a mapping and its place.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) span: Range<usize>,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    Int(i64),
    Unsigned(u64),
    Float(f64),
    Text(String),
    List(Vec<Tree>),
    Map(Vec<(Key, Tree)>),
}

impl Kind {
    /// What it is, for messages.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Null => "nothing".to_owned(),
            Self::Bool(value) => format!("`{value}`"),
            Self::Int(value) => format!("the number {value}"),
            Self::Unsigned(value) => format!("the number {value}"),
            Self::Float(value) => format!("the number {value}"),
            Self::Text(value) => format!("the text `{}`", shorten(value)),
            Self::List(_) => "a list".to_owned(),
            Self::Map(_) => "a mapping".to_owned(),
        }
    }
}

/// At most 40 characters of a text, escaped.
pub(super) fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short.push_str("...");
    }
    short.escape_debug().to_string()
}

/// Reads one YAML document; a mistake in the syntax goes into the sink.
pub(super) fn parse(text: &str, sink: &Sink<'_>) -> Option<Tree> {
    if text.len() as u64 > MAX_FILE_BYTES {
        sink.error_hint(
            &(0..0),
            format!(
                "the topology has {} bytes; at most {MAX_FILE_BYTES} are allowed",
                text.len()
            ),
            FOLD.to_owned(),
        );
        return None;
    }
    if text.trim().is_empty() {
        sink.error_hint(
            &(0..0),
            "the topology is empty",
            "begin with `name:` and `groups:`".to_owned(),
        );
        return None;
    }
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_reader_input_bytes: Some(MAX_FILE_BYTES as usize),
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_nodes: MAX_VALUES,
            max_events: MAX_VALUES * 3,
            max_documents: 1,
            max_total_scalar_bytes: 2 * MAX_FILE_BYTES as usize,
        },
        alias_limits: alias_limits(),
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::Merge,
        strict_booleans: true,
        with_snippet: false,
    };
    match serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, options) {
        Ok(value) => Some(Builder { text, sink }.tree(value)),
        Err(error) => {
            let offset = error.location().map_or(0, |location| {
                sink.offset(location.line() as usize, location.column() as usize)
            });
            let (message, hint) = explain(&error);
            let hint = surprise::hint(text, offset, &message).unwrap_or_else(|| hint.to_owned());
            sink.error_hint(&(offset..offset + 1), message, hint);
            None
        }
    }
}

fn alias_limits() -> serde_saphyr::options::AliasLimits {
    let mut limits = serde_saphyr::options::AliasLimits::default();
    limits.max_total_replayed_events = MAX_ALIASED_VALUES;
    limits.max_replay_stack_depth = MAX_DEPTH;
    limits.max_alias_expansions_per_anchor = MAX_ALIASED_VALUES;
    limits
}

/// The reader's message as a fragment of one line, without its position, and what to do about it.
fn explain(error: &serde_saphyr::Error) -> (String, &'static str) {
    let text = error.without_snippet().to_string();
    let line = text.lines().next().unwrap_or_default().trim();
    let line = line.split(" at line ").next().unwrap_or(line);
    let known = [
        (
            "budget breached: Nodes",
            format!("the topology contains more than {MAX_VALUES} values"),
            FOLD,
        ),
        (
            "budget breached: Events",
            format!("the topology contains more than {MAX_VALUES} values"),
            FOLD,
        ),
        (
            "budget breached: Depth",
            format!("lists and mappings are nested deeper than {MAX_DEPTH} levels"),
            "nest them less deeply",
        ),
        (
            "recursion limit",
            format!("lists and mappings are nested deeper than {MAX_DEPTH} levels"),
            "nest them less deeply",
        ),
        (
            "budget breached: Documents",
            "the file contains more than one YAML document".to_owned(),
            "remove what follows the second `---`",
        ),
        (
            "alias replay limit",
            format!("aliases add more than {MAX_ALIASED_VALUES} values"),
            "use fewer aliases",
        ),
        (
            "recursive references",
            "an alias is inside its own anchor".to_owned(),
            "write the value out in place of the alias",
        ),
        (
            "non-finite float",
            line.replace(
                " rejected by the configured policy",
                " is not a number that can be used",
            ),
            "if it is text, put it in quotes",
        ),
        (
            "cannot deserialize null into string",
            "a key is empty".to_owned(),
            "write a name before the `:`",
        ),
    ];
    let found = known
        .into_iter()
        .find(|(beginning, ..)| line.starts_with(beginning));
    found.map_or_else(
        || {
            let hint = "check the indentation, quotes and brackets here and in the lines before";
            (format!("the YAML is invalid: {line}"), hint)
        },
        |(_, message, hint)| (message, hint),
    )
}

/// A value as the YAML reader returns it.
enum Raw {
    Null,
    Bool(bool),
    Int(i64),
    Unsigned(u64),
    Float(f64),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(i64::try_from(value).map_or(Raw::Unsigned(value), Raw::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Raw, E> {
        Ok(Raw::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}

struct Builder<'a> {
    text: &'a str,
    sink: &'a Sink<'a>,
}

impl Builder<'_> {
    fn tree(&self, value: Spanned<Raw>) -> Tree {
        let span = self.span(value.referenced);
        let written = self.written(&value);
        let kind = match value.value {
            Raw::Null => Kind::Null,
            Raw::Bool(value) => Kind::Bool(value),
            Raw::Int(value) => Kind::Int(value),
            Raw::Unsigned(value) => Kind::Unsigned(value),
            Raw::Float(value) => Kind::Float(value),
            Raw::Text(value) => Kind::Text(value),
            Raw::List(list) => Kind::List(list.into_iter().map(|item| self.tree(item)).collect()),
            Raw::Map(map) => Kind::Map(
                map.into_iter()
                    .map(|(key, value)| {
                        let span = self.span(key.referenced);
                        (
                            Key {
                                name: key.value,
                                span,
                            },
                            self.tree(value),
                        )
                    })
                    .collect(),
            ),
        };
        Tree { kind, span, written }
    }

    /// See [`Tree::written`]. Where the text cannot be the one of this number, such as that of an alias, there is none.
    fn written(&self, value: &Spanned<Raw>) -> Option<String> {
        let number = match value.value {
            Raw::Int(value) => Number::from(value),
            Raw::Unsigned(value) => Number::from(value),
            Raw::Float(value) => Number::from_f64(value)?,
            _ => return None,
        };
        let text = self.text.get(self.span(value.defined))?;
        // An anchor or a tag may stand before it.
        let text = text.split_whitespace().next_back()?;
        let starts = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
        let plain = text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-._".contains(c));
        let same = match number::read(text) {
            Some(read) => read.as_f64().map(f64::to_bits) == number.as_f64().map(f64::to_bits),
            // Numbers of YAML 1.1 are text in YAML 1.2: `1_000`, `0b11`.
            None => text.contains('_') || text.trim_start_matches(['+', '-']).starts_with('0'),
        };
        (starts && plain && same && text != number.to_string()).then(|| text.to_owned())
    }

    /// The bytes of a value, its first line only.
    fn span(&self, location: Location) -> Range<usize> {
        let span = location.span();
        let start = match span.byte_offset() {
            Some(offset) => (offset as usize).min(self.text.len()),
            None => self
                .sink
                .offset(location.line() as usize, location.column() as usize),
        };
        let length = span.byte_len().map_or(1, |length| length as usize).max(1);
        let end = start.saturating_add(length).min(self.text.len());
        let line_end = self.text.as_bytes()[start..end]
            .iter()
            .position(|&byte| byte == b'\n')
            .map_or(end, |i| start + i);
        start..line_end.max(start)
    }
}
