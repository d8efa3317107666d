//! Units of metrics, and values that are written with one.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A unit: one of the known ones, which can be converted, or any short text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Unit(String);

/// Why a value with a unit could not be read or converted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// Not a number, or a number with something that is no unit.
    #[error("`{0}` is not a number with an optional unit")]
    Malformed(String),
    /// A unit of another kind: seconds and bytes.
    #[error("a value in {given} cannot be compared with a metric in {wanted}")]
    Mismatch {
        /// The unit as given.
        given: String,
        /// That of the metric, or `no unit`.
        wanted: String,
    },
}

/// The kinds of quantity.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Time,
    Bytes,
    Share,
}

/// The known units with their kind and their size in the base unit of the kind: second, byte, 1. Decimal and binary
/// multiples of bytes: IEC 80000-13.
const KNOWN: &[(&str, Kind, f64)] = &[
    ("ns", Kind::Time, 1e-9),
    ("us", Kind::Time, 1e-6),
    ("ms", Kind::Time, 1e-3),
    ("s", Kind::Time, 1.0),
    ("m", Kind::Time, 60.0),
    ("min", Kind::Time, 60.0),
    ("h", Kind::Time, 3600.0),
    ("B", Kind::Bytes, 1.0),
    ("kB", Kind::Bytes, 1e3),
    ("MB", Kind::Bytes, 1e6),
    ("GB", Kind::Bytes, 1e9),
    ("TB", Kind::Bytes, 1e12),
    ("KiB", Kind::Bytes, 1024.0),
    ("MiB", Kind::Bytes, 1_048_576.0),
    ("GiB", Kind::Bytes, 1_073_741_824.0),
    ("TiB", Kind::Bytes, 1_099_511_627_776.0),
    ("%", Kind::Share, 0.01),
    ("1", Kind::Share, 1.0),
];

fn known(unit: &str) -> Option<(Kind, f64)> {
    let found = KNOWN.iter().find(|(name, ..)| *name == unit);
    found.map(|(_, kind, size)| (*kind, *size))
}

impl Unit {
    /// Seconds.
    pub fn seconds() -> Self {
        Self("s".to_owned())
    }

    /// Bytes.
    pub fn bytes() -> Self {
        Self("B".to_owned())
    }

