//! A serde deserializer over the tree that does not stop at a mistake: it records the mistake
//! and leaves the field of type [`At`] empty. So the raw types are plain derived serde types,
//! and still all mistakes are found in one pass.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

use serde::de::value::{SeqDeserializer, StrDeserializer};
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};

use super::diagnostics::Sink;
use super::foreign;
use super::tree::{Key, Kind, Tree};
use crate::base::suggest::{nearest, suggest};

/// A value with its place; empty if it was wrong, which is then already recorded.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) value: Option<T>,
    pub(super) span: Range<usize>,
}

impl<T> At<T> {
    pub(super) fn get(&self) -> Option<&T> {
        self.value.as_ref()
    }
}

/// A field that may be left out.
pub(super) type Field<T> = Option<At<T>>;

/// Name that distinguishes [`At`] from other newtypes.
const AT: &str = "vcluster::At";

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AtVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for AtVisitor<T> {
            type Value = At<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value with its place")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<At<T>, A::Error> {
                let start = parts.next_element()?.unwrap_or(0);
                let end = parts.next_element()?.unwrap_or(start);
                // An error is already recorded by the reader below.
                let value = parts.next_element().unwrap_or(None);
                Ok(At {
                    value,
                    span: start..end,
                })
            }
        }

        deserializer.deserialize_newtype_struct(AT, AtVisitor(PhantomData))
    }
}

/// The entries of a mapping in the order of the file.
#[derive(Clone, Debug)]
pub(super) struct Entries<T>(pub(super) Vec<(At<String>, At<T>)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for EntriesVisitor<T> {
            type Value = Entries<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping of names")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(EntriesVisitor(PhantomData))
    }
}

/// Name of the newtype that is a mapping, or something short in its place.
pub(super) const SHORT_OR_MAPPING: &str = "vcluster::ShortOrMapping";
/// Name of the newtype that is a list, or one item in its place.
pub(super) const ITEM_OR_LIST: &str = "vcluster::ItemOrList";

/// Name of the newtype whose numbers keep their text.
const WRITTEN: &str = "vcluster::Written";

/// Reads a value whose numbers keep their text: see [`Tree::written`].
pub(super) fn as_written<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    struct Inner<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Inner<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a value")
        }

        fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
            T::deserialize(deserializer)
        }
    }

    deserializer.deserialize_newtype_struct(WRITTEN, Inner(PhantomData))
}

/// Reads the raw types from a tree; mistakes go into the sink.
pub(super) fn read<'de, T: Deserialize<'de>>(tree: &'de Tree, sink: &'de Sink<'de>) -> At<T> {
    At::deserialize(Reader {
        tree,
        sink,
        written: false,
    })
    .unwrap_or_else(|_| At {
        value: None,
        span: tree.span.clone(),
    })
}

/// A mistake on its way to the nearest [`At`].
#[derive(Debug)]
enum Mistake {
    /// The value is not of this type.
    Type(String),
    New(String),
    Recorded,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Type(wanted) => write!(f, "expected {wanted}"),
            Self::New(message) => f.write_str(message),
            Self::Recorded => f.write_str("a mistake that is recorded"),
        }
    }
}

impl std::error::Error for Mistake {}

impl de::Error for Mistake {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::New(message.to_string())
    }

    fn invalid_type(_found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::Type(friendly(&expected.to_string()))
    }

    fn invalid_value(_found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::Type(friendly(&expected.to_string()))
    }
}

/// Names of Rust types for people who write YAML.
fn friendly(expected: &str) -> String {
    match expected {
        "a string" => "text",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "u16" | "u8" => "a whole number, 0 or more",
        "f64" => "a number",
        "a boolean" => "`true` or `false`",
        "a sequence" => "a list",
        "a map" => "a mapping",
        other => other,
    }
    .to_owned()
}

/// The hint where there is no better one.
const SCHEMA: &str = "`vcluster schema` prints what each key takes";

