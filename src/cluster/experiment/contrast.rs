//! How many times larger a metric is in one variant than in another, at the target size. Pure.

use super::growth::GrowthReport;
use super::row::GrowthRow;
use crate::measure::MetricName;

/// A metric of a variant against the same one of the baseline.
#[derive(Clone, Debug, PartialEq)]
pub struct Contrast {
    /// The metric.
    pub metric: MetricName,
    /// The baseline: `rev=old`.
    pub baseline: String,
    /// The variant: `rev=new`.
    pub variant: String,
    /// The size at which they are compared.
    pub size: u32,
    /// The value of the variant there, divided by that of the baseline.
    pub times: f64,
    /// Whether the intervals of both predictions have values in common, so that the two may be equal. `None` if one has no
    /// model.
    pub overlaps: Option<bool>,
}

/// A metric of a variant against the baseline; `None` if one of them has no value above 0 at the target size.
pub fn contrast(baseline: &GrowthReport, report: &GrowthReport, metric: &MetricName) -> Option<Contrast> {
    if baseline.target != report.target || baseline.variant == report.variant {
        return None;
    }
    let (one, other) = (baseline.row(metric)?, report.row(metric)?);
    let value = |row: &GrowthRow| row.at_target(report.target).filter(|value| *value > 0.0);
    let times = value(other)? / value(one)?;
    let intervals = one.prediction.as_ref().zip(other.prediction.as_ref());
    Some(Contrast {
        metric: metric.clone(),
        baseline: baseline.variant.clone(),
        variant: report.variant.clone(),
        size: report.target,
        times,
        overlaps: intervals.map(|(one, other)| {
            one.interval.low <= other.interval.high && other.interval.low <= one.interval.high
        }),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::growth::judge_growth;
    use super::super::measured::{GrowthRun, SizedRuns};
    use super::*;

    /// The variant with runs at these sizes of a metric that grows as given.
    fn report(variant: &str, sizes: &[u32], to: u32, value: impl Fn(f64) -> f64) -> GrowthReport {
        let mut runs = Vec::new();
        for size in sizes {
            for repetition in 0..5 {
                let noise = 1.0 + f64::from((7 * repetition) % 5) / 1000.0;
                let value = value(f64::from(*size)) * noise;
                let values = BTreeMap::from([("cpu".parse().unwrap(), value)]);
                runs.push(GrowthRun { size: *size, values });
            }
        }
        let of_variant = SizedRuns {
            variant: variant.into(),
            runs,
            ..SizedRuns::default()
        };
        judge_growth(&of_variant, &"worker".parse().unwrap(), Some(to))
    }

    #[test]
    fn the_faster_variant_is_a_small_fraction_of_the_quadratic_one_at_the_target() {
        let sizes = [10, 20, 40, 80, 160];
        let old = report("rev=old", &sizes, 1000, |n| 0.01 * n * n);
        let new = report("rev=new", &sizes, 1000, |n| 0.1 * n);
        let metric = "cpu".parse().unwrap();
        // Both are 1 s at 10; at 1000 it is 10000 s and 100 s.
        let found = contrast(&old, &new, &metric).unwrap();
        assert!((found.times - 0.01).abs() < 1e-4, "{found:?}");
        assert_eq!((found.size, found.overlaps), (1000, Some(false)));
        assert_eq!(
            (found.baseline.as_str(), found.variant.as_str()),
            ("rev=old", "rev=new")
        );
        let found = contrast(&new, &old, &metric).unwrap();
        assert!((found.times - 100.0).abs() < 1.0, "{found:?}");
        let same = report("rev=same", &sizes, 1000, |n| 0.01 * n * n);
        assert_eq!(contrast(&old, &same, &metric).unwrap().overlaps, Some(true));
        assert_eq!(contrast(&old, &same, &"other".parse().unwrap()), None);
    }

    #[test]
    fn without_models_the_values_that_were_measured_at_the_target_are_compared() {
        let old = report("rev=old", &[10, 20], 20, |n| n);
        let new = report("rev=new", &[10, 20], 20, |n| 3.0 * n);
        let found = contrast(&old, &new, &"cpu".parse().unwrap()).unwrap();
        assert!(
            (found.times - 3.0).abs() < 1e-9 && found.overlaps.is_none(),
            "{found:?}"
        );
        let further = report("rev=new", &[10, 20], 40, |n| 3.0 * n);
        assert_eq!(contrast(&old, &further, &"cpu".parse().unwrap()), None);
        let none = report("rev=old", &[10, 20], 20, |_| 0.0);
        assert_eq!(contrast(&none, &new, &"cpu".parse().unwrap()), None);
    }
}
