//! Statistics of a set of samples.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A statistic of the samples of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Statistic {
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// The arithmetic mean.
    Mean,
    /// The median: of an even number, the mean of the two in the middle.
    Median,
    /// The standard deviation of the sample (divided by n - 1); of a single value 0.
    Stddev,
    /// The sum.
    Sum,
    /// Their number.
    Count,
    /// The share of values that are not 0, as in k6.
    Rate,
    /// A percentile above 0 and at most 100, by nearest rank: the smallest value such that at least this share of all
    /// values is not larger. Always a measured value.
    Percentile(f64),
}

/// A text that is no statistic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a statistic")]
pub struct StatisticError(pub String);

impl Statistic {
    /// What can be written.
    pub const NAMES: &'static str = "min, max, mean, median, stddev, sum, count, rate or pNN, such as p99";

    /// Whether its values have the unit of their metric: a number of samples and a share of them have none.
    pub fn has_unit(self) -> bool {
        !matches!(self, Self::Count | Self::Rate)
    }

    /// The statistic of finite values, in any order; `None` if there are none, except for the sum and the number, which
    /// are 0 then.
    pub fn of(self, values: &[f64]) -> Option<f64> {
        let count = values.len() as f64;
        match self {
            // The sum of no values is -0.
            Self::Sum => return Some(values.iter().sum::<f64>() + 0.0),
            Self::Count => return Some(count),
            _ if values.is_empty() => return None,
            _ => {}
        }
        let sorted = || {
            let mut sorted = values.to_vec();
            sorted.sort_unstable_by(f64::total_cmp);
            sorted
        };
        let mean = || values.iter().sum::<f64>() / count;
        Some(match self {
            Self::Min => values.iter().copied().fold(f64::INFINITY, f64::min),
            Self::Max => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            Self::Mean => mean(),
            Self::Median => median(&sorted())?,
            Self::Stddev if values.len() == 1 => 0.0,
            Self::Stddev => {
                let mean = mean();
                let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
                (squares / (count - 1.0)).sqrt()
            }
            Self::Rate => values.iter().filter(|value| **value != 0.0).count() as f64 / count,
            Self::Percentile(percent) => {
                // Exact for the usual percentiles: 99 % of 100 values are 99, not 100.
                let rank = (percent * count / 100.0 - 1e-9).ceil().max(1.0) as usize;
                *sorted().get(rank.min(values.len()) - 1)?
            }
            Self::Sum | Self::Count => return None,
        })
    }
}

/// The median of values in ascending order; `None` if there are none.
pub fn median(sorted: &[f64]) -> Option<f64> {
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        count if count % 2 == 1 => sorted.get(middle).copied(),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

impl fmt::Display for Statistic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Min => f.write_str("min"),
            Self::Max => f.write_str("max"),
            Self::Mean => f.write_str("mean"),
            Self::Median => f.write_str("median"),
            Self::Stddev => f.write_str("stddev"),
            Self::Sum => f.write_str("sum"),
            Self::Count => f.write_str("count"),
            Self::Rate => f.write_str("rate"),
            Self::Percentile(percent) => write!(f, "p{percent}"),
        }
    }
}

impl FromStr for Statistic {
    type Err = StatisticError;

    /// Also k6's forms `avg`, `med` and `p(99)`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || {
            StatisticError(
                text.chars()
                    .take(60)
                    .collect::<String>()
                    .escape_debug()
                    .to_string(),
            )
        };
        Ok(match text {
            "min" => Self::Min,
            "max" => Self::Max,
            "mean" | "avg" => Self::Mean,
            "median" | "med" => Self::Median,
            "stddev" => Self::Stddev,
            "sum" => Self::Sum,
            "count" => Self::Count,
            "rate" => Self::Rate,
            _ => {
                let digits = text.strip_prefix('p').ok_or_else(wrong)?;
                let inner = digits
                    .strip_prefix('(')
                    .and_then(|rest| rest.strip_suffix(')'))
                    .unwrap_or(digits);
                let plain = inner.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
                let percent: f64 = inner.parse().map_err(|_| wrong())?;
                if !plain || percent <= 0.0 || percent > 100.0 {
                    return Err(wrong());
                }
                Self::Percentile(percent)
            }
        })
    }
}

