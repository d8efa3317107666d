//! `samples.jsonl`: a [`Sample`] a line. It is read line by line; a line that is not exactly a sample is an error with its
//! number.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::Path;

use serde::Deserialize;
use serde::de::Error as _;

use super::error::{StoreError, cause};
use crate::base::name::NodeName;
use crate::base::whole::write_whole;
use crate::measure::{MetricName, Sample};

/// The name of the file.
pub(super) const SAMPLES: &str = "samples.jsonl";

/// Bytes read at once.
const BUFFER: usize = 1 << 16;

/// Writes the samples of the run in a directory. A value that is not finite is an error.
pub fn write_samples(run: &Path, samples: &[Sample]) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(samples.len() * 128);
    for sample in samples {
        if !sample.value.is_finite() {
            let text = format!("a sample of {} is not a finite number", sample.metric);
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        serde_json::to_writer(&mut bytes, sample)?;
        bytes.push(b'\n');
    }
    write_whole(&run.join(SAMPLES), &bytes)
}

/// Reads all samples.
pub(super) fn samples(path: &Path) -> Result<Vec<Sample>, StoreError> {
    let mut samples = Vec::new();
    each_line(path, |line| {
        samples.push(serde_json::from_slice(line)?);
        Ok(())
    })?;
    Ok(samples)
}

/// Text of a line, borrowed where it has no escapes.
#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// A [`Sample`] that owns nothing.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    #[serde(borrow)]
    metric: Cow<'a, str>,
    value: f64,
    #[serde(rename = "step", borrow, default)]
    _step: Option<Text<'a>>,
    #[serde(borrow, default)]
    node: Option<Text<'a>>,
    #[serde(rename = "labels", borrow, default)]
    _labels: BTreeMap<Text<'a>, Text<'a>>,
}

/// The values of a metric.
struct Series {
    name: MetricName,
    values: Vec<f64>,
    is_wanted: bool,
}

/// Reads the values of the wanted metrics, in the order of the file. All other lines are checked as well.
pub(super) fn values(
    path: &Path,
    is_wanted: impl Fn(&MetricName) -> bool,
) -> Result<BTreeMap<MetricName, Vec<f64>>, StoreError> {
    // A name is checked when it occurs for the first time.
    let mut series: HashMap<String, Series> = HashMap::new();
    let mut nodes: HashSet<String> = HashSet::new();
    each_line(path, |line| {
        let line: Line<'_> = serde_json::from_slice(line)?;
        if let Some(Text(node)) = &line.node
            && !nodes.contains(&**node)
        {
            let node: NodeName = node.parse().map_err(serde_json::Error::custom)?;
            nodes.insert(node.into());
        }
        match series.get_mut(&*line.metric) {
            Some(series) if series.is_wanted => series.values.push(line.value),
            Some(_) => {}
            None => {
                let name: MetricName = line.metric.parse().map_err(serde_json::Error::custom)?;
                let is_wanted = is_wanted(&name);
                let values = if is_wanted { vec![line.value] } else { Vec::new() };
                let new = Series {
                    name,
                    values,
                    is_wanted,
                };
                series.insert(line.metric.into_owned(), new);
            }
        }
        Ok(())
    })?;
    let wanted = series.into_values().filter(|series| series.is_wanted);
    Ok(wanted.map(|series| (series.name, series.values)).collect())
}

