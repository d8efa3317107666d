//! Sizes and times as written in a topology and shown to people.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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

    /// The size of a number of bytes, rounded down to whole mebibytes.
    pub fn from_bytes(bytes: u64) -> Self {
        Self(bytes / (1024 * 1024))
    }
}

impl FromStr for MiB {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // The unit is required: a bare number could mean bytes or MiB.
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

/// Length of a lease if the topology sets none.
pub const LEASE: Duration = Duration::from_hours(4);

/// Why a lease could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// Not a duration.
    #[error("`{0}` is not a length of time")]
    Malformed(String),
    /// Shorter than a minute or longer than a year.
    #[error("a lease of {0} is out of bounds, 1m to 365days are allowed")]
    Bounds(String),
}

impl LeaseError {
    /// What to write instead.
    pub fn hint(&self) -> &'static str {
        "write a number with its unit, such as 30m, 4h or 2days, or `never`"
    }
}

/// Parses the length of a lease.
pub fn lease(text: &str) -> Result<Duration, LeaseError> {
    let shown = || {
        text.trim()
            .chars()
            .take(40)
            .collect::<String>()
            .escape_debug()
            .to_string()
    };
    let time = humantime::parse_duration(text.trim()).map_err(|_| LeaseError::Malformed(shown()))?;
    if (60..=365 * 24 * 3600).contains(&time.as_secs()) {
        Ok(time)
    } else {
        Err(LeaseError::Bounds(shown()))
    }
}

/// A point in time to the second, in UTC; as text it is RFC 3339 (`2026-01-31T12:00:00Z`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Moment(u64);

/// Why a point in time could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a time in UTC such as 2026-01-31T12:00:00Z")]
pub struct MomentError(String);

impl Moment {
    /// The last second that RFC 3339 can write.
    const LAST: u64 = 253_402_300_799;

    /// Now, by the clock of this machine.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(since.as_secs().min(Self::LAST))
    }

    /// A later moment, at most the last one that RFC 3339 can write.
    #[must_use]
    pub fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(time.as_secs()).min(Self::LAST))
    }

    /// The time from an earlier moment to this one; zero if that is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }
}

impl FromStr for Moment {
    type Err = MomentError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        humantime::parse_rfc3339_weak(text.trim())
            .ok()
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
            .map(|since| Self(since.as_secs().min(Self::LAST)))
            .ok_or_else(|| MomentError(text.chars().take(40).collect()))
    }
}

impl TryFrom<String> for Moment {
    type Error = MomentError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Moment> for String {
    fn from(moment: Moment) -> Self {
        moment.to_string()
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = UNIX_EPOCH + Duration::from_secs(self.0);
        humantime::format_rfc3339_seconds(time).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_and_written_as_rfc_3339_and_never_overflow() {
        let noon: Moment = "2026-01-31T12:00:00Z".parse().unwrap();
        assert_eq!(
            noon.after(Duration::from_secs(90)).to_string(),
            "2026-01-31T12:01:30Z"
        );
        assert_eq!("2026-01-31 12:00:00".parse(), Ok(noon));
        assert_eq!(noon.after(Duration::MAX).to_string(), "9999-12-31T23:59:59Z");
        assert_eq!(noon.since(noon.after(Duration::from_secs(5))), Duration::ZERO);
        for bad in [
            "",
            "tomorrow",
            "2026-13-01T00:00:00Z",
            "1960-01-01T00:00:00Z",
            "12:00",
        ] {
            assert!(bad.parse::<Moment>().is_err(), "{bad}");
        }
    }

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
    fn sizes_are_shown_in_the_largest_unit_that_is_precise_enough() {
        assert_eq!(MiB(96).to_string(), "96 MiB");
        assert_eq!(MiB(2048).to_string(), "2 GiB");
        assert_eq!(MiB(1536).to_string(), "1536 MiB");
        assert_eq!(MiB(23 * 1024 + 512).to_string(), "23.5 GiB");
    }
}
