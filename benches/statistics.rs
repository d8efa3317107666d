//! What the statistics of `compare` and `scale` find and what they miss, simulated: `cargo bench --bench
//! statistics`. With `-- --reference FILE` it reads cases, one JSON object per line, and prints what they
//! give, one per line: `scripts/check-statistics` compares that with other implementations.

#![expect(clippy::unwrap_used, reason = "a measurement stops at the first error")]
#![expect(clippy::print_stdout, reason = "printing the figures is its purpose")]

use std::f64::consts::TAU;

use fastrand::Rng;
use serde_json::{Value, json};
use vcluster::analysis::{
    Above, Model, Point, bootstrap_difference, bootstrap_relative, detectable, draws, fit, held_out, holm,
    permutation_p, relative_change,
};
use vcluster::measure::{Growth, Statistic};

const SERIES: usize = 1_000;
/// Intervals and held-out sizes take longer than the rest.
const INTERVALS: usize = 200;
const ALPHA: f64 = 0.01;
const MIN_CHANGE: f64 = 0.05;
const SIZES: [f64; 5] = [10.0, 20.0, 40.0, 80.0, 150.0];

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        [] => {
            comparisons();
            println!();
            growths();
        }
        ["--reference", file] => reference(file),
        _ => panic!("usage: cargo bench --bench statistics [-- --reference FILE]"),
    }
}

fn standard_normal(rng: &mut Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.f64()).ln()).sqrt();
    radius * (TAU * rng.f64()).cos()
}

/// Values of normally distributed runs.
fn side(mean: f64, variation: f64, runs: usize, rng: &mut Rng) -> Vec<f64> {
    (0..runs)
        .map(|_| mean * (1.0 + variation * standard_normal(rng)))
        .collect()
}

fn median(values: &[f64]) -> f64 {
    Statistic::Median.of(values).unwrap()
}

/// The change that counts by the rules of `compare` for one metric; `None` if none does.
fn counted(a: &[f64], b: &[f64]) -> Option<f64> {
    let change = relative_change(median(a), median(b));
    let significant = permutation_p(a, b, 1, draws(1, ALPHA)).p < ALPHA;
    (significant && change.abs() >= MIN_CHANGE).then_some(change)
}

fn percent(count: usize, of: usize) -> String {
    format!("{:.1} %", 100.0 * count as f64 / of as f64)
}

/// `confirmed`: the same in a second collection. `interval`: the 95 % interval has the true change.
/// `detectable`: the median of what is printed as the smallest change that could be found.
fn comparisons() {
    println!(
        "{:>7} {:>5} {:>5} {:>8} {:>8} {:>10} {:>8} {:>9} {:>11}",
        "change", "CV", "runs", "worse", "better", "confirmed", "equal", "interval", "detectable"
    );
    let mut rng = Rng::with_seed(12);
    for change in [0.0, 0.02, 0.05, 0.1, 0.2] {
        for variation in [0.01, 0.05, 0.1] {
            for runs in [5, 10, 20] {
                let row = comparison(change, variation, runs, &mut rng);
                println!(
                    "{:>5.0} % {:>3.0} % {runs:>5} {}",
                    change * 100.0,
                    variation * 100.0,
                    row
                );
            }
        }
    }
}

fn comparison(change: f64, variation: f64, runs: usize, rng: &mut Rng) -> String {
    let (mut worse, mut better, mut confirmed, mut equal, mut inside) = (0, 0, 0, 0, 0);
    let mut smallest = Vec::new();
    for series in 0..SERIES {
        let (a, b) = (
            side(100.0, variation, runs, rng),
            side(100.0 * (1.0 + change), variation, runs, rng),
        );
        let found = counted(&a, &b);
        worse += usize::from(found.is_some_and(|found| found > 0.0));
        better += usize::from(found.is_some_and(|found| found < 0.0));
        if let Some(found) = found {
            let (a, b) = (
                side(100.0, variation, runs, rng),
                side(100.0 * (1.0 + change), variation, runs, rng),
            );
            confirmed += usize::from(counted(&a, &b).is_some_and(|again| again * found > 0.0));
        }
        if series < INTERVALS {
            let interval = bootstrap_relative(&a, &b, series as u64, 0.95);
            inside += usize::from(interval.contains(change));
            let none = interval.low > -MIN_CHANGE && interval.high < MIN_CHANGE;
            equal += usize::from(found.is_none() && none);
            smallest.extend(detectable(&a, &b, ALPHA));
        }
    }
    format!(
        "{:>8} {:>8} {:>10} {:>8} {:>9} {:>9.1} %",
        percent(worse, SERIES),
        percent(better, SERIES),
        percent(confirmed, SERIES),
        percent(equal, INTERVALS),
        percent(inside, INTERVALS),
        100.0 * median(&smallest)
    )
}

