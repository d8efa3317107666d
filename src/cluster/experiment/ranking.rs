//! The metrics of a variant by what they will cost at the target size, causes before the times that are sums of them.
//! Pure.

use super::row::GrowthRow;
use crate::measure::{Better, MetricName, Unit, convert};

/// The least share of a time that a metric has to make up to explain it.
const SHARE: f64 = 0.1;

/// What a metric will cost at the target size.
#[derive(Clone, Debug, PartialEq)]
pub struct RankedCost {
    /// The metric.
    pub metric: MetricName,
    /// Its value there, in `unit`.
    pub value: f64,
    /// Its unit: times are in seconds, sizes in bytes, so that they can be compared.
    pub unit: Option<Unit>,
    /// How many times its value at the largest size that ran; `None` if that is 0.
    pub times: Option<f64>,
    /// How many times its value at the smallest size that ran; `None` if that is 0.
    pub grown: Option<f64>,
    /// Whether it is the time of a step or of a stage of `up` that another metric explains. It comes after the others of
    /// its unit.
    pub is_explained: bool,
}

/// The metrics of which less is better, by their value at the target size. The time of a step or a stage is the sum of
/// what happens in it, so it is larger than its cause. It comes after all others of its unit if one of them explains it.
pub(super) fn ranking(rows: &[GrowthRow], target: u32) -> Vec<RankedCost> {
    let costs: Vec<(&GrowthRow, RankedCost)> = rows
        .iter()
        .filter(|row| row.better == Better::Lower)
        .filter_map(|row| Some((row, cost(row, target)?)))
        .collect();
    let mut ranked: Vec<RankedCost> = costs
        .iter()
        .map(|(row, cost)| RankedCost {
            is_explained: is_sum(&cost.metric)
                && costs
                    .iter()
                    .any(|(cause, part)| explains((*cause, part), (*row, cost))),
            ..cost.clone()
        })
        .collect();
    ranked.sort_by(|a, b| {
        kind(a.unit.as_ref())
            .cmp(&kind(b.unit.as_ref()))
            .then(a.is_explained.cmp(&b.is_explained))
            .then(b.value.total_cmp(&a.value))
            .then(a.metric.cmp(&b.metric))
    });
    ranked
}

/// What a metric costs; `None` if its value at the target size is not known.
fn cost(row: &GrowthRow, target: u32) -> Option<RankedCost> {
    let value = row.at_target(target)?;
    let (_, first) = row.medians.first()?;
    let (_, last) = row.medians.last()?;
    let times_that = |other: f64| (other != 0.0).then_some(value / other);
    let (times, grown) = (times_that(*last), times_that(*first));
    let bases = [Unit::seconds(), Unit::bytes()];
    let base = bases.into_iter().find_map(|base| {
        let unit = row.unit.as_ref()?;
        let converted = convert(value, Some(unit), Some(&base)).ok()?;
        Some((converted, base))
    });
    let (value, unit) = match base {
        Some((value, base)) => (value, Some(base)),
        None => (value, row.unit.clone()),
    };
    Some(RankedCost {
        metric: row.metric.clone(),
        value,
        unit,
        times,
        grown,
        is_explained: false,
    })
}

/// The time of a step or of a stage of `up`.
fn is_sum(metric: &MetricName) -> bool {
    matches!(metric.prefix(), "step" | "up") && metric.as_str().ends_with(".seconds")
}

/// Whether a metric can be the cause of a sum: the workload or a watched process reports it.
fn is_cause(metric: &MetricName) -> bool {
    !matches!(metric.prefix(), "step" | "up" | "node" | "run")
}

/// Whether a metric explains a sum: it is a cause, makes up a good part of the sum, and does not grow more slowly. Growths
/// that cannot be told apart count as equal.
fn explains((cause, part): (&GrowthRow, &RankedCost), (row, sum): (&GrowthRow, &RankedCost)) -> bool {
    let keeps_up = || {
        let is_known = cause.fit.is_some() && row.fit.is_some();
        !is_known
            || cause
                .growths()
                .any(|growth| row.growths().any(|other| growth.compare(other).is_ge()))
    };
    is_cause(&part.metric) && part.unit == sum.unit && part.value >= SHARE * sum.value && keeps_up()
}

