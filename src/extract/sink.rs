//! Takes the values of one metric of the topology on one node, within the limits.

use std::collections::{BTreeMap, HashMap};

use super::extracted::Extracted;
use super::limits;
use super::number;
use super::problems::{Problem, Problems};
use crate::base::name::NodeName;
use crate::measure::{MetricName, MetricSpec, Sample, Unit, convert};

/// A value of a source that gives many metrics.
pub(super) struct Series<'a> {
    /// The name in the source.
    pub(super) name: &'a str,
    /// The value as written.
    pub(super) value: &'a [u8],
    /// Its labels.
    pub(super) labels: BTreeMap<String, String>,
    /// Its unit, if declared.
    pub(super) unit: Option<Unit>,
}

/// The samples of a metric so far.
#[derive(Debug)]
pub(super) struct Sink {
    step: String,
    node: NodeName,
    spec: MetricSpec,
    /// The file that is read, if there are several.
    file: Option<String>,
    samples: Vec<Sample>,
    /// Samples kept, also those taken away since.
    kept: usize,
    label_bytes: usize,
    /// The metrics of the series, by the names in the source.
    names: HashMap<String, MetricName>,
    units: BTreeMap<MetricName, Unit>,
    problems: Problems,
}

impl Sink {
    pub(super) fn new(step: &str, node: &NodeName, spec: &MetricSpec) -> Self {
        Self {
            step: step.to_owned(),
            node: node.clone(),
            spec: spec.clone(),
            file: None,
            samples: Vec::new(),
            kept: 0,
            label_bytes: 0,
            names: HashMap::new(),
            units: BTreeMap::new(),
            problems: Problems::default(),
        }
    }

    /// Names the file from which the next values come, if there are several.
    pub(super) fn set_file(&mut self, file: Option<String>) {
        self.file = file;
    }

    /// Counts a problem.
    pub(super) fn problem(&mut self, problem: Problem, example: impl FnOnce() -> String) {
        self.problems.add(problem, example);
    }

    /// Counts a problem of a line.
    pub(super) fn problem_at(&mut self, problem: Problem, line: u64, why: &str) {
        let file = self.file.as_deref();
        self.problems.add(problem, || match file {
            Some(file) => format!("line {line} of {file}: {why}"),
            None => format!("line {line}: {why}"),
        });
    }

    /// Counts a problem of a file as a whole.
    pub(super) fn problem_of_file(&mut self, problem: Problem, why: &str) {
        let file = self.file.as_deref();
        self.problems.add(problem, || match file {
            Some(file) => format!("{why} in {file}"),
            None => why.to_owned(),
        });
    }

    /// Takes a value of the metric itself.
    pub(super) fn number(&mut self, text: &[u8]) {
        if let Some(value) = self.scaled(text) {
            let name = self.spec.name.clone();
            self.keep(name, value, BTreeMap::new());
        }
    }

    /// Takes a value of one of many metrics.
    pub(super) fn series(&mut self, series: Series<'_>) {
        let Some(name) = self.name(series.name) else {
            return;
        };
        let Some(value) = self.scaled(series.value) else {
            return;
        };
        let Some(value) = self.converted(&name, value, series.unit) else {
            return;
        };
        let fits = series.labels.len() <= limits::LABELS
            && series
                .labels
                .iter()
                .all(|(name, value)| name.len() <= limits::LABEL_NAME && value.len() <= limits::LABEL_VALUE);
        if fits {
            self.keep(name, value, series.labels);
        } else {
            self.problem(Problem::Labels, String::new);
        }
    }

    /// Counts a name that no metric can have.
    pub(super) fn bad_name(&mut self, name: &str) {
        self.problem(Problem::BadName, || number::shown(name.as_bytes()));
    }

    /// The samples since the last call.
    pub(super) fn take(&mut self) -> Vec<Sample> {
        std::mem::take(&mut self.samples)
    }

    /// All that was taken. `source` is the source, for people.
    pub(super) fn finish(self, source: &str) -> Extracted {
        let mut specs = self.units;
        if let Some(unit) = &self.spec.unit {
            specs.extend(self.names.into_values().map(|name| (name, unit.clone())));
        }
        Extracted {
            samples: self.samples,
            troubles: self
                .problems
                .troubles(&self.step, &self.node, &self.spec.name, source),
            specs,
        }
    }

    /// The metric of a series: its name after that of the topology.
    fn name(&mut self, series: &str) -> Option<MetricName> {
        if let Some(known) = self.names.get(series) {
            return Some(known.clone());
        }
        let begins = series.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':');
        let name = format!("{}.{series}", self.spec.name).parse::<MetricName>();
        let Some(name) = name.ok().filter(|_| begins) else {
            self.bad_name(series);
            return None;
        };
        if self.names.len() >= limits::NAMES {
            self.problem(Problem::Names, String::new);
            return None;
        }
        self.names.insert(series.to_owned(), name.clone());
        Some(name)
    }

    fn scaled(&mut self, text: &[u8]) -> Option<f64> {
        let value = number::finite(text).map(|value| value * self.spec.scale);
        let value = value.filter(|value| value.is_finite());
        if value.is_none() {
            self.problem(Problem::NotFinite, || number::shown(text));
        }
        value
    }

    /// A value in the unit of its metric: that of the topology, else the first that is declared. With a scale, the
    /// declared units no longer hold.
    fn converted(&mut self, name: &MetricName, value: f64, unit: Option<Unit>) -> Option<f64> {
        let is_scaled = (self.spec.scale - 1.0).abs() > 0.0;
        let Some(unit) = unit.filter(|_| !is_scaled) else {
            return Some(value);
        };
        let Some(wanted) = self.spec.unit.as_ref().or_else(|| self.units.get(name)) else {
            self.units.insert(name.clone(), unit);
            return Some(value);
        };
        let converted = convert(value, Some(&unit), Some(wanted)).ok();
        let converted = converted.filter(|value| value.is_finite());
        if converted.is_none() {
            let unit = number::shown(unit.as_str().as_bytes());
            self.problems
                .add(Problem::Unit, || format!("{unit}, and {name} is in {wanted}"));
        }
        converted
    }

    fn keep(&mut self, metric: MetricName, value: f64, labels: BTreeMap<String, String>) {
        let bytes: usize = labels.iter().map(|(name, value)| name.len() + value.len()).sum();
        if self.kept >= limits::SAMPLES {
            self.problem(Problem::Samples, String::new);
        } else if self.label_bytes + bytes > limits::LABEL_BYTES {
            self.problem(Problem::LabelBytes, String::new);
        } else {
            self.kept += 1;
            self.label_bytes += bytes;
            self.samples.push(Sample {
                metric,
                value,
                step: Some(self.step.clone()),
                node: Some(self.node.clone()),
                labels,
            });
        }
    }
}
