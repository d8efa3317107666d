use std::path::Path;

use super::*;
use crate::error::MockError;

fn parse_text(text: &str) -> Result<Mocks, MockError> {
    parse(text, Path::new("mocks.yaml"))
}

fn problems(text: &str) -> Vec<String> {
    match parse_text(text) {
        Err(MockError::Invalid { problems }) => problems.iter().map(Problem::to_string).collect(),
        other => panic!("{other:?}"),
    }
}

const EVERYTHING: &str = r#"
mocks:
  inventory:
    protocol: http
    listen: 127.0.0.1:8080
    seed: 7
    capacity: { workers: 8, queue: 100, when_full: reject }
    latency: { lognormal: { median: 3ms, p99: 40ms } }
    errors: { rate: 0.01, kind: status, status: 503 }
    body: { text: '{"id": "{{request.path}}"}' }
    connection: { accept_delay: 1ms, max: 1000 }
    chunks: { count: 4, duration: 200ms }
    routes:
      - match: { method: GET, path: /items/* }
        latency: { constant: 1ms }
        body: { size: 512B }
        errors: []
  store:
    protocol: postgres
    listen: 5432
    latency: { empirical: { quantiles: [[0, 0.001], [0.5, 0.003], [1, 0.02]] } }
    errors:
      - { rate: 0.1, kind: error, code: "40001", message: try again }
      - { rate: 0.1, kind: connection_reset_by_peer }
    routes:
      - match: { query: 'SELECT %' }
        latency: { uniform: { min: 1ms, max: 2ms } }
        columns: [{ name: id, type: int8 }, { name: name, type: text }]
        rows: 10
  many:
    protocol: tcp
    listen: 9000-9999
    latency: { normal: { mean: 5ms, stddev: 1ms } }
"#;

#[test]
fn a_file_with_everything_is_read_and_written_back() {
    let mocks = parse_text(EVERYTHING).unwrap();
    let inventory = &mocks.mocks["inventory"];
    assert_eq!(inventory.capacity.unwrap().workers.get(), 8);
    assert_eq!(inventory.errors.as_ref().unwrap().0[0].status, Some(503));
    assert_eq!(inventory.routes[0].errors, Some(Faults(Vec::new())));
    assert_eq!(inventory.routes[0].body.as_ref().unwrap().size, Some(Size(512)));
    assert_eq!(mocks.mocks["many"].listen.count(), 1000);
    assert_eq!(mocks.mocks["store"].errors.as_ref().unwrap().0.len(), 2);
    let written = serde_json::to_string(&mocks).unwrap();
    assert_eq!(parse_text(&written).unwrap(), mocks);
    let yaml = serde_saphyr::to_string(&mocks).unwrap();
    assert_eq!(parse_text(&yaml).unwrap(), mocks, "{yaml}");
}

#[test]
fn an_unknown_key_is_refused_with_its_place() {
    let text = "mocks:\n  a:\n    protocol: http\n    listen: 8080\n    latancy: { constant: 1ms }\n";
    match parse_text(text) {
        Err(MockError::Syntax { line, reason, .. }) => {
            assert_eq!(line, 5);
            assert!(reason.contains("latancy"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_value_that_is_no_time_is_refused_with_its_place() {
    let text = "mocks:\n  a:\n    protocol: http\n    listen: 8080\n    latency: { constant: soon }\n";
    match parse_text(text) {
        Err(MockError::Syntax { line, reason, .. }) => {
            assert_eq!(line, 5);
            assert!(reason.contains("`soon` is not a time"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn all_problems_are_found_in_one_pass() {
    let found = problems(
        r"
mocks:
  a:
    protocol: http
    listen: 8080
    latency: { lognormal: { median: 3ms } }
    errors: [{ rate: 0.7, kind: status }, { rate: 0.7, kind: error }]
    rows: 3
  b:
    protocol: tcp
    listen: 127.0.0.1:8080
    body: { text: a, size: 1B }
    routes: [{ match: {} }]
",
    );
    let expected = [
        "mocks.a.latency.lognormal: write one of `p99` and `sigma`",
        "mocks.a.errors[1]: only `redis` and `postgres` have errors: use `kind: status`",
        "mocks.a.errors: the rates add up to 1.400, which is more than 1",
        "mocks.a.rows: only `postgres` has rows",
        "mocks.b.body: write one of `text`, `size` and `file`",
        "mocks.b.routes[0].match: requests of `tcp` cannot be told apart: remove `routes`",
        "mocks.b.listen: `127.0.0.1:8080` overlaps `0.0.0.0:8080` of `a`",
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_mock_whose_port_is_taken_by_several_others_is_one_problem() {
    let mocks: String = (0..50)
        .map(|number| format!("  m{number}: {{ protocol: tcp, listen: 8080 }}\n"))
        .collect();
    let found = problems(&format!("mocks:\n{mocks}"));
    assert_eq!(found.len(), 49);
    assert_eq!(
        found[48],
        "mocks.m49.listen: `0.0.0.0:8080` overlaps `0.0.0.0:8080` of `m0`"
    );
}

#[test]
fn a_match_must_fit_the_protocol() {
    let found = problems(
        "mocks: { a: { protocol: redis, listen: 1, routes: [{ match: { path: /x } }, { match: {} }] } }",
    );
    assert_eq!(
        found,
        [
            "mocks.a.routes[0].match.path: `redis` has no path",
            "mocks.a.routes[1].match: it is empty: say which requests the route is for",
        ]
    );
}

#[test]
fn hostile_yaml_is_refused() {
    let deep = format!("mocks: {}{}", "[".repeat(10_000), "]".repeat(10_000));
    assert!(matches!(parse_text(&deep), Err(MockError::Syntax { .. })));
    let laughs = "a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b]\n";
    assert!(parse_text(laughs).is_err());
    assert!(parse_text("").is_err());
    assert!(matches!(parse_text("mocks: {}"), Err(MockError::Invalid { .. })));
}

#[test]
fn the_schema_has_all_keys_of_a_mock() {
    let schema = serde_json::to_value(schema()).unwrap();
    let mock = &schema["$defs"]["Mock"]["properties"];
    for key in [
        "protocol", "listen", "seed", "capacity", "latency", "errors", "routes",
    ] {
        assert!(mock[key].is_object(), "{key}: {schema}");
    }
}
