//! Files of a run become samples: expressions and streams here, the other formats in the modules below.

mod json;
mod properties;
mod series;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::base::name::NodeName;
use crate::measure::{MetricSource, MetricSpec, Reading};
use crate::topology::WorkloadStep;
use crate::workload::Unfetched;

fn node() -> NodeName {
    "n1".parse().unwrap()
}

fn metric(name: &str, source: MetricSource, reading: Reading) -> MetricSpec {
    MetricSpec {
        name: name.parse().unwrap(),
        source: Some(source),
        reading: Some(reading),
        scale: 1.0,
        unit: None,
        better: None,
        min_change: None,
        floor: None,
    }
}

pub(super) fn regex_metric(name: &str, expression: &str) -> MetricSpec {
    metric(name, MetricSource::Stdout, Reading::Regex(expression.to_owned()))
}

fn file_metric(name: &str, path: &str, reading: Reading) -> MetricSpec {
    metric(name, MetricSource::File(path.to_owned()), reading)
}

fn step(metrics: Vec<MetricSpec>) -> WorkloadStep {
    WorkloadStep {
        name: "load".to_owned(),
        on: vec![node()],
        run: "true".to_owned(),
        timeout: Duration::from_secs(1),
        barrier: false,
        fanout: None,
        collect: Vec::new(),
        metrics,
        watch: Vec::new(),
        at: None,
    }
}

/// Extracts metrics from files, whose paths are relative to the directory of the run.
fn extract(metrics: Vec<MetricSpec>, files: &[(&str, &[u8])]) -> Extracted {
    let temp = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = temp.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    extract_from(metrics, temp.path())
}

fn extract_from(metrics: Vec<MetricSpec>, run: &Path) -> Extracted {
    extract_without(metrics, run, Missing::default())
}

fn extract_without(metrics: Vec<MetricSpec>, run: &Path, missing: Missing<'_>) -> Extracted {
    Extractor::new(&step(metrics))
        .unwrap()
        .extract(&node(), run, missing)
}

fn values(extracted: &Extracted) -> Vec<f64> {
    extracted.samples.iter().map(|sample| sample.value).collect()
}

/// Name and value of each sample.
fn named(extracted: &Extracted) -> Vec<(&str, f64)> {
    let samples = extracted.samples.iter();
    samples
        .map(|sample| (sample.metric.as_str(), sample.value))
        .collect()
}

