//! A large store of runs, written with the program's own writers: two variants with 20 runs each, of 150 nodes with 50
//! metrics. `cargo bench --bench store -- DIR` leaves it in DIR and prints the names of its experiment and of its last
//! run, for `scripts/bench store`. Without DIR it is written to a temporary directory and read again.

#![expect(clippy::unwrap_used, reason = "a measurement stops at the first error")]
#![expect(clippy::print_stdout, reason = "printing the figures is its purpose")]

mod events;
#[path = "../shared/mod.rs"]
mod shared;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, UNIX_EPOCH};

use fastrand::Rng;
use indexmap::IndexMap;
use vcluster::base::name::NodeName;
use vcluster::base::units::Moment;
use vcluster::measure::{Finding, MetricName, Sample};
use vcluster::plan::Plan;
use vcluster::runs::{
    Between, Experiment, ExperimentKind, ExperimentRun, Order, Store, write_criteria, write_samples,
};
use vcluster::topology::Topology;
use vcluster::verdict::{JudgedSamples, judge};
use vcluster::workload::{
    Link, Measured, NodeResult, Outcome, Record, Results, StepReport, Verdict, Watched, measured_samples,
};

const HOSTS: u32 = 15;
/// Runs of each variant.
const REPEAT: u32 = 20;
/// Metrics that the workload prints. With the 13 that vcluster measures itself these are 50.
const PRINTED: usize = 37;
/// How many of them have a criterion.
const JUDGED: usize = 6;
/// By how much the first of them is worse in the new revision.
const WORSE: f64 = 1.1;
const STEP: &str = "load";

const TOPOLOGY: &str = r#"
name: store
hosts: { "bm[0000-0014]": { max_nodes: 10 } }
network: { subnet: 10.77.0.0/16 }
defaults: { image: micro, memory: 112MiB }
groups: { node: { count: 150, place: spread } }
vars: { rev: old }
workload:
  - name: load
    run: "./load {{vars.rev}}"
    watch: [app]
    metrics:
"#;

fn main() {
    let arguments = std::env::args().skip(1);
    let words: Vec<String> = arguments.filter(|word| word != "--bench").collect();
    match &words[..] {
        [] => {
            let temp = tempfile::tempdir().unwrap();
            let began = Instant::now();
            let experiment = Writer::new(temp.path()).experiment();
            let written = began.elapsed().as_secs_f64();
            let began = Instant::now();
            let runs = Store::at(temp.path().to_owned()).runs_of(&experiment).unwrap();
            let samples: usize = runs.iter().map(|run| run.samples().unwrap().len()).sum();
            let read = began.elapsed().as_secs_f64();
            println!(
                "{} runs with {samples} samples: written in {written:.2} s, read in {read:.2} s",
                runs.len()
            );
        }
        [directory] => {
            let experiment = Writer::new(Path::new(directory)).experiment();
            println!("{}\n{}", experiment.name, experiment.runs.last().unwrap().run);
        }
        _ => panic!("usage: cargo bench --bench store [-- DIR]"),
    }
}

/// The metrics that the workload prints.
fn names() -> impl Iterator<Item = String> {
    (1..=PRINTED).map(|number| format!("m{number:02}"))
}

/// Read as a user's, so that steps, metrics and criteria are what the program makes of one.
fn topology() -> Topology {
    let metrics: String = names()
        .map(|name| format!("      {name}: {{ regex: '{name} ([0-9.]+)', unit: ms, better: lower }}\n"))
        .collect();
    let criteria: String = names()
        .take(JUDGED)
        .map(|name| format!("  {name}: [\"median < 10s\"]\n"))
        .collect();
    let text = format!(
        "{}{metrics}criteria:\n{criteria}  watch.app.cpu_seconds: [\"sum < 10h\"]\n",
        TOPOLOGY.trim_start()
    );
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("store.yaml");
    fs::write(&path, text).unwrap();
    Topology::load(path.to_str().unwrap()).unwrap()
}

/// About this value.
fn noisy(value: f64, rng: &mut Rng) -> f64 {
    value * (1.0 + 0.02 * (rng.f64() + rng.f64() - 1.0))
}