impl TryFrom<String> for Statistic {
    type Error = StatisticError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Statistic> for String {
    fn from(statistic: Statistic) -> Self {
        statistic.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, values: &[f64]) -> Option<f64> {
        text.parse::<Statistic>().unwrap().of(values)
    }

    #[test]
    fn statistics_of_a_known_set_have_its_known_values() {
        let values = [9.0, 2.0, 5.0, 4.0, 12.0, 7.0, 8.0, 11.0, 9.0, 3.0];
        for (statistic, wanted) in [
            ("min", 2.0),
            ("max", 12.0),
            ("mean", 7.0),
            ("median", 7.5),
            ("sum", 70.0),
            ("count", 10.0),
            ("rate", 1.0),
            ("p50", 7.0),
            ("p90", 11.0),
            ("p91", 12.0),
            ("p100", 12.0),
            ("p0.1", 2.0),
        ] {
            assert_eq!(of(statistic, &values), Some(wanted), "{statistic}");
        }
        // The squares of the differences from the mean add up to 104.
        let stddev = of("stddev", &values).unwrap();
        assert!((stddev - (104.0_f64 / 9.0).sqrt()).abs() < 1e-12, "{stddev}");
        assert_eq!(of("rate", &[0.0, 1.0, 0.0, 2.0]), Some(0.5));
    }

    #[test]
    fn a_percentile_is_the_nearest_rank_and_exact_where_the_share_is_a_whole_number() {
        let values: Vec<f64> = (1..=1000).rev().map(f64::from).collect();
        for (statistic, wanted) in [
            ("p1", 10.0),
            ("p50", 500.0),
            ("p95", 950.0),
            ("p99", 990.0),
            ("p99.9", 999.0),
            ("p99.91", 1000.0),
            ("p0.01", 1.0),
        ] {
            assert_eq!(of(statistic, &values), Some(wanted), "{statistic}");
        }
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(of("p99", &hundred), Some(99.0));
        assert_eq!(of("p99", &[7.0]), Some(7.0));
        assert_eq!(of("p50", &[1.0, 2.0]), Some(1.0));
    }

    #[test]
    fn the_median_of_an_even_number_is_the_mean_of_the_two_in_the_middle() {
        assert_eq!(median(&[1.0, 2.0, 10.0, 20.0]), Some(6.0));
        assert_eq!(median(&[1.0, 2.0, 10.0]), Some(2.0));
        assert_eq!(median(&[]), None);
        assert_eq!(of("median", &[20.0, 1.0, 10.0, 2.0]), Some(6.0));
    }

    #[test]
    fn no_values_have_a_sum_and_a_number_only() {
        for statistic in ["min", "max", "mean", "median", "stddev", "rate", "p99"] {
            assert_eq!(of(statistic, &[]), None, "{statistic}");
        }
        assert_eq!(of("sum", &[]).map(f64::to_bits), Some(0.0_f64.to_bits()));
        assert_eq!(of("count", &[]), Some(0.0));
        assert_eq!(of("stddev", &[3.0]), Some(0.0));
    }

    #[test]
    fn a_statistic_is_read_as_it_is_displayed() {
        for text in [
            "min", "max", "mean", "median", "stddev", "sum", "count", "rate", "p99", "p99.9",
        ] {
            assert_eq!(text.parse::<Statistic>().unwrap().to_string(), text);
        }
        assert_eq!("p(99)".parse::<Statistic>().unwrap().to_string(), "p99");
        for text in [
            "", "p", "p0", "p-1", "p101", "pinf", "p1e1", "p(99", "p99)", "99", "P99", "average", "p.", "p+1",
        ] {
            assert_eq!(
                text.parse::<Statistic>(),
                Err(StatisticError(text.to_owned())),
                "{text}"
            );
        }
    }

    #[test]
    fn a_number_and_a_share_of_values_have_no_unit() {
        assert!(!Statistic::Count.has_unit() && !Statistic::Rate.has_unit());
        assert!(Statistic::Sum.has_unit() && Statistic::Percentile(99.0).has_unit());
    }
}