/// Text, number and incompleteness of each trouble.
fn troubles(extracted: &Extracted) -> Vec<(&str, u64, bool)> {
    let troubles = extracted.troubles.iter();
    troubles
        .map(|trouble| (trouble.what.as_str(), trouble.count, trouble.incomplete))
        .collect()
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn every_match_of_a_regex_is_a_sample_and_what_is_no_number_is_counted() {
    let out =
        b"joined in 1.5 s\nnoise\nx joined in 2 s joined in 3e0 s\r\n\xff joined in 4 s\njoined in NaN s\n\
        joined in 1e400 s\njoined in  s\njoined in 1,234 s\njoined in 5 s";
    let found = extract(vec![regex_metric("join", "a=(.)")], &[]);
    assert_eq!(troubles(&found), [("no stdout was stored", 1, false)]);
    let found = extract(
        vec![regex_metric("join", r"joined in (\S*) s")],
        &[("load/n1.out", out)],
    );
    assert_eq!(values(&found), [1.5, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(
        troubles(&found),
        [("4 values are not finite numbers: the first is \"NaN\"", 4, false)]
    );
    let (sample, trouble) = (&found.samples[0], &found.troubles[0]);
    assert_eq!(sample.metric.as_str(), "join");
    assert_eq!(sample.step.as_deref(), Some("load"));
    assert_eq!(sample.node, Some(node()));
    assert_eq!(
        (trouble.step.as_str(), trouble.source.as_str()),
        ("load", "stdout")
    );
    assert_eq!((&trouble.node, trouble.metric.as_str()), (&node(), "join"));
}

#[test]
fn the_metrics_of_a_stream_do_not_disturb_each_other() {
    let mut b = regex_metric("b", "b=([0-9]+)$");
    b.source = Some(MetricSource::Stderr);
    let metrics = vec![
        regex_metric("a", "a=([0-9]+)"),
        b,
        regex_metric("c", "c=([0-9]+)$"),
    ];
    let files: [(&str, &[u8]); 2] = [
        ("load/n1.out", b"a=1 c=2\r\na=3\n"),
        ("load/n1.err", b"b=4\na=9\n"),
    ];
    let found = extract(metrics, &files);
    assert_eq!(named(&found), [("a", 1.0), ("a", 3.0), ("c", 2.0), ("b", 4.0)]);
    assert_eq!(troubles(&found), []);
}

#[test]
fn a_group_that_takes_no_part_in_a_match_is_no_number() {
    let found = extract(
        vec![regex_metric("a", "a=([0-9]+)|b")],
        &[("load/n1.out", b"a=1 b\n")],
    );
    assert_eq!(values(&found), [1.0]);
    assert_eq!(
        troubles(&found),
        [("1 value is not a finite number: \"\"", 1, false)]
    );
}

#[test]
fn long_lines_are_skipped_and_counted() {
    let long = [b"a=1".repeat(30_000), b"\na=2\n".to_vec(), b"a=3".repeat(30_000)].concat();
    let found = extract(
        vec![regex_metric("a", "a=([0-9]+)")],
        &[("load/n1.out", &long[..])],
    );
    assert_eq!(values(&found), [2.0]);
    let text = "2 lines were skipped because they are longer than 64 KiB";
    assert_eq!(troubles(&found), [(text, 2, false)]);
}

#[test]
fn a_scale_multiplies_and_must_leave_a_finite_number() {
    let mut spec = regex_metric("a", r"a=(\S+)");
    spec.scale = 1e-6;
    let found = extract(vec![spec.clone()], &[("load/n1.out", b"a=2000000\na=5\n")]);
    assert_eq!(values(&found), [2.0, 5.0 * 1e-6]);
    spec.scale = 10.0;
    let found = extract(vec![spec], &[("load/n1.out", b"a=1e308\n")]);
    assert_eq!(values(&found), Vec::<f64>::new());
    let text = "1 value is not a finite number: \"1e308\"";
    assert_eq!(troubles(&found), [(text, 1, false)]);
}

#[test]
fn more_samples_than_are_kept_are_counted_and_make_the_metric_incomplete() {
    let out = "a=1\n".repeat(10_003);
    let found = extract(
        vec![regex_metric("a", "a=([0-9]+)")],
        &[("load/n1.out", out.as_bytes())],
    );
    assert_eq!(found.samples.len(), 10_000);
    let text = "3 samples come after the first 10000 of the source";
    assert_eq!(troubles(&found), [(text, 3, true)]);
}

#[test]
fn an_output_that_was_cut_is_incomplete() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("load/n1.out");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "a=1\n").unwrap();
    // A file with a hole: it takes no space.
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(256 << 20).unwrap();
    let found = extract_from(vec![regex_metric("a", "a=([0-9]+)")], temp.path());
    assert_eq!(values(&found), [1.0]);
    assert_eq!(troubles(&found)[0], ("the output was cut after 256 MiB", 1, true));
    file.set_len((256 << 20) - 1).unwrap();
    let found = extract_from(vec![regex_metric("a", "a=([0-9]+)")], temp.path());
    let incomplete = found.troubles.iter().filter(|trouble| trouble.incomplete);
    assert_eq!(incomplete.count(), 0);
}

#[test]
fn the_ends_of_lines_around_lost_output_are_not_read_as_one() {
    let temp = tempfile::tempdir().unwrap();
    fs::create_dir(temp.path().join("load")).unwrap();
    let content = b"a=1\na=2\0\0\0\x003\na=4\n";
    fs::write(temp.path().join("load/n1.out"), content).unwrap();
    let found = |lost| {
        let metrics = vec![
            regex_metric("a", "a=([0-9]+)"),
            file_metric("b", "/b", Reading::OpenMetrics),
        ];
        let unfetched: &[Unfetched] = &[];
        extract_without(metrics, temp.path(), Missing { lost, unfetched })
    };
    let with_hole = found(4);
    assert_eq!(values(&with_hole), [1.0, 4.0]);
    let wanted = [
        ("the output has lost 4 bytes", 1, true),
        ("no file matches /b", 1, false),
    ];
    assert_eq!(troubles(&with_hole), wanted);
    // A program may write zeros, too.
    assert_eq!(values(&found(0)), [1.0, 2.0, 4.0]);
}

#[test]
fn files_that_could_not_be_collected_make_the_metric_incomplete_and_those_that_are_not_there_do_not() {
    let temp = tempfile::tempdir().unwrap();
    let unfetched = [Unfetched {
        pattern: "/a".to_owned(),
        why: "connection lost\u{1b}[2J".to_owned(),
    }];
    let metrics = ["/a", "/b"].map(|path| file_metric("a", path, Reading::OpenMetrics));
    let unfetched = &unfetched;
    let found = extract_without(metrics.to_vec(), temp.path(), Missing { lost: 7, unfetched });
    let wanted = [
        ("files could not be collected: connection lost^[[2J", 1, true),
        ("no file matches /b", 1, false),
    ];
    assert_eq!(troubles(&found), wanted);
}

#[test]
fn expressions_and_pointers_that_cannot_be_used_are_refused() {
    let error = |reading| {
        let step = step(vec![file_metric("a", "/x", reading)]);
        Extractor::new(&step).unwrap_err()
    };
    assert!(error(Reading::Regex("(".to_owned())).starts_with("metric `a`: regex parse error"));
    let groups = error(Reading::Regex("(a)(b)".to_owned()));
    assert_eq!(groups, "metric `a`: `(a)(b)` has 2 groups instead of one");
    assert!(error(Reading::Json("x".to_owned())).contains("does not begin with `/`"));
}

fn live(content: &[u8], sizes: &[usize]) -> Vec<f64> {
    let spec = regex_metric("a", "a=([0-9.]+)");
    let mut live = Live::new("load", &node(), &[&spec]);
    let (mut rest, mut found) = (content, Vec::new());
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, after) = rest.split_at((*size).min(rest.len()));
        found.extend(live.push(piece).into_iter().map(|sample| sample.value));
        rest = after;
    }
    found
}

#[test]
fn a_live_stream_gives_the_same_samples_however_it_is_cut_but_not_those_of_an_unfinished_line() {
    let content = b"a=1 a=2\nb\n\xffa=3.5\r\na=4\na=5";
    for size in 1..content.len() {
        assert_eq!(live(content, &[size]), [1.0, 2.0, 3.5, 4.0], "{size}");
    }
}

#[test]
fn a_live_stream_keeps_to_the_limit_of_samples() {
    let content = "a=1\n".repeat(10_050);
    assert_eq!(live(content.as_bytes(), &[4096]).len(), 10_000);
}
