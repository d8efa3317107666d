//! The distribution of a service time: its quantiles, its distribution function, and draws from it. A draw is the
//! quantile of a number that is uniform in [0, 1), so that one generator serves every shape.

use std::path::Path;
use std::time::Duration;

use statrs::function::erf::{erfc, erfc_inv};

use crate::empirical::Empirical;
use crate::error::MockError;
use crate::spec::{self, Latency, Lognormal, Time};

/// The quantile 0.99 of the standard normal distribution.
const NORMAL_P99: f64 = 2.326_347_874_040_841;

/// A distribution of times of at least 0. Numbers are seconds.
#[derive(Clone, Debug, PartialEq)]
pub enum Distribution {
    /// Always the same; 0 for no service time.
    Constant(f64),
    /// All times between two are equally likely.
    Uniform {
        /// The shortest.
        min: f64,
        /// The longest.
        max: f64,
    },
    /// Normal; what is below 0 becomes 0.
    Normal {
        /// The mean.
        mean: f64,
        /// The standard deviation.
        stddev: f64,
    },
    /// Lognormal.
    Lognormal {
        /// The median.
        median: f64,
        /// The standard deviation of the natural logarithm.
        sigma: f64,
    },
    /// As recorded.
    Empirical(Empirical),
}

impl Distribution {
    /// No service time.
    pub const NONE: Self = Self::Constant(0.0);

    /// The distribution that is written. Files are looked up in `dir`.
    pub fn new(latency: &Latency, dir: &Path) -> Result<Self, MockError> {
        Ok(match latency {
            Latency::Constant(time) => Self::Constant(time.seconds()),
            Latency::Uniform(uniform) => Self::Uniform {
                min: uniform.min.seconds(),
                max: uniform.max.seconds(),
            },
            Latency::Normal(normal) => Self::Normal {
                mean: normal.mean.seconds(),
                stddev: normal.stddev.seconds(),
            },
            Latency::Lognormal(lognormal) => Self::Lognormal {
                median: lognormal.median.seconds(),
                sigma: sigma(lognormal),
            },
            Latency::Empirical(spec::Empirical::File(file)) => {
                Self::Empirical(Empirical::read(&dir.join(file))?)
            }
            Latency::Empirical(spec::Empirical::Inline(quantiles)) => {
                let read = Empirical::from_points(quantiles.quantiles.clone());
                Self::Empirical(read.map_err(|reason| MockError::Invalid {
                    problems: vec![spec::Problem {
                        subject: "latency.empirical.quantiles".to_owned(),
                        reason,
                    }],
                })?)
            }
        })
    }

    /// Whether all draws are the same.
    pub fn is_constant(&self) -> bool {
        match self {
            Self::Constant(_) => true,
            Self::Uniform { min, max } => min >= max,
            Self::Normal { stddev, .. } => *stddev <= 0.0,
            Self::Lognormal { sigma, .. } => *sigma <= 0.0,
            Self::Empirical(empirical) => {
                let points = empirical.points();
                points.first().map(|point| point.1) == points.last().map(|point| point.1)
            }
        }
    }

    /// The time in seconds that a share of all draws does not exceed. The share is from 0 to 1.
    pub fn quantile(&self, share: f64) -> f64 {
        let seconds = match self {
            Self::Constant(seconds) => *seconds,
            Self::Uniform { min, max } => min + (max - min) * share,
            Self::Normal { mean, stddev } if *stddev > 0.0 => mean + stddev * normal_quantile(share),
            Self::Normal { mean, .. } => *mean,
            Self::Lognormal { median, sigma } if *sigma > 0.0 => {
                median * (sigma * normal_quantile(share)).exp()
            }
            Self::Lognormal { median, .. } => *median,
            Self::Empirical(empirical) => empirical.quantile(share),
        };
        seconds.max(0.0)
    }

