//! Statistics of durations.

use std::time::Duration;

use serde::Serialize;

/// Median, 95th percentile and maximum of a set of durations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Timing {
    /// 50th percentile.
    #[serde(serialize_with = "crate::base::units::seconds")]
    pub p50: Duration,
    /// 95th percentile.
    #[serde(serialize_with = "crate::base::units::seconds")]
    pub p95: Duration,
    /// The longest.
    #[serde(serialize_with = "crate::base::units::seconds")]
    pub max: Duration,
}

impl Timing {
    /// The figures of these durations, in any order; `None` if there are none.
    pub fn of(durations: &[Duration]) -> Option<Self> {
        let mut sorted = durations.to_vec();
        sorted.sort_unstable();
        Some(Self {
            p50: percentile(&sorted, 50)?,
            p95: percentile(&sorted, 95)?,
            max: *sorted.last()?,
        })
    }
}

/// The percentile by nearest rank: the smallest value such that at least `percent` % of all values are not
/// larger, i.e. the one at rank `ceil(percent / 100 * n)`, counted from 1. It is always a measured value,
/// never an interpolated one. `sorted` must be in ascending order; `percent` is 0 to 100.
pub fn percentile<T: Copy>(sorted: &[T], percent: u8) -> Option<T> {
    let rank = (usize::from(percent.min(100)) * sorted.len())
        .div_ceil(100)
        .max(1);
    sorted.get(rank - 1).copied()
}

/// A duration for people: `0.21 s`, `12.3 s`, `4m 32s`, `1h 05m`.
pub fn human(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    // The bounds account for rounding, so that 59.96 does not become `60.0 s`.
    if seconds < 9.995 {
        format!("{seconds:.2} s")
    } else if seconds < 59.95 {
        format!("{seconds:.1} s")
    } else {
        let whole = seconds.round() as u64;
        match (whole / 3600, whole / 60 % 60, whole % 60) {
            (0, minutes, seconds) => format!("{minutes}m {seconds:02}s"),
            (hours, minutes, _) => format!("{hours}h {minutes:02}m"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        // A common textbook example: 15 20 35 40 50.
        let values = [15, 20, 35, 40, 50];
        for (percent, expected) in [
            (0, 15),
            (5, 15),
            (30, 20),
            (40, 20),
            (50, 35),
            (95, 50),
            (100, 50),
        ] {
            assert_eq!(percentile(&values, percent), Some(expected), "{percent}");
        }
        assert_eq!(percentile::<u32>(&[], 50), None);
        assert_eq!(percentile(&[7], 95), Some(7));
    }

    #[test]
    fn the_95th_of_150_is_the_143rd() {
        let values: Vec<u32> = (1..=150).collect();
        assert_eq!(percentile(&values, 95), Some(143));
        assert_eq!(percentile(&values, 50), Some(75));
    }

    #[test]
    fn timing_does_not_depend_on_the_order() {
        let s = Duration::from_secs;
        let timing = Timing::of(&[s(9), s(1), s(5)]);
        assert_eq!(timing, Timing::of(&[s(1), s(5), s(9)]));
        assert_eq!(timing.map(|t| (t.p50, t.p95, t.max)), Some((s(5), s(9), s(9))));
        assert_eq!(Timing::of(&[]), None);
    }

    #[test]
    fn durations_are_shown_in_units_that_fit() {
        for (milliseconds, shown) in [
            (0, "0.00 s"),
            (212, "0.21 s"),
            (9_999, "10.0 s"),
            (59_949, "59.9 s"),
            (59_960, "1m 00s"),
            (272_000, "4m 32s"),
            (3_900_000, "1h 05m"),
        ] {
            assert_eq!(human(Duration::from_millis(milliseconds)), shown);
        }
    }
}