    /// A unit: 1 to 20 printable characters without white space.
    pub fn new(text: &str) -> Option<Self> {
        let good = (1..=20).contains(&text.chars().count())
            && !text.chars().any(|c| c.is_whitespace() || c.is_control());
        good.then(|| Self(text.to_owned()))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Splits `20ms`, `5 min`, `1.5e3`, `3%` into the number and the unit. Not finite numbers are refused.
pub fn split(text: &str) -> Result<(f64, Option<Unit>), UnitError> {
    let text = text.trim();
    let malformed = || {
        UnitError::Malformed(
            text.chars()
                .take(60)
                .collect::<String>()
                .escape_debug()
                .to_string(),
        )
    };
    let bytes = text.as_bytes();
    let mut end = 0;
    while end < bytes.len() {
        let exponent = matches!(bytes[end], b'e' | b'E')
            && bytes.get(end + 1).is_some_and(|next| {
                next.is_ascii_digit()
                    || (b"+-".contains(next) && bytes.get(end + 2).is_some_and(u8::is_ascii_digit))
            });
        let sign = b"+-".contains(&bytes[end]) && (end == 0 || matches!(bytes[end - 1], b'e' | b'E'));
        if bytes[end].is_ascii_digit() || bytes[end] == b'.' || exponent || sign {
            end += 1;
        } else {
            break;
        }
    }
    let value: f64 = text[..end].parse().map_err(|_| malformed())?;
    let rest = text[end..].trim();
    let unit = match rest {
        "" => None,
        rest => Some(Unit::new(rest).ok_or_else(malformed)?),
    };
    if value.is_finite() {
        Ok((value, unit))
    } else {
        Err(malformed())
    }
}

/// A value in the unit of a metric. Without a unit of its own it is in that of the metric already.
pub fn convert(value: f64, from: Option<&Unit>, to: Option<&Unit>) -> Result<f64, UnitError> {
    let Some(from) = from else { return Ok(value) };
    let mismatch = || UnitError::Mismatch {
        given: from.to_string(),
        wanted: to.map_or_else(|| "no unit".to_owned(), Unit::to_string),
    };
    match (known(from.as_str()), to) {
        (_, Some(to)) if from == to => Ok(value),
        (Some((kind, size)), Some(to)) => match known(to.as_str()) {
            Some((other, base)) if other == kind => Ok(value * size / base),
            _ => Err(mismatch()),
        },
        // A share needs no unit: `rate < 1%`.
        (Some((Kind::Share, size)), None) => Ok(value * size),
        _ => Err(mismatch()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(text: &str) -> Option<Unit> {
        Unit::new(text)
    }

    #[test]
    fn a_value_is_a_number_with_an_optional_unit() {
        for (text, value, wanted) in [
            ("20", 20.0, None),
            ("20ms", 20.0, Some("ms")),
            (" 5 min ", 5.0, Some("min")),
            ("1.5e3", 1500.0, None),
            ("1.5e-3s", 0.0015, Some("s")),
            ("3%", 3.0, Some("%")),
            ("-0.5", -0.5, None),
            ("+2", 2.0, None),
            ("2e", 2.0, Some("e")),
            ("64MiB", 64.0, Some("MiB")),
            ("7 requests", 7.0, Some("requests")),
        ] {
            assert_eq!(split(text), Ok((value, wanted.and_then(Unit::new))), "{text}");
        }
        for text in [
            "", "s", "e5", "-", "1..2", "2 s x", "inf", "NaN", "1e999", ".", "--1", "é",
        ] {
            assert_eq!(split(text), Err(UnitError::Malformed(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn values_of_one_kind_are_converted() {
        for (value, from, to, wanted) in [
            (2.0, "s", "ms", 2000.0),
            (250.0, "ms", "s", 0.25),
            (3.0, "us", "ns", 3000.0),
            (5.0, "m", "s", 300.0),
            (5.0, "min", "s", 300.0),
            (1.5, "h", "min", 90.0),
            (1.0, "KiB", "B", 1024.0),
            (64.0, "MiB", "GiB", 0.0625),
            (2.0, "MB", "kB", 2000.0),
            (1.0, "TiB", "GiB", 1024.0),
            (50.0, "%", "1", 0.5),
            (7.0, "requests", "requests", 7.0),
        ] {
            let converted = convert(value, unit(from).as_ref(), unit(to).as_ref()).unwrap();
            assert!(
                (converted - wanted).abs() <= wanted * 1e-12,
                "{value} {from} in {to}: {converted}"
            );
        }
    }

    #[test]
    fn without_a_unit_a_value_is_in_that_of_the_metric() {
        assert_eq!(convert(7.0, None, unit("ms").as_ref()), Ok(7.0));
        assert_eq!(convert(7.0, None, None), Ok(7.0));
        assert_eq!(convert(1.0, unit("%").as_ref(), None), Ok(0.01));
    }

    #[test]
    fn units_of_different_kinds_cannot_be_compared() {
        for (from, to) in [
            ("s", "B"),
            ("MiB", "ms"),
            ("%", "s"),
            ("s", "seconds"),
            ("requests", "s"),
        ] {
            let error = convert(1.0, unit(from).as_ref(), unit(to).as_ref()).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("a value in {from} cannot be compared with a metric in {to}")
            );
        }
        let error = convert(1.0, unit("s").as_ref(), None).unwrap_err();
        assert!(error.to_string().ends_with("with a metric in no unit"), "{error}");
    }

    #[test]
    fn a_unit_is_one_short_word() {
        for good in ["s", "%", "1", "B/s", "µs", "requests", "12345678901234567890"] {
            assert_eq!(unit(good).unwrap().as_str(), good);
        }
        for bad in ["", "a b", "\t", "\u{1b}", "123456789012345678901"] {
            assert_eq!(unit(bad), None, "{bad:?}");
        }
    }
}
