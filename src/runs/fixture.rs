//! A store of runs for tests.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, UNIX_EPOCH};

use indexmap::IndexMap;
use uuid::Uuid;

use super::criteria::write_criteria;
use super::experiment::{Between, Experiment, ExperimentKind, ExperimentRun, Order};
use super::name::moment_of;
use super::samples::write_samples;
use super::store::Store;
use super::stored::StoredRun;
use crate::base::units::Moment;
use crate::measure::Sample;
use crate::workload::{Record, Results, Verdict};

/// A store in a directory of its own.
pub(super) struct Fixture(tempfile::TempDir);

/// A sample of no step and no node.
pub(super) fn sample(metric: &str, value: f64) -> Sample {
    Sample {
        metric: metric.parse().unwrap(),
        value,
        step: None,
        node: None,
        labels: BTreeMap::new(),
    }
}

impl Fixture {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) fn store(&self) -> Store {
        Store::at(self.0.path().to_owned())
    }

    fn begin(&self, name: &str, change: impl FnOnce(&mut Record)) -> (Results, Record) {
        let began = moment_of(name).unwrap();
        let epoch: Moment = "1970-01-01T00:00:00Z".parse().unwrap();
        let results = Results::create(self.0.path(), UNIX_EPOCH + began.since(epoch)).unwrap();
        assert_eq!(results.path(), self.0.path().join(name));
        let mut record = Record::new(Uuid::from_u128(7), Vec::new());
        record.cluster = Some("demo".parse().unwrap());
        record.began = Some(began);
        change(&mut record);
        record.begin(&results).unwrap();
        (results, record)
    }

    /// A run that was cut off.
    pub(super) fn begun(&self, name: &str) -> StoredRun {
        let (results, _) = self.begin(name, |_| {});
        StoredRun::read(results.path().to_owned()).unwrap()
    }

    /// A complete run, which passed unless `change` says otherwise.
    pub(super) fn run(&self, name: &str, change: impl FnOnce(&mut Record), samples: &[Sample]) -> StoredRun {
        let (results, mut record) = self.begin(name, change);
        write_samples(results.path(), samples).unwrap();
        write_criteria(results.path(), &[], &[]).unwrap();
        let ended = record.began.unwrap().after(Duration::from_mins(1));
        let verdict = record.verdict.unwrap_or(Verdict::Passed);
        record.finish(&results, verdict, ended).unwrap();
        results.write("demo", &[]).unwrap();
        StoredRun::read(results.path().to_owned()).unwrap()
    }

    /// A complete run of a release that writes version 1.
    pub(super) fn earlier(&self, name: &str, nodes: &[&str]) -> StoredRun {
        let path = self.0.path().join(name);
        fs::create_dir(&path).unwrap();
        let step = serde_json::json!({ "name": "load", "on": nodes, "run": "true",
            "timeout": { "secs": 1, "nanos": 0 }, "barrier": false, "fanout": null, "collect": [] });
        let record = serde_json::json!({ "version": 1, "id": "a", "cluster_id": Uuid::from_u128(7),
            "steps": [step] });
        fs::write(path.join("run.json"), record.to_string()).unwrap();
        let results = serde_json::json!({ "version": 1, "cluster": "demo", "steps": [] });
        fs::write(path.join("results.json"), results.to_string()).unwrap();
        StoredRun::read(path).unwrap()
    }

    /// An experiment that has ended, with these runs.
    pub(super) fn experiment(&self, name: &str, runs: &[&str]) -> Experiment {
        let began = moment_of(name).unwrap();
        let runs = runs.iter().zip(1..).map(|(run, repetition)| ExperimentRun {
            run: (*run).into(),
            variant: BTreeMap::new(),
            repetition,
            confirmation: false,
            verdict: Some(Verdict::Passed),
        });
        let experiment = Experiment {
            version: Experiment::VERSION,
            name: name.into(),
            kind: ExperimentKind::Test,
            cluster: "demo".parse().unwrap(),
            topology: "demo.yaml".into(),
            topology_file: None,
            began,
            ended: Some(began.after(Duration::from_hours(1))),
            order: Order::Interleaved,
            between: Between::Keep,
            varied: IndexMap::new(),
            group: None,
            to: None,
            found: Vec::new(),
            repeat: 1,
            labels: BTreeMap::new(),
            runs: runs.collect(),
            command: vec!["vcluster".into(), "test".into(), "demo.yaml".into()],
        };
        self.store().write_experiment(&experiment).unwrap();
        experiment
    }
}
