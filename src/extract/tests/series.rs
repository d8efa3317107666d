//! OpenMetrics, the text format of Prometheus, and JSON lines.

use super::*;
use crate::measure::Unit;

fn prometheus(content: &[u8]) -> Extracted {
    let spec = file_metric("app", "/tmp/app.prom", Reading::OpenMetrics);
    extract(vec![spec], &[("load/n1/tmp/app.prom", content)])
}

#[test]
fn openmetrics_keeps_every_series_with_its_labels_and_units() {
    let text = br#"# TYPE wait_seconds histogram
# UNIT wait_seconds seconds
# HELP wait_seconds Time "waited".
wait_seconds_bucket{le="0.1",path="C:\\x \"y\"\n\q"} 8 1520879607.789 # {trace_id="a # b"} 0.05 1520879607
wait_seconds_bucket{le="+Inf"} 10
wait_seconds_sum 1.5
wait_seconds_count 10
wait_seconds_created 1520430000.123
temperature NaN
load{cpu="0"} +Inf
# EOF
"#;
    let found = prometheus(text);
    let wanted = [
        ("app.wait_seconds_bucket", 8.0),
        ("app.wait_seconds_bucket", 10.0),
        ("app.wait_seconds_sum", 1.5),
        ("app.wait_seconds_count", 10.0),
        ("app.wait_seconds_created", 1_520_430_000.123),
    ];
    assert_eq!(named(&found), wanted);
    let first = labels(&[("le", "0.1"), ("path", "C:\\x \"y\"\n\\q")]);
    assert_eq!(found.samples[0].labels, first);
    assert_eq!(found.samples[1].labels, labels(&[("le", "+Inf")]));
    assert_eq!(found.samples[2].labels, BTreeMap::new());
    let units: Vec<(&str, &str)> = found
        .specs
        .iter()
        .map(|(name, unit)| (name.as_str(), unit.as_str()))
        .collect();
    assert_eq!(
        units,
        [("app.wait_seconds_created", "s"), ("app.wait_seconds_sum", "s")]
    );
    let text = "2 values are not finite numbers: the first is \"NaN\"";
    assert_eq!(troubles(&found), [(text, 2, false)]);
}

#[test]
fn lines_of_prometheus_that_are_wrong_are_counted_and_a_torn_end_is_incomplete() {
    let text =
        b" \t# a comment\n\nup 1 1395066363000\nweird { problem = \"division by zero\" , }\t3.5e2 -3982045\n\
        bad-name 3\nx{a=b} 1\ny 1 2 3\nz{a=\"1\",a=\"2\"} 4\nq{a=\"1 4\nnovalue\n\xff 1\nok\t5\nlast 12";
    let found = prometheus(text);
    assert_eq!(
        named(&found),
        [("app.up", 1.0), ("app.weird", 350.0), ("app.ok", 5.0)]
    );
    assert_eq!(
        found.samples[1].labels,
        labels(&[("problem", "division by zero")])
    );
    let wanted = [
        (
            "6 lines cannot be read: the first is line 6: \"x{a=b} 1\" has a label without quotes",
            6,
            false,
        ),
        ("1 file ends within a line: line 13: \"last 12\"", 1, true),
        ("1 name cannot be that of a metric: \"bad-name\"", 1, false),
    ];
    assert_eq!(troubles(&found), wanted);
}

#[test]
fn the_end_marker_needs_no_newline_and_may_be_missing() {
    assert_eq!(troubles(&prometheus(b"up 1\n# EOF")), []);
    assert_eq!(troubles(&prometheus(b"up 1\n")), []);
    assert_eq!(troubles(&prometheus(b"")), []);
    assert_eq!(values(&prometheus(b"up 1\nup 2")), [1.0]);
}

