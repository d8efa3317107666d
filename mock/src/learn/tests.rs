//! Mocks that are learnt from recordings whose truth is known.

use std::path::Path;

use super::*;
use crate::json_lines;
use crate::latency::Distribution;
use crate::record::lines::Lines;
use crate::spec::Latency;

fn options() -> Options {
    Options {
        name: "inventory".to_owned(),
        protocol: None,
        listen: "127.0.0.1:8080".parse().unwrap(),
    }
}

fn recording(text: &str) -> Recording {
    let mut recording = Recording::default();
    json_lines::read(
        &mut Lines::new(text.as_bytes(), Path::new("r.jsonl")),
        &mut recording,
    )
    .unwrap();
    recording
}

/// Lines of requests that never overlap, with times drawn from a distribution.
fn lines(
    route: &str,
    count: usize,
    from: f64,
    shape: &Distribution,
    status: impl Fn(usize) -> u16,
) -> String {
    let mut random = fastrand::Rng::with_seed(7);
    let mut text = String::new();
    for number in 0..count {
        let seconds = shape.draw(random.f64()).as_secs_f64();
        let started = from + number as f64 * 10.0;
        text.push_str(&json_lines::text(&json_lines::Line {
            route: route.to_owned(),
            started,
            seconds,
            status: Some(status(number)),
            error: None,
            bytes: Some(512),
        }));
    }
    text
}

const FAST: Distribution = Distribution::Lognormal {
    median: 0.003,
    sigma: 1.0,
};

const SLOW: Distribution = Distribution::Normal {
    mean: 0.050,
    stddev: 0.015,
};

#[test]
fn each_route_gets_its_distribution_its_errors_and_its_body() {
    let mut text = lines("GET /items/17", 2_000, 0.0, &FAST, |number| {
        if number % 50 == 0 { 503 } else { 200 }
    });
    text.push_str(&lines("POST /orders", 1_000, 1e6, &SLOW, |_| 201));
    let learnt = learn(&recording(&text), &options()).unwrap();
    assert_eq!((learnt.requests, learnt.routes.len()), (3_000, 2));
    let [orders, items] = learnt.routes.as_slice() else {
        panic!("{:?}", learnt.routes);
    };
    // A route without a wildcard is matched first.
    assert_eq!(
        (orders.route.as_str(), items.route.as_str()),
        ("POST /orders", "GET /items/*")
    );
    assert_eq!((orders.distribution, items.distribution), ("normal", "lognormal"));
    assert!(orders.distance < 0.05 && items.distance < 0.05);
    assert_eq!((items.requests, items.failed, items.used), (2_000, 40, 1_960));
    let fault = &items.errors.0[0];
    assert!(
        (fault.rate - 0.02).abs() < 1e-6 && fault.status == Some(503),
        "{fault:?}"
    );
    assert_eq!(items.bytes, Some(512));
    // All requests together have two peaks.
    assert_eq!(learnt.all.distribution, "empirical");
    assert!(matches!(learnt.capacity, Load::NotDetermined { .. }));
}

#[test]
fn the_yaml_is_a_mock_that_is_read_back_as_it_was_learnt() {
    let mut text = lines("GET /items/17", 500, 0.0, &FAST, |number| {
        if number % 50 == 0 { 503 } else { 200 }
    });
    text.push_str(&lines("POST /a: \"b\" #c", 500, 1e6, &SLOW, |_| 200));
    let learnt = learn(&recording(&text), &options()).unwrap();
    let yaml = learnt.yaml();
    let read = spec::parse(&yaml, Path::new("learnt.yaml")).unwrap();
    assert_eq!(read, learnt.mocks, "{yaml}");
    assert!(
        yaml.contains("# capacity: not determined: no two requests"),
        "{yaml}"
    );
}

#[test]
fn a_recording_of_one_route_gives_a_mock_without_routes() {
    let learnt = learn(&recording(&lines("GET /", 400, 0.0, &FAST, |_| 200)), &options()).unwrap();
    let mock = &learnt.mocks.mocks["inventory"];
    assert!(mock.routes.is_empty() && learnt.routes.is_empty());
    assert!(
        matches!(mock.latency, Some(Latency::Lognormal(_))),
        "{:?}",
        mock.latency
    );
    assert_eq!(mock.errors, None);
}

#[test]
fn few_requests_give_a_mock_with_a_note() {
    let learnt = learn(&recording("{\"seconds\": 0.25}"), &options()).unwrap();
    assert!(
        learnt.notes.iter().any(|note| note.contains("only 1 times")),
        "{:?}",
        learnt.notes
    );
    assert_eq!(learnt.mocks.mocks["inventory"].protocol, Protocol::Tcp);
    assert!(spec::parse(&learnt.yaml(), Path::new("learnt.yaml")).is_ok());
}

#[test]
fn a_recording_or_a_name_that_gives_no_mock_is_an_error_with_a_way_out() {
    assert!(matches!(
        learn(&Recording::default(), &options()),
        Err(LearnError::Empty)
    ));
    let several = recording("{\"seconds\":1,\"route\":\"GET /\"}\n{\"seconds\":1,\"route\":\"SET\"}");
    let error = learn(&several, &options()).unwrap_err();
    assert!(matches!(error, LearnError::Protocol { .. }) && error.hint().is_some());
    let wrong = Options {
        name: "a b".to_owned(),
        ..options()
    };
    let error = learn(&recording("{\"seconds\": 0.25}"), &wrong).unwrap_err();
    assert!(matches!(error, LearnError::Mock(_)), "{error}");
}