struct Writer {
    results: PathBuf,
    topology: Topology,
    plan: Plan,
    printed: Vec<MetricName>,
    rng: Rng,
}

impl Writer {
    fn new(results: &Path) -> Self {
        let topology = topology();
        Self {
            results: results.to_owned(),
            plan: shared::planned(&topology, (0..HOSTS).map(shared::observed).collect()),
            topology,
            printed: names().map(|name| name.parse().unwrap()).collect(),
            rng: Rng::with_seed(12),
        }
    }

    /// Writes all runs and their experiment.
    fn experiment(&mut self) -> Experiment {
        let store = Store::at(self.results.clone());
        let began: Moment = "2026-01-31T12:00:00Z".parse().unwrap();
        let mut experiment = Experiment {
            version: Experiment::VERSION,
            name: store.new_experiment_name(ExperimentKind::Test, began).unwrap(),
            kind: ExperimentKind::Test,
            cluster: self.topology.name.clone(),
            topology: "store.yaml".to_owned(),
            topology_file: None,
            began,
            ended: None,
            order: Order::Interleaved,
            between: Between::Keep,
            varied: IndexMap::from([("rev".to_owned(), vec!["old".to_owned(), "new".to_owned()])]),
            group: None,
            to: None,
            found: Vec::new(),
            repeat: REPEAT,
            labels: BTreeMap::new(),
            runs: Vec::new(),
            command: ["vcluster", "test", "store.yaml", "--vary", "rev=old,new"]
                .map(str::to_owned)
                .into(),
        };
        for number in 0..2 * REPEAT {
            // As `vcluster test` interleaves two variants: ABBA.
            let rev = if number.div_ceil(2).is_multiple_of(2) {
                "old"
            } else {
                "new"
            };
            let began = began.after(Duration::from_mins(1) * (2 * number));
            let run = self.run(&experiment.name, began, rev, number / 2 + 1);
            experiment.runs.push(run);
            experiment.ended = Some(began.after(Duration::from_mins(1)));
        }
        store.write_experiment(&experiment).unwrap();
        experiment
    }

    fn run(&mut self, experiment: &str, began: Moment, rev: &str, repetition: u32) -> ExperimentRun {
        let epoch: Moment = "1970-01-01T00:00:00Z".parse().unwrap();
        let results = Results::create(&self.results, UNIX_EPOCH + began.since(epoch)).unwrap();
        let path = results.path();
        fs::write(path.join("topology.yaml"), &self.topology.text).unwrap();
        fs::write(
            path.join("plan.json"),
            serde_json::to_vec_pretty(&self.plan).unwrap(),
        )
        .unwrap();
        let mut record = Record::new(self.plan.cluster_id, self.topology.workload.clone());
        record.cluster = Some(self.topology.name.clone());
        record.began = Some(began);
        record.experiment = Some(experiment.to_owned());
        record.variant = BTreeMap::from([("rev".to_owned(), rev.to_owned())]);
        record.repetition = Some(repetition);
        record.sizes = self.topology.sizes();
        record.assumptions = self.assumptions(rev);
        let of_steps = self.topology.workload.iter().flat_map(|step| &step.metrics);
        record.metrics = of_steps.chain(&self.topology.metrics).cloned().collect();
        record.criteria.clone_from(&self.topology.criteria);
        let _running = record.begin(&results).unwrap();

        let report = StepReport {
            step: STEP.to_owned(),
            nodes: self.results_of_nodes(),
        };
        let mut samples = measured_samples(&report);
        let worse = if rev == "new" { WORSE } else { 1.0 };
        samples.extend(self.outputs(&results, worse));
        write_samples(path, &samples).unwrap();
        events::write(&path.join("up.jsonl"), events::raised(&self.plan));
        events::write(&path.join("events.jsonl"), events::ended(&report));
        let judged = JudgedSamples::of(&record.criteria).with(&samples);
        let findings = judge(&record.criteria, &record.metrics, &judged, &[], &record.steps);
        write_criteria(path, &findings, &[]).unwrap();
        let verdict = if findings.iter().any(Finding::fails) {
            Verdict::CriteriaFailed
        } else {
            Verdict::Passed
        };
        record
            .finish(&results, verdict, began.after(Duration::from_mins(1)))
            .unwrap();
        results.write(self.topology.name.as_str(), &[report]).unwrap();
        ExperimentRun {
            run: path.file_name().unwrap().to_str().unwrap().to_owned(),
            variant: record.variant,
            repetition,
            confirmation: false,
            verdict: Some(verdict),
        }
    }

