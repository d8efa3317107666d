//! Quantiles that stand for recorded times: as few as show the distribution, more of them in the tail. Pure.

use crate::latency::Distribution;
use crate::{empirical, fit};

/// How far a quantile that is left out may be from the straight line between those around it, as a share of requests.
const TOLERANCE: f64 = 0.002;

/// Shares above 0.99.
const TAIL: [f64; 4] = [0.995, 0.999, 0.9995, 0.9999];

/// The longest time that a mock accepts, in seconds.
const LONGEST: f64 = 3_600.0;

/// Pairs of a share and its time in seconds, from 0 to 1, for sorted times.
pub(super) fn points(sorted: &[f64]) -> Vec<(f64, f64)> {
    let count = sorted.len() as f64;
    // A quantile that no time is above is the largest time, which follows in any case.
    let hundredths = (0..100).map(|number| f64::from(number) / 100.0);
    let shares = hundredths
        .chain(TAIL)
        .filter(|share| (1.0 - share) * count >= 1.0 || *share <= 0.0);
    let value = |share: f64| {
        let seconds = fit::quantile(sorted, share).clamp(0.0, LONGEST);
        // To the nanosecond, which is as exact as times are written.
        (share, (seconds * 1e9).round() / 1e9)
    };
    let all: Vec<(f64, f64)> = shares.chain([1.0]).map(value).collect();
    let mut keep = vec![false; all.len()];
    // The shares 0 and 1 are always there.
    for end in [0, all.len() - 1] {
        keep[end] = true;
    }
    thin(&all, &mut keep);
    let kept = all.into_iter().zip(keep).filter(|(_, keep)| *keep);
    kept.map(|(point, _)| point).collect()
}

/// Marks the points to keep: between two that are kept, the one farthest from the straight line, as long as it is too
/// far (Ramer 1972, Douglas and Peucker 1973).
fn thin(all: &[(f64, f64)], keep: &mut [bool]) {
    let mut open = vec![(0, all.len() - 1)];
    while let Some((from, to)) = open.pop() {
        let (low, high) = (all[from], all[to]);
        let off = |at: usize| {
            let (share, value) = all[at];
            let height = high.1 - low.1;
            if height <= 0.0 {
                return 0.0;
            }
            let on_the_line = low.0 + (high.0 - low.0) * (value - low.1) / height;
            (share - on_the_line).abs()
        };
        let farthest = (from + 1..to).max_by(|left, right| off(*left).total_cmp(&off(*right)));
        // The tail is always kept: a line through it would be close in share, but not in time.
        let tail = (from + 1..to).find(|at| all[*at].0 >= 0.99);
        let split = farthest.filter(|at| off(*at) > TOLERANCE).or(tail);
        if let Some(at) = split {
            keep[at] = true;
            open.push((from, at));
            open.push((at, to));
        }
    }
}

/// The distance of these quantiles from the sorted times.
pub(super) fn distance(sorted: &[f64], points: &[(f64, f64)]) -> f64 {
    match empirical::Empirical::from_points(points.to_vec()) {
        Ok(empirical) => fit::distance(
            sorted,
            &Distribution::Empirical(empirical),
            fit::resolution(sorted),
        ),
        Err(_) => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_straight_line_needs_few_points_and_a_step_is_kept() {
        let line: Vec<f64> = (0..2_000)
            .map(|number| 0.001 + f64::from(number) * 1e-6)
            .collect();
        let straight = points(&line);
        assert!(straight.len() < 12, "{straight:?}");
        let mut step: Vec<f64> = (0..700).map(|number| 0.001 + f64::from(number) * 1e-7).collect();
        step.extend((0..300).map(|number| 0.2 + f64::from(number) * 1e-5));
        let points = points(&step);
        assert!(empirical::check_points(&points).is_ok(), "{points:?}");
        assert!(points.len() < 30, "{points:?}");
        assert!(distance(&step, &points) < 0.015, "{points:?}");
    }

    #[test]
    fn the_first_and_the_last_are_the_least_and_the_largest_time() {
        for times in [vec![0.5], vec![0.1, 0.2, 0.9], vec![0.0; 50]] {
            let points = points(&times);
            assert!(empirical::check_points(&points).is_ok(), "{points:?}");
            let (first, last) = (points.first().unwrap(), points.last().unwrap());
            assert!(first.0.abs() < 1e-12 && (last.0 - 1.0).abs() < 1e-12);
            assert!((first.1 - times[0]).abs() < 1e-9);
            assert!((last.1 - times[times.len() - 1]).abs() < 1e-9);
        }
    }
}