    /// The share of all draws that do not exceed a number of seconds.
    pub fn cdf(&self, seconds: f64) -> f64 {
        if seconds < 0.0 {
            return 0.0;
        }
        let step = |at: f64| if seconds >= at { 1.0 } else { 0.0 };
        match self {
            Self::Constant(at) => step(*at),
            Self::Uniform { min, max } if max > min => ((seconds - min) / (max - min)).clamp(0.0, 1.0),
            Self::Uniform { min, .. } => step(*min),
            Self::Normal { mean, stddev } if *stddev > 0.0 => normal_cdf((seconds - mean) / stddev),
            Self::Normal { mean, .. } => step(*mean),
            Self::Lognormal { median, sigma } if *sigma > 0.0 => {
                // The logarithm of 0 is minus infinity, and its share is 0.
                normal_cdf((seconds / median).ln() / sigma)
            }
            Self::Lognormal { median, .. } => step(*median),
            Self::Empirical(empirical) => empirical.cdf(seconds),
        }
    }

    /// The share of all draws that are less than a number of seconds. It differs from [`Self::cdf`] where many draws
    /// are the same, such as the 0 of a normal distribution.
    pub fn share_below(&self, seconds: f64) -> f64 {
        if seconds <= 0.0 {
            return 0.0;
        }
        match self {
            Self::Empirical(empirical) => empirical.share_below(seconds),
            constant if constant.is_constant() => {
                if constant.quantile(0.5) < seconds {
                    1.0
                } else {
                    0.0
                }
            }
            continuous => continuous.cdf(seconds),
        }
    }

    /// The largest share of draws above 0 that are the same.
    pub fn largest_step(&self) -> f64 {
        match self {
            Self::Empirical(empirical) => empirical.largest_step(),
            other if other.is_constant() => 1.0,
            _ => 0.0,
        }
    }

    /// The time for a number that is uniform in [0, 1); at most an hour.
    pub fn draw(&self, uniform: f64) -> Duration {
        Time::from_seconds(self.quantile(uniform)).0
    }
}

/// The sigma of a lognormal distribution; from its p99 if that is given: `ln(p99 / median) / z` with the quantile 0.99
/// of the standard normal distribution as z.
pub fn sigma(lognormal: &Lognormal) -> f64 {
    match (lognormal.sigma, lognormal.p99) {
        (Some(sigma), _) => sigma,
        (None, Some(p99)) if !lognormal.median.0.is_zero() => {
            (p99.seconds() / lognormal.median.seconds()).ln().max(0.0) / NORMAL_P99
        }
        (None, _) => 0.0,
    }
}

fn normal_cdf(value: f64) -> f64 {
    0.5 * erfc(-value / std::f64::consts::SQRT_2)
}

