//! A recorded distribution as quantiles with straight lines between them, and the reader of its files.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crate::error::MockError;
use crate::spec::Quantiles;

/// The largest file, in bytes.
const MAX_FILE_BYTES: u64 = 64 << 20;
/// The most points that are kept; more values than this become quantiles. It keeps a p99.99.
const MAX_POINTS: usize = 10_001;
/// The longest time, in seconds.
const MAX_SECONDS: f64 = 3600.0;

/// A distribution of times by its quantiles.
#[derive(Clone, Debug, PartialEq)]
pub struct Empirical {
    /// Pairs of a quantile and its value in seconds; both rise. At least one.
    points: Vec<(f64, f64)>,
}

/// Checks quantiles; the error says what is wrong with them.
pub fn check_points(points: &[(f64, f64)]) -> Result<(), String> {
    if points.is_empty() {
        return Err("there is none".to_owned());
    }
    let mut before: Option<(f64, f64)> = None;
    for &(quantile, seconds) in points {
        if !(0.0..=1.0).contains(&quantile) {
            return Err(format!("the quantile {quantile} is not between 0 and 1"));
        }
        if !(0.0..=MAX_SECONDS).contains(&seconds) {
            return Err(format!(
                "the value {seconds} of the quantile {quantile} is not 0 to 3600 seconds"
            ));
        }
        if let Some((last, value)) = before {
            if quantile <= last {
                return Err(format!(
                    "the quantile {quantile} follows {last}: write them in rising order"
                ));
            }
            if seconds < value {
                return Err(format!("the quantile {quantile} has a smaller value than {last}"));
            }
        }
        before = Some((quantile, seconds));
    }
    Ok(())
}

impl Empirical {
    /// A distribution of these quantiles and their values in seconds.
    pub fn from_points(points: Vec<(f64, f64)>) -> Result<Self, String> {
        check_points(&points)?;
        Ok(Self { points })
    }

    /// The distribution of these values in seconds, all with the same weight. `None` if there are none, or one is not
    /// finite.
    pub fn from_values(mut values: Vec<f64>) -> Option<Self> {
        if values.is_empty() || values.iter().any(|value| !value.is_finite()) {
            return None;
        }
        values.sort_by(f64::total_cmp);
        if values.len() == 1 {
            return Some(Self {
                points: vec![(1.0, values[0])],
            });
        }
        let last = (values.len() - 1) as f64;
        let ranked = values.iter().enumerate();
        let all = Self {
            points: ranked.map(|(rank, value)| (rank as f64 / last, *value)).collect(),
        };
        if all.points.len() <= MAX_POINTS {
            return Some(all);
        }
        let steps = MAX_POINTS - 1;
        let quantiles = (0..=steps).map(|step| step as f64 / steps as f64);
        Some(Self {
            points: quantiles
                .map(|quantile| (quantile, all.quantile(quantile)))
                .collect(),
        })
    }

