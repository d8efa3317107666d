use std::time::Duration;

use futures::poll;

use super::*;
use crate::spec::Mock;

fn endpoint(text: &str) -> Arc<Endpoint> {
    let mock: Mock = serde_json::from_str(text).unwrap();
    Arc::new(Endpoint::new("inventory", &mock, Path::new("/")).unwrap())
}

fn request<'a>(method: &'a str, path: &'a str) -> Request<'a> {
    Request {
        method,
        path,
        body: b"",
    }
}

fn bytes(answer: Answer) -> Bytes {
    match answer {
        Answer::Body { bytes, .. } => bytes,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_route_that_matches_answers_with_the_values_of_the_mock_for_what_it_lacks() {
    let endpoint = endpoint(
        r#"{"protocol": "http", "listen": 1, "latency": {"constant": "10ms"}, "body": {"text": "other"}, "routes": [
            {"match": {"path": "/a"}, "latency": {"constant": "1ms"}},
            {"match": {"path": "/*"}, "body": {"text": "route"}}]}"#,
    );
    for (path, index, text, milliseconds) in [
        ("/a", 0, "other", 1),
        ("/b", 1, "route", 10),
        ("/b/c", 2, "other", 10),
    ] {
        let request = request("GET", path);
        assert_eq!(endpoint.route_of(&request), index);
        let start = Instant::now();
        assert_eq!(bytes(endpoint.answer(&request).await), text);
        // The clock of tokio has steps of 1 ms.
        let wanted = Duration::from_millis(milliseconds);
        assert!(
            (wanted..=wanted + Duration::from_millis(1)).contains(&start.elapsed()),
            "{path}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn latency_rises_with_load_beyond_the_workers() {
    let endpoint = endpoint(
        r#"{"protocol": "http", "listen": 1, "capacity": {"workers": 2}, "latency": {"constant": "10ms"}}"#,
    );
    let start = Instant::now();
    let request = request("GET", "/");
    let mut answers: Vec<Duration> = futures::future::join_all((0..6).map(|_| async {
        endpoint.answer(&request).await;
        start.elapsed()
    }))
    .await;
    answers.sort();
    let steps: Vec<u128> = answers.iter().map(|answer| answer.as_millis() / 10).collect();
    assert_eq!(steps, [1, 1, 2, 2, 3, 3]);
    let observed = endpoint.observed();
    assert_eq!(observed.most_concurrent, 6);
    assert!(observed.latency.unwrap().p99 > 0.029);
    assert!(observed.routes[0].service.unwrap().p99 < 0.012);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_and_a_client_that_leaves_makes_room() {
    let endpoint = endpoint(
        r#"{"protocol": "http", "listen": 1, "capacity": {"workers": 1, "queue": 1}, "latency": {"constant": "1s"}}"#,
    );
    let request = request("GET", "/");
    let mut first = Box::pin(endpoint.answer(&request));
    let mut second = Box::pin(endpoint.answer(&request));
    assert!(poll!(&mut first).is_pending());
    assert!(poll!(&mut second).is_pending());
    assert_eq!(endpoint.answer(&request).await, Answer::Overloaded);
    drop(first);
    drop(second);
    assert!(matches!(endpoint.answer(&request).await, Answer::Body { .. }));
    let observed = endpoint.observed();
    assert_eq!(
        (observed.requests, observed.refused, observed.abandoned),
        (4, 1, 2)
    );
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_closes_ends_the_connection() {
    let endpoint = endpoint(
        r#"{"protocol": "tcp", "listen": 1, "capacity": {"workers": 1, "queue": 0, "when_full": "close"},
            "latency": {"constant": "1s"}}"#,
    );
    let request = request("", "");
    let mut first = Box::pin(endpoint.answer(&request));
    assert!(poll!(&mut first).is_pending());
    assert_eq!(endpoint.answer(&request).await, Answer::Close);
}

/// The answers and times of requests to two routes in turns.
async fn sequence(seed: u64, other_route: bool) -> Vec<(bool, Duration)> {
    let endpoint = endpoint(&format!(
        r#"{{"protocol": "redis", "listen": 1, "seed": {seed}, "latency": {{"uniform": {{"min": "1ms", "max": "99ms"}}}},
            "errors": {{"rate": 0.3, "kind": "error"}}, "routes": [{{"match": {{"command": "GET"}}}}]}}"#
    ));
    let mut sequence = Vec::new();
    for _ in 0..50 {
        if other_route {
            endpoint.answer(&request("SET", "k")).await;
        }
        let start = Instant::now();
        let answer = endpoint.answer(&request("GET", "k")).await;
        sequence.push((matches!(answer, Answer::Error { .. }), start.elapsed()));
    }
    sequence
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_sequence_whatever_other_routes_receive() {
    let alone = sequence(7, false).await;
    assert_eq!(alone, sequence(7, true).await);
    assert_ne!(alone, sequence(8, false).await);
    let errors = alone.iter().filter(|(error, _)| *error).count();
    assert!((5..=25).contains(&errors), "{errors}");
}

#[tokio::test(start_paused = true)]
async fn ports_of_a_range_have_their_own_workers_and_draws_and_one_count() {
    let text = r#"{"protocol": "http", "listen": 1, "seed": 7, "capacity": {"workers": 1, "queue": 0},
        "latency": {"uniform": {"min": "1ms", "max": "99ms"}}}"#;
    let mock: Mock = serde_json::from_str(text).unwrap();
    let first = endpoint(text);
    let second = first.sibling(&mock, 1);
    assert_ne!(first.seed(), second.seed());
    let request = request("GET", "/");
    let answers = tokio::join!(first.answer(&request), second.answer(&request));
    assert!(matches!(answers, (Answer::Body { .. }, Answer::Body { .. })));
    assert_eq!(second.observed().requests, 2);
}

#[test]
fn connections_are_counted_and_refused_beyond_the_most() {
    let endpoint = endpoint(r#"{"protocol": "tcp", "listen": 1, "connection": {"max": 2}}"#);
    let first = endpoint.connected();
    let second = endpoint.connected();
    assert!(first.is_some() && second.is_some());
    assert!(endpoint.connected().is_none());
    drop(first);
    assert!(endpoint.connected().is_some());
    let observed = endpoint.observed();
    assert_eq!(
        (
            observed.connections,
            observed.connections_refused,
            observed.most_connections
        ),
        (3, 1, 2)
    );
}

#[test]
fn columns_and_rows_of_a_route_are_those_of_the_mock_if_it_has_none() {
    let endpoint = endpoint(
        r#"{"protocol": "postgres", "listen": 1, "rows": 3, "columns": [{"name": "id", "type": "int8"}], "routes": [
            {"match": {"query": "SELECT %"}, "rows": 10}]}"#,
    );
    let route = endpoint.route_of(&request("query", "select 1"));
    assert_eq!((route, endpoint.rows(route), endpoint.rows(1)), (0, 10, 3));
    assert_eq!(endpoint.columns(route)[0].name, "id");
    assert_eq!((endpoint.rows(9), endpoint.columns(9).len()), (1, 0));
}

#[test]
fn a_mock_that_contradicts_itself_is_no_endpoint() {
    let mock: Mock = serde_json::from_str(r#"{"protocol": "tcp", "listen": 1, "rows": 1}"#).unwrap();
    let error = Endpoint::new("a", &mock, Path::new("/")).unwrap_err();
    assert_eq!(error.to_string(), "mocks.a.rows: only `postgres` has rows");
}
