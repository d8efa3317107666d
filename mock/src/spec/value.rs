//! Times and sizes as they are written in a file of mocks.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A time: `250us`, `3ms`, `1.5s`, `2m`, `0`. At most an hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub Duration);

/// A size in bytes: `512B`, `4KiB`, `1MB`, or a whole number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(pub u64);

/// Why a value could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Not a time.
    #[error("`{0}` is not a time: write a number with its unit, such as 250us, 3ms or 1.5s")]
    Time(String),
    /// Too long a time.
    #[error("`{0}` is more than an hour")]
    TooLong(String),
    /// Not a size.
    #[error("`{0}` is not a size: write a number with its unit, such as 512B or 4KiB")]
    Size(String),
}

/// The longest time.
const LONGEST: Duration = Duration::from_hours(1);

/// Units of time, and their nanoseconds.
const UNITS: [(&str, f64); 7] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3600e9),
];

/// The beginning of a text, for a message.
fn short(text: &str) -> String {
    text.chars().take(60).flat_map(char::escape_debug).collect()
}

impl Time {
    /// In seconds.
    pub fn seconds(self) -> f64 {
        self.0.as_secs_f64()
    }

    /// A number of seconds, rounded to nanoseconds; 0 if it is negative or not a number, and at most an hour.
    pub fn from_seconds(seconds: f64) -> Self {
        // `max` also turns what is not a number into 0.
        let bounded = seconds.max(0.0).min(LONGEST.as_secs_f64());
        Self(Duration::from_nanos((bounded * 1e9).round() as u64))
    }
}

impl FromStr for Time {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text == "0" {
            return Ok(Self::default());
        }
        let digits = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let unit = unit.trim_start();
        let known = UNITS.iter().find(|(name, _)| *name == unit);
        let nanoseconds = match (number.parse::<f64>(), known) {
            (Ok(number), Some((_, size))) => number * size,
            // Several units: `1m 30s`.
            _ => humantime::parse_duration(text)
                .map_err(|_| ValueError::Time(short(text)))?
                .as_nanos() as f64,
        };
        if nanoseconds <= LONGEST.as_nanos() as f64 {
            Ok(Self(Duration::from_nanos(nanoseconds.round() as u64)))
        } else {
            Err(ValueError::TooLong(short(text)))
        }
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanoseconds = self.0.as_nanos() as f64;
        match self.0.as_nanos() {
            0 => f.write_str("0s"),
            1..1_000 => write!(f, "{nanoseconds}ns"),
            1_000..1_000_000 => write!(f, "{}us", nanoseconds / 1e3),
            1_000_000..1_000_000_000 => write!(f, "{}ms", nanoseconds / 1e6),
            _ => write!(f, "{}s", nanoseconds / 1e9),
        }
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TimeVisitor;

        impl Visitor<'_> for TimeVisitor {
            type Value = Time;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time with its unit, such as 3ms")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Time, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Time, E> {
                number.to_string().parse().map_err(E::custom)
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Time, E> {
                number.to_string().parse().map_err(E::custom)
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Time, E> {
                number.to_string().parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_any(TimeVisitor)
    }
}

impl JsonSchema for Time {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A time with its unit: `250us`, `3ms`, `1.5s`, `2m`; or 0.",
            "type": ["string", "integer"],
        })
    }
}

impl FromStr for Size {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let size: bytesize::ByteSize = text.trim().parse().map_err(|_| ValueError::Size(short(text)))?;
        Ok(Self(size.as_u64()))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, bytes) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1_u64 << 10)] {
            if self.0 > 0 && self.0.is_multiple_of(bytes) {
                return write!(f, "{}{unit}", self.0 / bytes);
            }
        }
        write!(f, "{}B", self.0)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SizeVisitor;

        impl Visitor<'_> for SizeVisitor {
            type Value = Size;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size, such as 512B or 4KiB")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Size, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Size, E> {
                Ok(Size(number))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Size, E> {
                let size = u64::try_from(number).map_err(|_| ValueError::Size(number.to_string()));
                size.map(Size).map_err(E::custom)
            }
        }

        deserializer.deserialize_any(SizeVisitor)
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A size: `512B`, `4KiB`, `1MB`, or a whole number of bytes.",
            "type": ["string", "integer"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_fractions_and_written_back_exactly() {
        for (text, nanoseconds, written) in [
            ("0", 0, "0s"),
            ("7ns", 7, "7ns"),
            ("250us", 250_000, "250us"),
            ("250 µs", 250_000, "250us"),
            ("3.217ms", 3_217_000, "3.217ms"),
            ("1.5s", 1_500_000_000, "1.5s"),
            ("2m", 120_000_000_000, "120s"),
            ("1m 30s", 90_000_000_000, "90s"),
            ("1h", 3_600_000_000_000, "3600s"),
        ] {
            let time: Time = text.parse().unwrap();
            assert_eq!(time.0, Duration::from_nanos(nanoseconds), "{text}");
            assert_eq!(time.to_string(), written);
            assert_eq!(written.parse(), Ok(time));
        }
    }

    #[test]
    fn what_is_no_time_or_too_long_is_refused() {
        for bad in ["", "5", "ms", "-3ms", "1..5s", "3 parsecs", "1e3ms", "NaN"] {
            assert_eq!(
                bad.parse::<Time>(),
                Err(ValueError::Time(bad.to_owned())),
                "{bad}"
            );
        }
        for long in ["61m", "3601s", "99999999999999999999h"] {
            assert_eq!(
                long.parse::<Time>(),
                Err(ValueError::TooLong(long.to_owned())),
                "{long}"
            );
        }
    }

    #[test]
    fn seconds_that_no_time_can_hold_are_bounded() {
        assert_eq!(Time::from_seconds(0.0025).to_string(), "2.5ms");
        assert_eq!(Time::from_seconds(-1.0), Time::default());
        assert_eq!(Time::from_seconds(f64::NAN), Time::default());
        assert_eq!(Time::from_seconds(f64::INFINITY).0, LONGEST);
    }

    #[test]
    fn sizes_are_read_with_units_and_written_back_exactly() {
        for (text, bytes, written) in [
            ("512B", 512, "512B"),
            ("4KiB", 4096, "4KiB"),
            ("1MB", 1_000_000, "1000000B"),
            ("3 MiB", 3 << 20, "3MiB"),
            ("0", 0, "0B"),
        ] {
            let size: Size = text.parse().unwrap();
            assert_eq!(size.0, bytes, "{text}");
            assert_eq!(size.to_string(), written);
            assert_eq!(written.parse(), Ok(size));
        }
        assert!("lots".parse::<Size>().is_err());
        assert!("-5B".parse::<Size>().is_err());
    }
}
