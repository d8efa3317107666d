//! How a metric grows with the size of a cluster: `n^a * log2(n)^b`.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A growth `n^exponent * log2(n)^logs`. `1` is constant.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Growth {
    /// The exponent of n, 0 to 5.
    pub exponent: f64,
    /// The exponent of the logarithm, 0 to 3.
    pub logs: f64,
}

/// A text that is no growth.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a growth such as `1`, `log n`, `n`, `n log n` or `n^2`")]
pub struct GrowthError(pub String);

impl Growth {
    /// Constant.
    pub const CONSTANT: Self = Self {
        exponent: 0.0,
        logs: 0.0,
    };

    /// Its value for a size of at least 1.
    pub fn at(self, size: f64) -> f64 {
        size.powf(self.exponent) * size.log2().powf(self.logs)
    }

    /// Which of two grows faster.
    pub fn compare(self, other: Self) -> Ordering {
        self.exponent
            .total_cmp(&other.exponent)
            .then(self.logs.total_cmp(&other.logs))
    }
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let power = |base: &str, exponent: f64| match exponent {
            0.0 => String::new(),
            1.0 => base.to_owned(),
            other => format!("{base}^{}", (other * 1000.0).round() / 1000.0),
        };
        let n = power("n", self.exponent);
        let log = match power("log", self.logs) {
            log if log.is_empty() => log,
            log => format!("{log} n"),
        };
        match (n.as_str(), log.as_str()) {
            ("", "") => f.write_str("1"),
            ("", one) | (one, "") => f.write_str(one),
            (n, log) => write!(f, "{n} {log}"),
        }
    }
}

impl FromStr for Growth {
    type Err = GrowthError;

    /// `1`, `log n`, `log^2 n`, `n`, `n^1.5`, `n log n`, `n^2 log^2 n`; also `O(...)`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || {
            GrowthError(
                text.chars()
                    .take(60)
                    .collect::<String>()
                    .escape_debug()
                    .to_string(),
            )
        };
        let inner = text.trim();
        let inner = inner
            .strip_prefix("O(")
            .and_then(|rest| rest.strip_suffix(')'))
            .unwrap_or(inner);
        let words: Vec<&str> = inner.split_whitespace().collect();
        let power = |word: &str, base: &str| -> Option<f64> {
            let rest = word.strip_prefix(base)?;
            if rest.is_empty() {
                return Some(1.0);
            }
            let digits = rest.strip_prefix('^')?;
            let plain = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
            digits.parse().ok().filter(|_| plain)
        };
        let (exponent, logs) = match words[..] {
            ["1"] => (Some(0.0), Some(0.0)),
            [log, "n"] => (Some(0.0), power(log, "log")),
            [n] => (power(n, "n"), Some(0.0)),
            [n, log, "n"] => (power(n, "n"), power(log, "log")),
            _ => (None, None),
        };
        let growth = Self {
            exponent: exponent
                .filter(|value| (0.0..=5.0).contains(value))
                .ok_or_else(wrong)?,
            logs: logs
                .filter(|value| (0.0..=3.0).contains(value))
                .ok_or_else(wrong)?,
        };
        Ok(growth)
    }
}

impl TryFrom<String> for Growth {
    type Error = GrowthError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Growth> for String {
    fn from(growth: Growth) -> Self {
        growth.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn growth(text: &str) -> Growth {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn a_growth_is_read_and_displayed_in_the_same_form() {
        for (text, exponent, logs) in [
            ("1", 0.0, 0.0),
            ("log n", 0.0, 1.0),
            ("log^2 n", 0.0, 2.0),
            ("n", 1.0, 0.0),
            ("n log n", 1.0, 1.0),
            ("n^1.5", 1.5, 0.0),
            ("n^2 log^2 n", 2.0, 2.0),
            ("n^0.5 log n", 0.5, 1.0),
            ("n^0.333", 0.333, 0.0),
        ] {
            assert_eq!(growth(text), Growth { exponent, logs }, "{text}");
            assert_eq!(growth(text).to_string(), text);
        }
        assert_eq!(growth("O(n log n)"), growth(" n  log n "));
        assert_eq!(growth("O(1)"), Growth::CONSTANT);
        let json = serde_json::to_string(&growth("n log n")).unwrap();
        assert_eq!(json, "\"n log n\"");
        assert_eq!(serde_json::from_str::<Growth>(&json).unwrap(), growth("n log n"));
    }

    #[test]
    fn what_is_no_growth_is_refused() {
        for text in [
            "",
            "0",
            "2",
            "m",
            "log",
            "n n",
            "n^",
            "n^-1",
            "n^6",
            "n^x",
            "n^inf",
            "n^1e1",
            "log^4 n",
            "2^n",
            "n log",
            "n log m",
            "n log n n",
            "O(n",
            "n!",
            "n*n",
            "n^1.2.3",
        ] {
            assert_eq!(
                text.parse::<Growth>(),
                Err(GrowthError(text.to_owned())),
                "{text}"
            );
        }
    }

    #[test]
    fn growths_are_ordered_by_the_exponent_then_by_the_logarithm() {
        let ascending = ["1", "log n", "log^2 n", "n^0.5", "n", "n log n", "n^1.25", "n^2"];
        for pair in ascending.windows(2) {
            assert_eq!(
                growth(pair[0]).compare(growth(pair[1])),
                Ordering::Less,
                "{pair:?}"
            );
        }
        assert_eq!(growth("n").compare(growth("O(n)")), Ordering::Equal);
    }

    #[test]
    fn a_growth_has_its_value_at_a_size() {
        for (text, wanted) in [
            ("1", 1.0),
            ("n", 64.0),
            ("log n", 6.0),
            ("n log n", 384.0),
            ("n^0.5", 8.0),
        ] {
            let value = growth(text).at(64.0);
            assert!((value - wanted).abs() < 1e-9, "{text}: {value}");
        }
        // The logarithm of 1 is 0, and a power of 0 without a logarithm is 1.
        assert!((growth("n").at(1.0) - 1.0).abs() < 1e-12 && growth("n log n").at(1.0).abs() < 1e-12);
    }
}
