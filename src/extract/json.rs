//! The number at a JSON pointer (RFC 6901) of a document, or the numbers of the array there. Keeps nothing else of the
//! document, so that its memory is that of its text. Of equal keys the last counts, as in most programs.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::number::shown;
use super::problems::Problem;
use super::sink::Sink;
use crate::base::text;

/// A JSON pointer.
#[derive(Clone, Debug)]
pub(super) struct Pointer {
    text: String,
    tokens: Vec<String>,
}

impl Pointer {
    /// Reads a pointer: empty for the whole document, else `/` before each key or index.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let tokens = match text.strip_prefix('/') {
            Some(rest) => rest
                .split('/')
                .map(|token| token.replace("~1", "/").replace("~0", "~"))
                .collect(),
            None if text.is_empty() => Vec::new(),
            None => {
                return Err(format!(
                    "`{text}` is not a JSON pointer: it does not begin with `/`"
                ));
            }
        };
        Ok(Self {
            text: text.to_owned(),
            tokens,
        })
    }

    /// The pointer, for people.
    fn shown(&self) -> &str {
        if self.text.is_empty() {
            "the top"
        } else {
            &self.text
        }
    }
}

/// Takes the values of a document.
pub(super) fn document(bytes: &[u8], pointer: &Pointer, sink: &mut Sink) {
    let result = find(bytes, pointer).and_then(|found| match found.map(RawValue::get) {
        None => Ok(false),
        Some(array) if array.starts_with('[') => {
            let mut deserializer = serde_json::Deserializer::from_str(array);
            let mut count = 0_u64;
            deserializer.deserialize_seq(Elements(|element: &RawValue| {
                count += 1;
                value(element.get(), pointer, sink);
            }))?;
            Ok(count > 0)
        }
        Some(single) => {
            value(single, pointer, sink);
            Ok(true)
        }
    });
    match result {
        Ok(true) => {}
        Ok(false) => sink.problem_of_file(Problem::Absent, pointer.shown()),
        Err(error) => sink.problem_of_file(Problem::NotJson, &text::line(error.to_string().as_bytes())),
    }
}

fn value(json: &str, pointer: &Pointer, sink: &mut Sink) {
    let what = match json.as_bytes().first() {
        Some(b'-' | b'0'..=b'9') => return sink.number(json.as_bytes()),
        Some(b'"') => format!("the string {}", shown(json.trim_matches('"').as_bytes())),
        Some(b'[') => "an array".to_owned(),
        Some(b'{') => "an object".to_owned(),
        _ => shown(json.as_bytes()),
    };
    let at = format!("{what} at {}", pointer.shown());
    sink.problem_of_file(Problem::WrongType, &at);
}

/// The value at a pointer; `None` if there is none. The whole document must be JSON.
fn find<'de>(bytes: &'de [u8], pointer: &Pointer) -> serde_json::Result<Option<&'de RawValue>> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let found = Walk(&pointer.tokens).deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(found)
}

/// Reads the value at the rest of a pointer.
struct Walk<'p>(&'p [String]);

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        match self.0.split_first() {
            None => <&'de RawValue as Deserialize<'de>>::deserialize(deserializer).map(Some),
            Some((token, rest)) => deserializer.deserialize_any(Step { token, rest }),
        }
    }
}

/// Reads one level: the value of a key or index, and in it the rest of a pointer.
struct Step<'p> {
    token: &'p str,
    rest: &'p [String],
}

impl<'de> Visitor<'de> for Step<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(is_wanted) = map.next_key_seed(IsKey(self.token))? {
            if is_wanted {
                found = map.next_value_seed(Walk(self.rest))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let wanted = index(self.token);
        let mut found = None;
        for at in 0_usize.. {
            if wanted == Some(at) {
                match seq.next_element_seed(Walk(self.rest))? {
                    Some(value) => found = value,
                    None => break,
                }
            } else if seq.next_element::<IgnoredAny>()?.is_none() {
                break;
            }
        }
        Ok(found)
    }

    // Nothing is below any other value.

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// The index that a token is: digits without a leading zero.
fn index(token: &str) -> Option<usize> {
    let is_plain = token == "0" || !token.starts_with(['0', '+']);
    token.parse().ok().filter(|_| is_plain)
}

/// Compares a key, without keeping it.
struct IsKey<'p>(&'p str);

impl<'de> DeserializeSeed<'de> for IsKey<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for IsKey<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}

/// Calls a function with each element of an array.
struct Elements<F>(F);

impl<'de, F: FnMut(&'de RawValue)> Visitor<'de> for Elements<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        while let Some(element) = seq.next_element::<&'de RawValue>()? {
            (self.0)(element);
        }
        Ok(())
    }
}
