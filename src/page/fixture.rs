//! Stored runs for tests of whole pages.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use uuid::Uuid;

use super::data::Material;
use super::model::Kind;
use crate::measure::fixture::{criterion, finding};
use crate::measure::{Finding, Judgement, Sample};
use crate::runs::{Store, StoredRun, write_criteria, write_samples};
use crate::workload::{Record, Results, StepReport, Verdict};

/// A store in a directory of its own.
pub(super) struct Fixture(tempfile::TempDir);

/// What a run measured and how it ended.
#[derive(Default)]
pub(super) struct Measured {
    pub(super) samples: Vec<Sample>,
    pub(super) findings: Vec<Finding>,
    pub(super) reports: Vec<StepReport>,
}

/// A sample of a node in the step `join`.
pub(super) fn sample(metric: &str, node: usize, value: f64) -> Sample {
    Sample {
        metric: metric.parse().unwrap(),
        value,
        step: Some("join".into()),
        node: Some(format!("n{node:03}").parse().unwrap()),
        labels: BTreeMap::new(),
    }
}

/// A criterion that does not hold on `n001`.
pub(super) fn failed(metric: &str, text: &str) -> Finding {
    Finding {
        criterion: criterion(metric, text),
        samples: 150,
        nodes: vec!["n001".parse().unwrap()],
        ..finding(text, Judgement::Failed)
    }
}

/// A report on a single run.
pub(super) fn of_run(run: StoredRun) -> Material {
    Material {
        kind: Kind::Run,
        name: run.name().to_owned(),
        runs: vec![(String::new(), run)],
        experiment: None,
        comparisons: Vec::new(),
        growth: Vec::new(),
        notes: Vec::new(),
        commands: vec!["vcluster run demo".into()],
    }
}

impl Fixture {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A run that was cut off.
    pub(super) fn begun(&self, change: impl FnOnce(&mut Record)) -> StoredRun {
        let (results, _) = self.begin(change);
        self.stored(&results)
    }

    /// A complete run with this verdict.
    pub(super) fn run(
        &self,
        verdict: Verdict,
        measured: &Measured,
        change: impl FnOnce(&mut Record),
    ) -> StoredRun {
        let (results, mut record) = self.begin(change);
        write_samples(results.path(), &measured.samples).unwrap();
        write_criteria(results.path(), &measured.findings, &[]).unwrap();
        let ended = record.began.unwrap().after(Duration::from_secs(90));
        record.finish(&results, verdict, ended).unwrap();
        results.write("demo", &measured.reports).unwrap();
        self.stored(&results)
    }

    fn begin(&self, change: impl FnOnce(&mut Record)) -> (Results, Record) {
        let results = Results::create(self.0.path(), UNIX_EPOCH).unwrap();
        let mut record = Record::new(Uuid::from_u128(7), Vec::new());
        record.cluster = Some("demo".parse().unwrap());
        record.began = Some("2026-01-31T12:00:00Z".parse().unwrap());
        record.sizes.insert("worker".parse().unwrap(), 150);
        change(&mut record);
        record.begin(&results).unwrap();
        (results, record)
    }

    fn stored(&self, results: &Results) -> StoredRun {
        let name = results.path().file_name().unwrap().to_str().unwrap();
        Store::at(self.0.path().to_owned()).run(name).unwrap()
    }
}