/// What to write in place of a value of the wrong type.
fn advice(found: &Kind, wanted: &str) -> &'static str {
    let is_scalar = matches!(
        found,
        Kind::Int(_) | Kind::Unsigned(_) | Kind::Float(_) | Kind::Bool(_)
    );
    match wanted {
        "text" if is_scalar => {
            "write it as text in quotes; sizes and times need a unit, such as 112MiB or 30s"
        }
        "text" => "write one text, in quotes if it begins with `{`, `[` or `@`",
        "text or a mapping" => "write one text in quotes, or `{ key: value }`",
        "`true` or `false`" => "write one of the two, without quotes",
        "a list" => "write `[a, b]`, or each item on a line of its own after `- `",
        wanted if wanted.contains("mapping") => {
            "write `{ key: value }`, or each `key: value` on a line of its own"
        }
        wanted if wanted.contains("its unit") => "write a number with its unit, such as 5%, 2ms or 64MiB",
        wanted if wanted.contains("percentage") => "write a share such as 95%, or a number of nodes",
        wanted if wanted.contains("number") => "write digits, without quotes and without a unit",
        _ => SCHEMA,
    }
}

#[derive(Clone, Copy)]
struct Reader<'de> {
    tree: &'de Tree,
    sink: &'de Sink<'de>,
    /// Whether numbers keep their text.
    written: bool,
}

impl<'de> Reader<'de> {
    /// Records a new mistake at this value.
    fn checked<T>(self, result: Result<T, Mistake>) -> Result<T, Mistake> {
        result.map_err(|mistake| {
            let (message, hint) = match mistake {
                Mistake::Type(wanted) => {
                    let kind = &self.tree.kind;
                    let found = match &self.tree.written {
                        Some(text) => format!("the number {text}"),
                        None => kind.describe(),
                    };
                    (format!("expected {wanted}, found {found}"), advice(kind, &wanted))
                }
                Mistake::New(message) => (message, SCHEMA),
                Mistake::Recorded => return Mistake::Recorded,
            };
            self.sink.error_hint(&self.tree.span, message, hint.to_owned());
            Mistake::Recorded
        })
    }

    fn any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        if let Some(text) = self.tree.written.as_deref().filter(|_| self.written) {
            return visitor.visit_borrowed_str(text);
        }
        match &self.tree.kind {
            Kind::Null => visitor.visit_unit(),
            Kind::Bool(value) => visitor.visit_bool(*value),
            Kind::Int(value) => match u64::try_from(*value) {
                Ok(value) => visitor.visit_u64(value),
                Err(_) => visitor.visit_i64(*value),
            },
            Kind::Unsigned(value) => visitor.visit_u64(*value),
            Kind::Float(value) => visitor.visit_f64(*value),
            Kind::Text(value) => visitor.visit_borrowed_str(value),
            Kind::List(list) => visitor.visit_seq(Items {
                items: list.iter(),
                of: self,
            }),
            Kind::Map(map) => self.entries(map, None, visitor),
        }
    }

    /// Passes on entries; records and leaves out repeated keys, and unknown ones if `known` is given.
    fn entries<V: Visitor<'de>>(
        self,
        map: &'de [(Key, Tree)],
        known: Option<&'static [&'static str]>,
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        let mut seen = std::collections::HashMap::new();
        let mut kept = Vec::with_capacity(map.len());
        for (key, value) in map {
            if let Some(first) = seen.get(key.name.as_str()) {
                let first = self.sink.locate(*first).line;
                self.sink.error_hint(
                    &key.span,
                    format!("the key `{}` is given twice", super::tree::shorten(&key.name)),
                    format!("it is first given in line {first}"),
                );
                continue;
            }
            seen.insert(key.name.as_str(), key.span.start);
            if let Some(known) = known
                && !known.contains(&key.name.as_str())
            {
                self.sink.error_hint(
                    &key.span,
                    format!("unknown key `{}`", super::tree::shorten(&key.name)),
                    foreign::hint(&key.name, known).or_else(|| suggest(&key.name, known.iter().copied())),
                );
                continue;
            }
            kept.push((key, value));
        }
        visitor.visit_map(Pairs {
            entries: kept.into_iter(),
            value: None,
            of: self,
        })
    }
}

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = Mistake;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        self.checked(self.any(visitor))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        match self.tree.kind {
            Kind::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        match &self.tree.kind {
            Kind::Null => self.entries(&[], None, visitor),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        match (name, &self.tree.kind) {
            (AT, _) => visitor.visit_seq(Parts {
                reader: self,
                next: 0,
            }),
            (SHORT_OR_MAPPING, Kind::Map(_) | Kind::Null) => visitor.visit_newtype_struct(self),
            (SHORT_OR_MAPPING, _) | (ITEM_OR_LIST, Kind::List(_)) => self.any(visitor),
            _ => {
                let written = self.written || name == WRITTEN;
                visitor.visit_newtype_struct(Self { written, ..self })
            }
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        match &self.tree.kind {
            Kind::Map(map) => self.checked(self.entries(map, Some(fields), visitor)),
            Kind::Null => self.checked(self.entries(&[], Some(fields), visitor)),
            _ => self.checked(Err(Mistake::Type("a mapping".to_owned()))),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        let choice = match &self.tree.kind {
            Kind::Text(text) => Some(text.as_str()),
            _ => None,
        };
        let Some(text) = choice.filter(|text| variants.contains(text)) else {
            let near = choice.and_then(|text| nearest(text, variants.iter().copied()));
            self.sink.error_hint(
                &self.tree.span,
                format!(
                    "expected one of `{}`, found {}",
                    variants.join("`, `"),
                    self.tree.kind.describe()
                ),
                near.map_or_else(
                    || "write one of these words".to_owned(),
                    |near| format!("did you mean `{near}`?"),
                ),
            );
            return Err(Mistake::Recorded);
        };
        let value: StrDeserializer<'_, Mistake> = text.into_deserializer();
        self.checked(visitor.visit_enum(value))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string
        bytes byte_buf unit unit_struct seq tuple tuple_struct identifier ignored_any
    }
}

struct Items<'de> {
    items: std::slice::Iter<'de, Tree>,
    /// The list.
    of: Reader<'de>,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Mistake;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Mistake> {
        let of = self.of;
        self.items
            .next()
            .map(|tree| {
                let reader = Reader { tree, ..of };
                reader.checked(seed.deserialize(reader))
            })
            .transpose()
    }
}

