//! Sizes and times as they are written in a topology and shown to people.

use std::fmt;
use std::str::FromStr;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

/// Seconds with milliseconds, as all times are in JSON.
pub(crate) fn seconds<S: serde::Serializer>(
    duration: &std::time::Duration,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((duration.as_secs_f64() * 1000.0).round() / 1000.0)
}

/// A size in whole mebibytes (1 MiB = 1,048,576 bytes).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MiB(pub u64);

/// Why a size could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// Not a number with a unit.
    #[error("`{0}` is not a size")]
    Malformed(String),
    /// Not a whole number of mebibytes.
    #[error("`{0}` is not a whole number of MiB")]
    NotWhole(String),
}

impl SizeError {
    /// What to write instead.
    pub fn hint(&self) -> &'static str {
        "write a whole number with its unit, such as 96MiB or 4GiB"
    }
}

impl MiB {
    /// The size in bytes.
    pub fn bytes(self) -> u64 {
        self.0.saturating_mul(1024 * 1024)
    }

    /// The size of so many bytes, rounded down to whole mebibytes.
    pub fn from_bytes(bytes: u64) -> Self {
        Self(bytes / (1024 * 1024))
    }
}

impl FromStr for MiB {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // A bare number would be read as bytes by one reader and as MiB by another: the unit is required.
        if !text.trim_end().ends_with(|c: char| c.is_ascii_alphabetic()) {
            return Err(SizeError::Malformed(text.to_owned()));
        }
        let size: ByteSize = text.parse().map_err(|_| SizeError::Malformed(text.to_owned()))?;
        if !size.as_u64().is_multiple_of(1024 * 1024) {
            return Err(SizeError::NotWhole(text.to_owned()));
        }
        Ok(Self::from_bytes(size.as_u64()))
    }
}

impl fmt::Display for MiB {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n if n >= 1024 && n % 1024 == 0 => write!(f, "{} GiB", n / 1024),
            n if n >= 10 * 1024 => write!(f, "{:.1} GiB", n as f64 / 1024.0),
            n => write!(f, "{n} MiB"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_binary_and_decimal_units() {
        assert_eq!("96MiB".parse(), Ok(MiB(96)));
        assert_eq!("4GiB".parse(), Ok(MiB(4096)));
        assert_eq!("4 GiB".parse(), Ok(MiB(4096)));
    }

    #[test]
    fn sizes_without_unit_or_not_whole_are_refused() {
        assert!(matches!("96".parse::<MiB>(), Err(SizeError::Malformed(_))));
        assert!(matches!("10kB".parse::<MiB>(), Err(SizeError::NotWhole(_))));
        assert!(matches!("lots".parse::<MiB>(), Err(SizeError::Malformed(_))));
        assert!(matches!("-5MiB".parse::<MiB>(), Err(SizeError::Malformed(_))));
    }

    #[test]
    fn sizes_are_shown_in_the_largest_unit_that_says_enough() {
        assert_eq!(MiB(96).to_string(), "96 MiB");
        assert_eq!(MiB(2048).to_string(), "2 GiB");
        assert_eq!(MiB(1536).to_string(), "1536 MiB");
        assert_eq!(MiB(23 * 1024 + 512).to_string(), "23.5 GiB");
    }
}