    /// Reads a file with lines `VALUE` or `QUANTILE VALUE`, in milliseconds, or with JSON of [`Quantiles`], in seconds.
    pub fn read(path: &Path) -> Result<Self, MockError> {
        let failed = |source| MockError::Read {
            path: path.to_owned(),
            source,
        };
        let mut text = String::new();
        let file = File::open(path).map_err(failed)?;
        let read = file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text);
        if read.map_err(failed)? as u64 > MAX_FILE_BYTES {
            return Err(MockError::TooLarge {
                path: path.to_owned(),
                most: MAX_FILE_BYTES,
            });
        }
        Self::parse(&text).map_err(|(line, reason)| MockError::Data {
            path: path.to_owned(),
            line,
            reason,
        })
    }

    /// Reads the text of such a file. The error has the line, from 1, if there is one, and what is wrong.
    pub fn parse(text: &str) -> Result<Self, (Option<usize>, String)> {
        if text.trim_start().starts_with('{') {
            let read: Quantiles = serde_json::from_str(text).map_err(|error| {
                let reason = error.to_string();
                let reason = reason.split(" at line ").next().unwrap_or_default().to_owned();
                (Some(error.line()), reason)
            })?;
            return Self::from_points(read.quantiles).map_err(|reason| (None, reason));
        }
        let mut values = Vec::new();
        let mut points = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let at_line = |reason: String| (Some(index + 1), reason);
            let content = line.split('#').next().unwrap_or_default();
            let mut words = content.split_whitespace();
            match (words.next(), words.next(), words.next()) {
                (None, ..) => {}
                (Some(value), None, _) => values.push(milliseconds(value).map_err(at_line)?),
                (Some(quantile), Some(value), None) => {
                    let quantile = number(quantile).map_err(at_line)?;
                    points.push((quantile, milliseconds(value).map_err(at_line)?));
                }
                _ => return Err(at_line("it has more than two numbers".to_owned())),
            }
            if !values.is_empty() && !points.is_empty() {
                return Err(at_line(
                    "some lines have one number and others have two".to_owned(),
                ));
            }
        }
        if points.is_empty() {
            return Self::from_values(values).ok_or_else(|| (None, "there are no values".to_owned()));
        }
        Self::from_points(points).map_err(|reason| (None, reason))
    }

    /// Its quantiles, with values in seconds.
    pub fn points(&self) -> &[(f64, f64)] {
        &self.points
    }

    /// The value in seconds that a share of all values does not exceed.
    pub fn quantile(&self, share: f64) -> f64 {
        let after = self.points.partition_point(|(quantile, _)| *quantile < share);
        let (Some(right), before) = (self.points.get(after), after.checked_sub(1)) else {
            return self.points.last().map_or(0.0, |(_, value)| *value);
        };
        let Some(left) = before.and_then(|before| self.points.get(before)) else {
            return right.1;
        };
        left.1 + (right.1 - left.1) * (share - left.0) / (right.0 - left.0)
    }

    /// The share of all values that do not exceed a number of seconds.
    pub fn cdf(&self, seconds: f64) -> f64 {
        let above = self.points.partition_point(|(_, value)| *value <= seconds);
        let Some(left) = above.checked_sub(1).and_then(|before| self.points.get(before)) else {
            return 0.0;
        };
        let Some(right) = self.points.get(above) else {
            return 1.0;
        };
        left.0 + (right.0 - left.0) * (seconds - left.1) / (right.1 - left.1)
    }

    /// The share of all values that are less than a number of seconds.
    pub fn share_below(&self, seconds: f64) -> f64 {
        let next = self.points.partition_point(|(_, value)| *value < seconds);
        let Some(left) = next.checked_sub(1).and_then(|before| self.points.get(before)) else {
            return 0.0;
        };
        let Some(right) = self.points.get(next) else {
            return 1.0;
        };
        left.0 + (right.0 - left.0) * (seconds - left.1) / (right.1 - left.1)
    }

    /// The largest share of values above 0 that are the same.
    pub fn largest_step(&self) -> f64 {
        let (mut largest, mut passed): (f64, usize) = (0.0, 0);
        for same in self
            .points
            .chunk_by(|left, right| left.1.total_cmp(&right.1).is_eq())
        {
            let (Some(first), Some(last)) = (same.first(), same.last()) else {
                continue;
            };
            // Below the first quantile and above the last one, their values hold.
            let from = if passed == 0 { 0.0 } else { first.0 };
            passed += same.len();
            let to = if passed == self.points.len() { 1.0 } else { last.0 };
            if first.1 > 0.0 {
                largest = largest.max(to - from);
            }
        }
        largest
    }
}

fn number(text: &str) -> Result<f64, String> {
    let shown = || {
        text.chars()
            .take(60)
            .flat_map(char::escape_debug)
            .collect::<String>()
    };
    let read = text.parse::<f64>().ok().filter(|value| value.is_finite());
    read.ok_or_else(|| format!("`{}` is not a number", shown()))
}