/// Times come first, then sizes, then all else by its unit.
fn kind(unit: Option<&Unit>) -> (u8, &str) {
    match unit.map(Unit::as_str) {
        Some("s") => (0, ""),
        Some("B") => (1, ""),
        Some(other) => (2, other),
        None => (3, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::{Point, fit};
    use crate::measure::Statistic;

    const SIZES: [u32; 5] = [10, 20, 30, 40, 60];

    /// A metric in this unit with five runs at each size, which differ a little, predicted for 1000.
    fn row(metric: &str, unit: Option<&str>, value: impl Fn(f64) -> f64) -> GrowthRow {
        let medians: Vec<(u32, f64)> = SIZES.map(|size| (size, value(f64::from(size)))).into();
        let runs = medians.iter().flat_map(|(size, median)| {
            (0..5_u32).map(move |repetition| Point {
                size: f64::from(*size),
                value: median * (1.0 + f64::from((7 * repetition) % 5) / 1000.0),
            })
        });
        let points: Vec<Point> = runs.collect();
        let fit = fit(&points);
        GrowthRow {
            metric: metric.parse().unwrap(),
            statistic: Statistic::Median,
            unit: unit.and_then(Unit::new),
            better: Better::Lower,
            has_criterion: false,
            values: points.len(),
            prediction: fit.as_ref().map(|fit| fit.predict(&points, 1000.0, 12)),
            fit,
            held_out: None,
            medians,
        }
    }

    fn names(rows: &[GrowthRow]) -> Vec<String> {
        let ranked = ranking(rows, 1000);
        ranked.iter().map(|cost| cost.metric.to_string()).collect()
    }

    #[test]
    fn the_process_with_the_quadratic_function_comes_before_the_step_that_waits_for_it() {
        // As in topologies/registry: every member waits while the registry sends states to the others.
        let rows = [
            row("step.start.seconds", Some("s"), |_| 1.5),
            row("step.join.seconds", Some("s"), |n| 3.0 + 0.011 * n * n),
            row("up.boot.seconds", Some("s"), |n| 20.0 + 1.2 * n),
            row("join_seconds", Some("s"), |n| 0.06 + 0.001 * n * n),
            row("watch.registry.cpu_seconds", Some("s"), |n| 0.01 * n * n),
            row("node.cpu_seconds", Some("s"), |n| 0.5 + 0.02 * n),
            row("watch.registry.rss_bytes", Some("B"), |_| 2e7),
        ];
        let wanted = [
            "watch.registry.cpu_seconds",
            "join_seconds",
            "node.cpu_seconds",
            "step.join.seconds",
            "up.boot.seconds",
            "step.start.seconds",
            "watch.registry.rss_bytes",
        ];
        assert_eq!(names(&rows), wanted);
        let ranked = ranking(&rows, 1000);
        let explained: Vec<bool> = ranked.iter().map(|cost| cost.is_explained).collect();
        assert_eq!(explained, [false, false, false, true, true, true, false]);
        let grown = ranked[0].grown.unwrap();
        assert!((9_900.0..10_100.0).contains(&grown), "{grown}");
    }

    #[test]
    fn a_metric_of_the_workload_explains_a_step_in_another_multiple_of_its_unit() {
        let rows = [
            row("step.load.seconds", Some("s"), |n| 1.0 + 0.02 * n * n),
            row("index_ms", Some("ms"), |n| 12.0 * n * n),
        ];
        assert_eq!(names(&rows), ["index_ms", "step.load.seconds"]);
    }

    #[test]
    fn what_grows_more_slowly_or_is_small_explains_no_step() {
        let step = || row("step.load.seconds", Some("s"), |n| 0.02 * n * n);
        for cause in [
            // 3000 s of 20000 s, but the step will leave it behind.
            row("setup_seconds", Some("s"), |n| 3.0 * n),
            // As fast, and 200 s of 20000 s.
            row("setup_seconds", Some("s"), |n| 0.0002 * n * n),
            // Of another kind.
            row("setup_bytes", Some("B"), |n| 1e6 * n * n),
            // A sum itself.
            row("node.cpu_seconds", Some("s"), |n| 0.015 * n * n),
        ] {
            let name = cause.metric.to_string();
            assert_eq!(names(&[cause, step()]), ["step.load.seconds", name.as_str()]);
        }
    }

    #[test]
    fn without_models_only_what_was_measured_at_the_target_is_ranked() {
        let mut rows = [
            row("step.load.seconds", Some("s"), |n| n),
            row("load_seconds", Some("s"), |n| 0.5 * n),
        ];
        for row in &mut rows {
            (row.fit, row.prediction) = (None, None);
        }
        assert_eq!(ranking(&rows, 1000), []);
        let ranked = ranking(&rows, 60);
        assert_eq!(ranked[0].metric.as_str(), "load_seconds");
        assert_eq!((ranked[0].value, ranked[0].grown), (30.0, Some(6.0)));
    }
}