/// Five sizes from 10 to 150. `found`: the best model has the true growth; `possible`: it or another one has;
/// `held out`: the largest size lies in its interval.
fn growths() {
    println!(
        "{:>10} {:>5} {:>5} {:>8} {:>9} {:>7} {:>16} {:>10} {:>9}",
        "growth", "CV", "runs", "found", "possible", "models", "above n log n", "no", "held out"
    );
    let mut rng = Rng::with_seed(13);
    for name in ["1", "log n", "n", "n log n", "n^1.5", "n^2"] {
        let growth: Growth = name.parse().unwrap();
        for variation in [0.01, 0.05, 0.1] {
            for runs in [3, 5] {
                let row = scaling(growth, variation, runs, &mut rng);
                println!("{name:>10} {:>3.0} % {runs:>5} {row}", variation * 100.0);
            }
        }
    }
}

fn scaling(growth: Growth, variation: f64, runs: usize, rng: &mut Rng) -> String {
    let bound: Growth = "n log n".parse().unwrap();
    let (mut found, mut possible, mut models, mut above, mut below, mut inside) = (0, 0, 0, 0, 0, 0);
    for series in 0..INTERVALS {
        let points: Vec<Point> = SIZES
            .into_iter()
            .flat_map(|size| {
                let values = side(1.0 + growth.at(size), variation, runs, rng);
                values.into_iter().map(move |value| Point { size, value })
            })
            .collect();
        let fitted = fit(&points).unwrap();
        found += usize::from(fitted.best.growth == growth);
        let mut growths = std::iter::once(&fitted.best).chain(&fitted.others);
        possible += usize::from(growths.any(|model| model.growth == growth));
        models += 1 + fitted.others.len();
        above += usize::from(fitted.is_above(bound) == Above::Yes);
        below += usize::from(fitted.is_above(bound) == Above::No);
        inside += usize::from(held_out(&points, series as u64).is_some_and(|held_out| held_out.inside));
    }
    format!(
        "{:>8} {:>9} {:>7.1} {:>16} {:>10} {:>9}",
        percent(found, INTERVALS),
        percent(possible, INTERVALS),
        models as f64 / INTERVALS as f64,
        percent(above, INTERVALS),
        percent(below, INTERVALS),
        percent(inside, INTERVALS)
    )
}

/// What a case gives:
///
/// - `{"points": [[size, value], ..]}`: the best model and the others,
/// - `{"p": [..]}`: `adjusted`,
/// - `{"a": [..], "b": [..], "confidence": ..}`: `low` and `high` of the difference of medians,
/// - `{"a": [..], "b": [..]}`: `p` and `exact`.
fn reference(file: &str) {
    for line in std::fs::read_to_string(file).unwrap().lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        println!("{}", found(&case));
    }
}

fn found(case: &Value) -> Value {
    if let Some(points) = case["points"].as_array() {
        let points: Vec<Point> = points.iter().map(point).collect();
        let fitted = fit(&points).unwrap();
        let others: Vec<Value> = fitted.others.iter().map(model).collect();
        return json!({ "best": model(&fitted.best), "others": others });
    }
    if case["p"].is_array() {
        return json!({ "adjusted": holm(&numbers(&case["p"])) });
    }
    let (a, b) = (numbers(&case["a"]), numbers(&case["b"]));
    if let Some(confidence) = case["confidence"].as_f64() {
        let interval = bootstrap_difference(&a, &b, 1, confidence);
        return json!({ "low": interval.low, "high": interval.high });
    }
    let found = permutation_p(&a, &b, 1, draws(1, ALPHA));
    json!({ "p": found.p, "exact": found.exact })
}

fn point(pair: &Value) -> Point {
    Point {
        size: pair[0].as_f64().unwrap(),
        value: pair[1].as_f64().unwrap(),
    }
}

fn model(model: &Model) -> Value {
    json!({
        "exponent": model.growth.exponent,
        "logs": model.growth.logs,
        "constant": model.constant,
        "factor": model.factor,
        "error": model.error,
    })
}

fn numbers(list: &Value) -> Vec<f64> {
    let list = list.as_array().unwrap();
    list.iter().map(|number| number.as_f64().unwrap()).collect()
}