/// Milliseconds, as seconds.
fn milliseconds(text: &str) -> Result<f64, String> {
    let seconds = number(text)? / 1000.0;
    if (0.0..=MAX_SECONDS).contains(&seconds) {
        Ok(seconds)
    } else {
        Err(format!("{} ms is not 0 to 3600 seconds", seconds * 1000.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-12
    }

    #[test]
    fn between_two_quantiles_there_is_a_straight_line() {
        let read = Empirical::from_points(vec![(0.0, 0.001), (0.5, 0.003), (1.0, 0.023)]).unwrap();
        for (share, seconds) in [
            (0.0, 0.001),
            (0.25, 0.002),
            (0.5, 0.003),
            (0.75, 0.013),
            (1.0, 0.023),
        ] {
            assert!(near(read.quantile(share), seconds), "{share}");
            assert!(near(read.cdf(seconds), share), "{seconds}");
        }
        assert!(near(read.cdf(0.0), 0.0));
        assert!(near(read.cdf(1.0), 1.0));
    }

    #[test]
    fn outside_of_the_quantiles_their_first_and_last_value_hold() {
        let read = Empirical::from_points(vec![(0.5, 0.003), (0.9, 0.02)]).unwrap();
        assert!(near(read.quantile(0.1), 0.003));
        assert!(near(read.quantile(0.99), 0.02));
        assert!(near(read.cdf(0.0029), 0.0));
        assert!(near(read.cdf(0.003), 0.5));
        assert!(near(read.cdf(0.02), 1.0));
    }

    #[test]
    fn values_that_repeat_are_a_step() {
        let read = Empirical::from_values(vec![1.0, 2.0, 2.0, 2.0, 3.0]).unwrap();
        assert!(near(read.cdf(2.0), 0.75));
        assert!(near(read.cdf(1.5), 0.125));
        assert!(near(read.quantile(0.5), 2.0));
    }

    #[test]
    fn a_step_is_in_the_share_up_to_a_value_and_not_in_the_share_below_it() {
        let read = Empirical::from_values(vec![1.0, 2.0, 2.0, 2.0, 3.0]).unwrap();
        assert!(near(read.share_below(2.0), 0.25) && near(read.share_below(1.5), 0.125));
        assert!(near(read.share_below(1.0), 0.0) && near(read.share_below(9.0), 1.0));
        assert!(near(read.largest_step(), 0.5));
        let ends = Empirical::from_points(vec![(0.3, 0.003), (0.9, 0.02)]).unwrap();
        assert!(near(ends.share_below(0.02), 0.9) && near(ends.share_below(0.003), 0.0));
        assert!(near(ends.largest_step(), 0.3));
        // Times of 0 cannot be late.
        let zeros = Empirical::from_points(vec![(0.5, 0.0), (1.0, 0.02)]).unwrap();
        assert!(near(zeros.largest_step(), 0.0));
        let one = Empirical::from_values(vec![0.007]).unwrap();
        assert!(near(one.largest_step(), 1.0));
    }

    #[test]
    fn many_values_become_quantiles() {
        let values: Vec<f64> = (0..50_000).map(f64::from).collect();
        let read = Empirical::from_values(values).unwrap();
        assert_eq!(read.points().len(), MAX_POINTS);
        assert!((read.quantile(0.9999) - 49_994.0).abs() < 1.0);
        assert!(near(read.quantile(1.0), 49_999.0));
        assert_eq!(Empirical::from_values(vec![]), None);
        assert_eq!(Empirical::from_values(vec![f64::NAN]), None);
    }

    #[test]
    fn lines_are_values_or_quantiles_in_milliseconds_and_json_is_in_seconds() {
        let values = Empirical::parse("# recorded\n2\n1\n\n3 # last\n").unwrap();
        assert_eq!(values.points(), [(0.0, 0.001), (0.5, 0.002), (1.0, 0.003)]);
        let quantiles = Empirical::parse("0 1\n0.5 2\n1 3\n").unwrap();
        let json = Empirical::parse(r#"{"quantiles": [[0, 0.001], [0.5, 0.002], [1, 0.003]]}"#).unwrap();
        assert_eq!(quantiles, values);
        assert_eq!(json, values);
        assert_eq!(Empirical::parse("7").unwrap().points(), [(1.0, 0.007)]);
    }

    #[test]
    fn damaged_files_are_refused_with_the_line() {
        for (text, line, reason) in [
            ("", None, "there are no values"),
            ("1\nx\n", Some(2), "`x` is not a number"),
            ("1\n-1\n", Some(2), "-1 ms is not 0 to 3600 seconds"),
            ("NaN", Some(1), "`NaN` is not a number"),
            ("1 2 3", Some(1), "it has more than two numbers"),
            (
                "1\n0.5 2",
                Some(2),
                "some lines have one number and others have two",
            ),
            (
                "0.5 2\n0.4 3",
                None,
                "the quantile 0.4 follows 0.5: write them in rising order",
            ),
            (
                "0.5 2\n0.6 1",
                None,
                "the quantile 0.6 has a smaller value than 0.5",
            ),
            ("1.5 2", None, "the quantile 1.5 is not between 0 and 1"),
        ] {
            assert_eq!(Empirical::parse(text), Err((line, reason.to_owned())), "{text}");
        }
        assert!(Empirical::parse(r#"{"quantiles": [[0, 1], "x"]}"#).is_err());
        assert!(Empirical::parse(r#"{"quantiles": []}"#).is_err());
    }
}