/// The three parts of an [`At`]: start, end, value.
struct Parts<'de> {
    reader: Reader<'de>,
    next: usize,
}

impl<'de> SeqAccess<'de> for Parts<'de> {
    type Error = Mistake;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Mistake> {
        self.next += 1;
        let span = &self.reader.tree.span;
        match self.next {
            1 => seed.deserialize(span.start.into_deserializer()).map(Some),
            2 => seed.deserialize(span.end.into_deserializer()).map(Some),
            // A type with its own rules reports its mistakes outside of the reader.
            _ => self.reader.checked(seed.deserialize(self.reader)).map(Some),
        }
    }
}

struct Pairs<'de> {
    entries: std::vec::IntoIter<(&'de Key, &'de Tree)>,
    value: Option<&'de Tree>,
    /// The mapping.
    of: Reader<'de>,
}

impl<'de> MapAccess<'de> for Pairs<'de> {
    type Error = Mistake;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Mistake> {
        let Some((key, value)) = self.entries.next() else {
            return Ok(None);
        };
        self.value = Some(value);
        seed.deserialize(KeyReader { key }).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Mistake> {
        let tree = self.value.take().ok_or(Mistake::Recorded)?;
        let reader = Reader { tree, ..self.of };
        reader.checked(seed.deserialize(reader))
    }
}

struct KeyReader<'de> {
    key: &'de Key,
}

impl<'de> Deserializer<'de> for KeyReader<'de> {
    type Error = Mistake;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        visitor.visit_borrowed_str(&self.key.name)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        if name != AT {
            return visitor.visit_newtype_struct(self);
        }
        let span = &self.key.span;
        visitor.visit_seq(KeyParts {
            key: self.key,
            bounds: SeqDeserializer::new(vec![span.start, span.end].into_iter()),
            done: false,
        })
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct KeyParts<'de> {
    key: &'de Key,
    bounds: SeqDeserializer<std::vec::IntoIter<usize>, Mistake>,
    done: bool,
}

impl<'de> SeqAccess<'de> for KeyParts<'de> {
    type Error = Mistake;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Mistake> {
        if self.bounds.size_hint().is_some_and(|left| left > 0) {
            return self.bounds.next_element_seed(seed);
        }
        if std::mem::replace(&mut self.done, true) {
            return Ok(None);
        }
        seed.deserialize(KeyReader { key: self.key }).map(Some)
    }
}