/// Passes on each line of a file. Its last line must have an end too: one without is torn.
fn each_line(path: &Path, mut each: impl FnMut(&[u8]) -> serde_json::Result<()>) -> Result<(), StoreError> {
    let file = File::open(path).map_err(StoreError::io("read", path))?;
    let mut reader = BufReader::with_capacity(BUFFER, file);
    let mut line = Vec::new();
    let mut number = 0;
    loop {
        line.clear();
        number += 1;
        let length = reader
            .read_until(b'\n', &mut line)
            .map_err(StoreError::io("read", path))?;
        if length == 0 {
            return Ok(());
        }
        if !line.ends_with(b"\n") {
            return Err(StoreError::line(path, number, "the line is cut off"));
        }
        each(&line).map_err(|error| StoreError::line(path, number, cause(&error)))?;
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::measure::Statistic;

    const GOOD: &str = "{\"metric\":\"a\",\"value\":1}\n";

    fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join(SAMPLES);
        std::fs::write(&path, text).unwrap();
        (temp, path)
    }

    fn sample(metric: &str, value: f64) -> Sample {
        Sample {
            metric: metric.parse().unwrap(),
            value,
            step: None,
            node: None,
            labels: BTreeMap::new(),
        }
    }

    #[test]
    fn samples_are_read_exactly_as_they_were_written() {
        let temp = tempfile::tempdir().unwrap();
        let mut samples: Vec<Sample> = [0.1 + 0.2, 1e-300, 5e-324, -0.0, f64::MAX, 12_345_678.9]
            .iter()
            .map(|value| sample("a", *value))
            .collect();
        samples[0].step = Some("join".into());
        samples[1].node = Some("n001".parse().unwrap());
        samples[2].labels = BTreeMap::from([("pa\"th".into(), "/\u{9b}é\n".into())]);
        write_samples(temp.path(), &samples).unwrap();
        let path = temp.path().join(SAMPLES);
        assert_eq!(super::samples(&path).unwrap(), samples);
        let read = values(&path, |_| true).unwrap();
        let expected: Vec<f64> = samples.iter().map(|sample| sample.value).collect();
        assert_eq!(read[&"a".parse::<MetricName>().unwrap()], expected);
    }

    #[test]
    fn a_value_that_is_no_finite_number_is_not_written() {
        let temp = tempfile::tempdir().unwrap();
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let error = write_samples(temp.path(), &[sample("a", value)]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
        assert!(!temp.path().join(SAMPLES).exists());
    }

    #[test]
    fn a_damaged_line_is_an_error_with_its_number_whichever_metric_is_wanted() {
        for (bad, why) in [
            ("{\"metric\":\"b\",\"value\":NaN}\n", "expected"),
            ("{\"metric\":\"b\",\"value\":null}\n", "invalid type: null"),
            ("{\"metric\":\"b\",\"value\":1e400}\n", "number out of range"),
            ("{\"metric\":\"b\",\"value\":\"1\"}\n", "invalid type: string"),
            ("{\"metric\":\"b\"}\n", "missing field `value`"),
            ("{\"value\":1}\n", "missing field `metric`"),
            (
                "{\"metric\":\"b\",\"value\":1,\"time\":2}\n",
                "unknown field `time`",
            ),
            (
                "{\"metric\":\"b\",\"value\":1,\"value\":2}\n",
                "duplicate field `value`",
            ),
            (
                "{\"metric\":\"b\",\"value\":1,\"labels\":{\"x\":1}}\n",
                "invalid type",
            ),
            ("{\"metric\":\"b c\",\"value\":1}\n", "not a name of a metric"),
            (
                "{\"metric\":\"b\",\"value\":1,\"node\":\"../n\"}\n",
                "the node name",
            ),
            ("{\"metric\":\"b\",\"value\":1,\"step\":7}\n", "invalid type"),
            ("{\"metric\":\"b\",\"value\":1}{}\n", "trailing characters"),
            ("\n", "EOF while parsing"),
            ("{\"metric\":\"b\",\"value\":1}", "the line is cut off"),
            ("{\"metric\":\"b\",\"val", "the line is cut off"),
        ] {
            let (_temp, path) = written(&format!("{GOOD}{GOOD}{bad}"));
            let wanted: MetricName = "a".parse().unwrap();
            let errors = [
                samples(&path).unwrap_err().to_string(),
                values(&path, |name| *name == wanted).unwrap_err().to_string(),
            ];
            for error in errors {
                let place = format!("{}:3 is damaged: ", path.display());
                assert!(error.starts_with(&place) && error.contains(why), "{bad}: {error}");
                assert!(!error.contains("at line"), "{error}");
            }
        }
    }

    #[test]
    fn text_that_is_not_utf_8_is_an_error() {
        let (_temp, path) = written("");
        std::fs::write(&path, b"{\"metric\":\"a\",\"value\":1,\"step\":\"\xff\"}\n").unwrap();
        assert!(samples(&path).unwrap_err().to_string().contains(":1 is damaged"));
        assert!(values(&path, |_| true).is_err());
    }

    #[test]
    fn only_wanted_metrics_are_kept_and_an_empty_file_has_none() {
        let mut text = String::new();
        for node in 0..150 {
            for metric in 0..50 {
                text.push_str(&format!(
                    "{{\"metric\":\"m{metric}\",\"value\":{node}.5,\"step\":\"load\",\"node\":\"n{node:03}\"}}\n"
                ));
            }
        }
        let (_temp, path) = written(&text);
        let wanted: MetricName = "m7".parse().unwrap();
        let read = values(&path, |name| *name == wanted).unwrap();
        assert_eq!(read.len(), 1);
        assert_eq!(read[&wanted].len(), 150);
        assert_eq!(Statistic::Sum.of(&read[&wanted]), Some(11_250.0));
        let (_temp, path) = written("");
        assert!(values(&path, |_| true).unwrap().is_empty());
        assert!(samples(&path).unwrap().is_empty());
    }
}