fn normal_quantile(share: f64) -> f64 {
    -std::f64::consts::SQRT_2 * erfc_inv(2.0 * share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Generator;

    fn read(text: &str) -> Distribution {
        let latency: Latency = serde_json::from_str(text).unwrap();
        Distribution::new(&latency, Path::new("/")).unwrap()
    }

    fn shapes() -> [Distribution; 5] {
        [
            read(r#"{"uniform": {"min": "1ms", "max": "5ms"}}"#),
            read(r#"{"normal": {"mean": "5ms", "stddev": "1ms"}}"#),
            read(r#"{"lognormal": {"median": "3ms", "p99": "40ms"}}"#),
            read(r#"{"lognormal": {"median": "3ms", "sigma": 0.5}}"#),
            read(r#"{"empirical": {"quantiles": [[0, 0.001], [0.5, 0.003], [1, 0.02]]}}"#),
        ]
    }

    #[test]
    fn a_lognormal_distribution_has_the_median_and_the_p99_that_are_written() {
        let read = read(r#"{"lognormal": {"median": "3ms", "p99": "40ms"}}"#);
        assert!((read.quantile(0.5) - 0.003).abs() < 1e-9);
        assert!((read.quantile(0.99) - 0.040).abs() < 1e-9);
        // ln(40 / 3) / 2.3263.
        let Distribution::Lognormal { sigma, .. } = read else {
            panic!("{read:?}");
        };
        assert!((sigma - 1.113_45).abs() < 1e-4, "{sigma}");
    }

    #[test]
    fn the_distribution_function_and_the_quantiles_are_inverse() {
        for shape in shapes() {
            for share in [0.01, 0.1, 0.5, 0.9, 0.99, 0.999] {
                let back = shape.cdf(shape.quantile(share));
                assert!((back - share).abs() < 1e-6, "{shape:?} {share} {back}");
            }
        }
    }

    #[test]
    fn draws_follow_the_distribution_function() {
        for shape in shapes() {
            let generator = Generator::new(7);
            let count = 20_000;
            let mut draws: Vec<f64> = (0..count)
                .map(|_| shape.draw(generator.pair().0).as_secs_f64())
                .collect();
            draws.sort_by(f64::total_cmp);
            let distance = draws
                .iter()
                .enumerate()
                .map(|(rank, seconds)| {
                    let expected = shape.cdf(*seconds);
                    let below = expected - rank as f64 / f64::from(count);
                    below.abs().max((below - 1.0 / f64::from(count)).abs())
                })
                .fold(0.0, f64::max);
            // Kolmogorov's bound for 0.1 %: 1.95 / sqrt(n).
            assert!(distance < 1.95 / f64::from(count).sqrt(), "{shape:?}: {distance}");
        }
    }

    #[test]
    fn what_is_below_a_step_does_not_contain_it() {
        let normal = read(r#"{"normal": {"mean": "1ms", "stddev": "1ms"}}"#);
        assert!(normal.share_below(0.0).abs() < 1e-12 && normal.cdf(0.0) > 0.15);
        assert!((normal.share_below(0.001) - 0.5).abs() < 1e-9);
        assert!(normal.largest_step().abs() < 1e-12);
        let constant = read(r#"{"constant": "5ms"}"#);
        assert!(constant.share_below(0.005).abs() < 1e-12);
        assert!((constant.share_below(0.006) - 1.0).abs() < 1e-12);
        assert!((constant.largest_step() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn no_draw_is_negative_or_longer_than_an_hour() {
        let normal = read(r#"{"normal": {"mean": "1ms", "stddev": "10ms"}}"#);
        let wild = read(r#"{"lognormal": {"median": "3000s", "sigma": 10}}"#);
        for uniform in [0.0, 1e-300, 0.3, 0.999_999_999_999_999_9] {
            assert!(normal.draw(uniform) <= Duration::from_secs(1));
            assert!(wild.draw(uniform) <= Duration::from_hours(1));
        }
        assert_eq!(normal.draw(0.1), Duration::ZERO);
        assert_eq!(wild.draw(0.0), Duration::ZERO);
        assert!((normal.cdf(0.0) - normal_cdf(-0.1)).abs() < 1e-12);
    }

    #[test]
    fn a_distribution_without_spread_is_constant() {
        for text in [
            r#"{"constant": "5ms"}"#,
            r#"{"uniform": {"min": "5ms", "max": "5ms"}}"#,
            r#"{"normal": {"mean": "5ms", "stddev": 0}}"#,
            r#"{"lognormal": {"median": "5ms", "p99": "5ms"}}"#,
            r#"{"empirical": {"quantiles": [[0.5, 0.005]]}}"#,
        ] {
            let read = read(text);
            assert!(read.is_constant(), "{text}");
            assert!((read.cdf(0.005) - 1.0).abs() < 1e-12, "{text}");
            assert!(read.cdf(0.004_999).abs() < 1e-12, "{text}");
            for uniform in [0.0, 0.5, 0.999] {
                assert_eq!(read.draw(uniform), Duration::from_millis(5), "{text}");
            }
        }
        assert!(shapes().iter().all(|shape| !shape.is_constant()));
    }

    #[test]
    fn a_file_that_is_missing_is_an_error_with_its_path() {
        let latency: Latency = serde_json::from_str(r#"{"empirical": "missing.txt"}"#).unwrap();
        let error = Distribution::new(&latency, Path::new("/nonexistent")).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/missing.txt"), "{error}");
    }
}
