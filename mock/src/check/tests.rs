//! Recordings of services that behave as the mock, and of others.

use std::path::Path;

use super::*;
use crate::json_lines;
use crate::record::lines::Lines;
use crate::spec;

const MOCKS: &str = "
mocks:
  shop:
    protocol: http
    listen: 127.0.0.1:8080
    latency: { constant: 1ms }
    errors: { rate: 0.02, kind: status, status: 503 }
    routes:
      - match: { method: GET, path: '/items/*' }
        latency: { lognormal: { median: 3ms, sigma: 1.0 } }
";

/// A recording of `count` requests whose times are quantiles of a lognormal distribution, `failed` of which failed.
fn recording(route: &str, count: usize, median: f64, failed: usize) -> Recording {
    let shape = Distribution::Lognormal { median, sigma: 1.0 };
    let mut text = String::new();
    for number in 0..count {
        text.push_str(&json_lines::text(&json_lines::Line {
            route: route.to_owned(),
            started: number as f64,
            seconds: shape.quantile((number as f64 + 0.5) / count as f64),
            status: Some(if number < failed { 503 } else { 200 }),
            error: None,
            bytes: None,
        }));
    }
    let mut recording = Recording::default();
    json_lines::read(
        &mut Lines::new(text.as_bytes(), Path::new("r.jsonl")),
        &mut recording,
    )
    .unwrap();
    recording
}

fn of_mock(recording: &Recording) -> Check {
    let mocks = spec::parse(MOCKS, Path::new("mocks.yaml")).unwrap();
    against_mock(
        "shop",
        &mocks.mocks["shop"],
        Path::new("."),
        recording,
        Options::default(),
    )
    .unwrap()
}

#[test]
fn a_recording_of_the_same_distribution_is_the_same() {
    let check = of_mock(&recording("GET /items/*", 1_000, 0.003, 20));
    let route = &check.routes[0];
    assert_eq!(
        (check.verdict, route.verdict),
        (Verdict::Same, Verdict::Same),
        "{route:?}"
    );
    assert!(
        route.distance < 0.03 && (route.critical - 0.0429).abs() < 0.001,
        "{route:?}"
    );
    assert_eq!(
        (route.reference.requests, route.recorded.requests),
        (None, Some(1_000))
    );
}

#[test]
fn slower_times_and_more_errors_are_drift() {
    for (median, failed) in [(0.0045, 20), (0.003, 60)] {
        let check = of_mock(&recording("GET /items/*", 1_000, median, failed));
        assert_eq!(check.verdict, Verdict::Drifted, "{median} {failed}: {check:?}");
    }
    let check = of_mock(&recording("GET /items/*", 1_000, 0.0045, 20));
    assert!(check.routes[0].p_value < 1e-6, "{check:?}");
}

#[test]
fn a_route_without_a_part_of_the_mock_is_compared_with_the_rest_of_it() {
    let check = of_mock(&recording("POST /orders", 1_000, 0.003, 20));
    assert!((check.routes[0].reference.p50 - 0.001).abs() < 1e-9);
    assert_eq!(check.verdict, Verdict::Drifted);
}

#[test]
fn a_route_of_the_mock_that_was_not_recorded_is_named_and_not_the_same() {
    let check = of_mock(&recording("POST /orders", 1_000, 0.003, 20));
    let last = check.routes.last().unwrap();
    assert_eq!(
        (last.route.as_str(), last.verdict),
        ("GET /items/*", Verdict::TooFew)
    );
    assert_eq!(last.recorded.requests, Some(0));
    // It takes nothing from the probability of a false alarm of the others.
    assert!((check.routes[0].critical - 0.0429).abs() < 0.001, "{check:?}");
}

#[test]
fn few_requests_decide_nothing_unless_they_are_very_different() {
    let check = of_mock(&recording("GET /items/*", 30, 0.003, 0));
    assert_eq!(check.verdict, Verdict::TooFew, "{check:?}");
    let check = of_mock(&recording("GET /items/*", 30, 0.3, 0));
    assert_eq!(check.verdict, Verdict::Drifted, "{check:?}");
    assert_eq!(of_mock(&Recording::default()).verdict, Verdict::TooFew);
}

#[test]
fn two_recordings_are_compared_route_by_route_and_a_missing_one_is_named() {
    let before = recording("GET /a", 2_000, 0.003, 0);
    let same = against_recording(&before, &recording("GET /a", 1_500, 0.003, 0), Options::default());
    assert_eq!(same.verdict, Verdict::Same, "{same:?}");
    let other = against_recording(&before, &recording("GET /b", 1_500, 0.003, 0), Options::default());
    let routes: Vec<&str> = other.routes.iter().map(|route| route.route.as_str()).collect();
    assert_eq!(
        (routes, other.verdict),
        (vec!["GET /b", "GET /a"], Verdict::TooFew)
    );
}

#[test]
fn a_difference_within_the_tolerance_is_none_however_many_requests_show_it() {
    let before = recording("GET /a", 20_000, 0.003, 0);
    let after = recording("GET /a", 20_000, 0.00325, 0);
    let check = against_recording(&before, &after, Options::default());
    let route = &check.routes[0];
    assert!(route.p_value < 0.01 && route.distance < 0.05, "{route:?}");
    assert_eq!(check.verdict, Verdict::Same);
    let strict = Options {
        tolerance: 0.01,
        ..Options::default()
    };
    assert_eq!(
        against_recording(&before, &after, strict).verdict,
        Verdict::Drifted
    );
}