#[test]
fn labels_and_names_have_limits() {
    let line = |count: usize, name: &str, value: &str| {
        let labels: Vec<String> = (0..count).map(|i| format!("{name}{i:02}=\"{value}\"")).collect();
        format!("up{{{}}} 1\n", labels.join(","))
    };
    let good = [line(64, "l", "v"), line(1, &"l".repeat(198), &"v".repeat(1024))].concat();
    assert_eq!(prometheus(good.as_bytes()).samples.len(), 2);
    let bad = [
        line(65, "l", "v"),
        line(1, &"l".repeat(199), "v"),
        line(1, "l", &"v".repeat(1025)),
    ];
    let found = prometheus(bad.concat().as_bytes());
    assert_eq!(found.samples.len(), 0);
    let text = "3 samples have too many or too long labels: at most 64 are allowed, with names of 200 and values of \
        1024 bytes";
    assert_eq!(troubles(&found), [(text, 3, true)]);

    let large = line(60, "l", &"v".repeat(1000)).repeat(200);
    let found = prometheus(large.as_bytes());
    assert_eq!(found.samples.len(), (8 << 20) / (60 * 1003));
    let text = "61 samples come after 8 MiB of labels of the source";
    assert_eq!(troubles(&found), [(text, 61, true)]);

    let names: String = (0..1_001).map(|i| format!("m{i} 1\n")).collect();
    let found = prometheus(names.as_bytes());
    assert_eq!(found.samples.len(), 1_000);
    let text = "1 sample is of a metric after the first 1000 metrics of the source";
    assert_eq!(troubles(&found), [(text, 1, true)]);

    let long = format!("{} 1\n{} 1\n", "m".repeat(196), "m".repeat(197));
    let found = prometheus(long.as_bytes());
    assert_eq!((found.samples.len(), found.troubles.len()), (1, 1));
    assert!(
        found.troubles[0]
            .what
            .starts_with("1 name cannot be that of a metric")
    );
}

fn json_lines(content: &[u8], unit: Option<&str>) -> Extracted {
    let mut spec = file_metric("ev", "/tmp/ev.jsonl", Reading::JsonLines);
    spec.unit = unit.and_then(Unit::new);
    extract(vec![spec], &[("load/n1/tmp/ev.jsonl", content)])
}

const EVENTS: &[u8] =
    br#"{"metric":"wait","value":20,"unit":"ms","labels":{"op":"get","n":1.50,"ok":true},"extra":[{}]}
 {"metric":"wait","value":0.5,"unit":"s"}

{"metric":"wait","value":7}
{"metric":"wait","value":"3"}
{"metric":"wait","value":1e400}
{"metric":"wait","value":4,"unit":"B"}
{"metric":"a b","value":1}
{"metric":"wait","value":NaN}
["wait",1]
{"metric":"wait"}
{"metric":"wait","value":1,"labels":{"x":null}}
{"metric":"wait","value":1,"unit":"much too long to be a unit"}
{"metric":"last","value":9}"#;

#[test]
fn json_lines_give_samples_in_one_unit_per_metric() {
    let found = json_lines(EVENTS, None);
    let wanted = [
        ("ev.wait", 20.0),
        ("ev.wait", 500.0),
        ("ev.wait", 7.0),
        ("ev.last", 9.0),
    ];
    assert_eq!(named(&found), wanted);
    assert_eq!(
        found.samples[0].labels,
        labels(&[("op", "get"), ("n", "1.50"), ("ok", "true")])
    );
    let unit = found.specs.get(&found.samples[0].metric);
    assert_eq!((unit, found.specs.len()), (Unit::new("ms").as_ref(), 1));
    let wanted = [
        (
            "5 lines cannot be read: the first is line 9: expected value",
            5,
            false,
        ),
        (
            "2 values are not finite numbers: the first is \"\\\"3\\\"\"",
            2,
            false,
        ),
        (
            "1 value is in a unit that cannot be converted: \"B\", and ev.wait is in ms",
            1,
            true,
        ),
        ("1 name cannot be that of a metric: \"a b\"", 1, false),
    ];
    assert_eq!(troubles(&found), wanted);
}

#[test]
fn the_unit_of_the_topology_comes_before_declared_ones() {
    let found = json_lines(
        b"{\"metric\":\"wait\",\"value\":1500,\"unit\":\"ms\"}\n",
        Some("s"),
    );
    assert_eq!(named(&found), [("ev.wait", 1.5)]);
    assert_eq!(found.specs.values().collect::<Vec<_>>(), [&Unit::seconds()]);
}

#[test]
fn a_json_line_that_was_torn_is_incomplete() {
    let found = json_lines(
        b"{\"metric\":\"w\",\"value\":1}\n{\"metric\":\"w\",\"value\":2",
        None,
    );
    assert_eq!(values(&found), [1.0]);
    let text = r#"1 file ends within a line: line 2: "{\"metric\":\"w\",\"value\":2""#;
    assert_eq!(troubles(&found), [(text, 1, true)]);
}
