//! An interval, and the central one of outcomes of a simulation.

use serde::{Deserialize, Serialize};

/// An interval with its ends. An end can be infinite; in JSON that is `null`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Ends", into = "Ends")]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// An interval as in JSON, which has no infinite numbers.
#[derive(Serialize, Deserialize)]
struct Ends {
    low: Option<f64>,
    high: Option<f64>,
}

impl Interval {
    /// Nothing is known.
    pub const UNBOUNDED: Self = Self {
        low: f64::NEG_INFINITY,
        high: f64::INFINITY,
    };

    /// Whether a value lies in it; both ends belong to it.
    pub fn contains(self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// The interval between two percentiles of outcomes that leaves out as many below as above; unbounded
    /// without outcomes. Sorts them.
    pub(super) fn central(outcomes: &mut [f64], confidence: f64) -> Self {
        outcomes.sort_unstable_by(f64::total_cmp);
        let Some(last) = outcomes.len().checked_sub(1) else {
            return Self::UNBOUNDED;
        };
        let share = (1.0 - confidence.clamp(0.0, 1.0)) / 2.0;
        // Without the rounding error of, say, (1 - 0.95) / 2 * 400.
        let outside = (share * outcomes.len() as f64 + 1e-9) as usize;
        let outside = outside.min(last / 2);
        Self {
            low: outcomes[outside],
            high: outcomes[last - outside],
        }
    }
}

impl From<Interval> for Ends {
    fn from(interval: Interval) -> Self {
        let finite = |end: f64| end.is_finite().then_some(end);
        Self {
            low: finite(interval.low),
            high: finite(interval.high),
        }
    }
}

impl From<Ends> for Interval {
    fn from(ends: Ends) -> Self {
        Self {
            low: ends.low.unwrap_or(f64::NEG_INFINITY),
            high: ends.high.unwrap_or(f64::INFINITY),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_central_interval_leaves_out_as_many_outcomes_below_as_above() {
        let mut outcomes: Vec<f64> = (1..=400).rev().map(f64::from).collect();
        let interval = Interval::central(&mut outcomes, 0.95);
        assert_eq!(
            interval,
            Interval {
                low: 11.0,
                high: 390.0
            }
        );
        let all = Interval::central(&mut outcomes, 1.0);
        assert_eq!(
            all,
            Interval {
                low: 1.0,
                high: 400.0
            }
        );
    }

    #[test]
    fn few_outcomes_and_odd_confidences_have_an_interval_too() {
        assert_eq!(Interval::central(&mut [], 0.95), Interval::UNBOUNDED);
        assert_eq!(
            Interval::central(&mut [3.0], 0.0),
            Interval { low: 3.0, high: 3.0 }
        );
        assert_eq!(
            Interval::central(&mut [1.0, 2.0], f64::NAN),
            Interval { low: 1.0, high: 2.0 }
        );
        assert_eq!(
            Interval::central(&mut [1.0, 2.0, 3.0], -1.0),
            Interval { low: 2.0, high: 2.0 }
        );
    }

    #[test]
    fn an_infinite_end_is_null_in_json_and_is_read_back() {
        let half = Interval {
            low: -0.5,
            high: f64::INFINITY,
        };
        let text = serde_json::to_string(&half).unwrap();
        assert_eq!(text, r#"{"low":-0.5,"high":null}"#);
        assert_eq!(serde_json::from_str::<Interval>(&text).unwrap(), half);
        let nothing = serde_json::to_string(&Interval::UNBOUNDED).unwrap();
        assert_eq!(
            serde_json::from_str::<Interval>(&nothing).unwrap(),
            Interval::UNBOUNDED
        );
    }

    #[test]
    fn both_ends_belong_to_an_interval() {
        let interval = Interval { low: 1.0, high: 2.0 };
        assert!(interval.contains(1.0) && interval.contains(2.0));
        assert!(!interval.contains(0.99) && !interval.contains(2.01) && !interval.contains(f64::NAN));
    }
}