    /// As many as a run on these hosts has.
    fn assumptions(&self, rev: &str) -> BTreeMap<String, String> {
        let mut found = BTreeMap::from([
            ("topology".to_owned(), "0".repeat(64)),
            ("placement".to_owned(), "1".repeat(64)),
            ("vars.rev".to_owned(), rev.to_owned()),
        ]);
        for host in &self.plan.hosts {
            for (key, value) in [
                ("accel", "kvm"),
                ("cpu", "AMD EPYC 7302P 16-Core Processor"),
                ("kernel", "6.1.0-39-amd64"),
                ("ksm", "off"),
                ("libvirt", "9.0.0"),
                ("microcode", "0x830107c"),
                ("overcommit", "0.625"),
                ("qemu", "7.2.0"),
            ] {
                found.insert(format!("host.{}.{key}", host.name), value.to_owned());
            }
        }
        found
    }

    fn results_of_nodes(&mut self) -> Vec<NodeResult> {
        let rng = &mut self.rng;
        let nodes = self.plan.nodes.iter();
        nodes
            .map(|node| NodeResult {
                node: node.name.clone(),
                outcome: Outcome::Passed,
                took: Duration::from_secs_f64(noisy(30.0, rng)),
                bytes: 11 * PRINTED as u64,
                lost: 0,
                cut: 0,
                measured: Some(measured(rng)),
                uncollected: Vec::new(),
                unfetched: Vec::new(),
                notes: Vec::new(),
                unconfirmed: false,
            })
            .collect()
    }

    /// Writes what every node printed, and returns the samples in it.
    fn outputs(&mut self, results: &Results, worse: f64) -> Vec<Sample> {
        let directory = results.step(STEP).unwrap();
        let mut samples = Vec::new();
        for node in &self.plan.nodes {
            let mut text = String::new();
            for (place, metric) in self.printed.iter().enumerate() {
                let factor = if place == 0 { worse } else { 1.0 };
                let value = noisy(10.0 * (place + 1) as f64 * factor, &mut self.rng);
                text.push_str(&format!("{metric} {value}\n"));
                samples.push(sample(metric, value, &node.name));
            }
            fs::write(directory.join(format!("{}.out", node.name)), text).unwrap();
            fs::write(directory.join(format!("{}.err", node.name)), "").unwrap();
        }
        samples
    }
}

fn sample(metric: &MetricName, value: f64, node: &NodeName) -> Sample {
    Sample {
        metric: metric.clone(),
        value,
        step: Some(STEP.to_owned()),
        node: Some(node.clone()),
        labels: BTreeMap::new(),
    }
}

fn measured(rng: &mut Rng) -> Measured {
    let link = Link {
        received_bytes: noisy(2e6, rng) as u64,
        received_packets: noisy(2e3, rng) as u64,
        sent_bytes: noisy(1e6, rng) as u64,
        sent_packets: noisy(1e3, rng) as u64,
    };
    let app = Watched {
        cpu_seconds: noisy(3.0, rng),
        rss_bytes: noisy(3e7, rng) as u64,
        read_bytes: noisy(1e6, rng) as u64,
        written_bytes: noisy(4e6, rng) as u64,
        processes: 1,
    };
    Measured {
        cpu_seconds: noisy(4.0, rng),
        memory_bytes: noisy(5e7, rng) as u64,
        links: BTreeMap::from([("eth0".to_owned(), link)]),
        watched: BTreeMap::from([("app".to_owned(), app)]),
        left_out: 0,
    }
}
