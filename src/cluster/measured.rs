//! What a run measured: the samples in the files of its nodes go to `samples.jsonl`, and its criteria are judged. Except
//! for the cost of the command itself, all is read from the directory of the run, so a run that is resumed does it again.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::own_cost::OwnCost;
use super::stages;
use crate::base::crash_point;
use crate::base::event::Events;
use crate::base::waiting;
use crate::base::whole::sync_parent;
use crate::extract::{Extracted, Extractor, Trouble};
use crate::measure::{Criterion, Finding, MetricName, MetricSpec, Sample, Unit};
use crate::topology::WorkloadStep;
use crate::verdict::judge;
use crate::workload::{InterruptedRun, StepReport, measured_samples};

/// The most metrics that are described because a file declares their unit.
const DECLARED: usize = 10_000;

/// What a run measured.
#[derive(Debug, Default)]
pub(super) struct Measured {
    /// What became of its criteria.
    pub(super) findings: Vec<Finding>,
    /// What was wrong with its metrics.
    pub(super) troubles: Vec<Trouble>,
    /// Its metrics, with the units that were found.
    pub(super) metrics: Vec<MetricSpec>,
}

/// Reads what the steps of a run have left so far, and judges its criteria. `own`: what the run cost vcluster itself, if
/// one command did all of it.
pub(super) async fn measure(
    run: &InterruptedRun,
    reports: &[StepReport],
    own: Option<OwnCost>,
    events: &Events,
) -> io::Result<Measured> {
    let path = run.results.path().to_owned();
    let begun = |name: &str| path.join(name).is_dir();
    let steps = run.record.steps.iter().filter(|step| begun(&step.name));
    let reports = reports.iter().filter(|report| begun(&report.step));
    let work = Work {
        steps: steps.cloned().collect(),
        reports: reports.cloned().collect(),
        metrics: run.record.metrics.clone(),
        criteria: run.record.criteria.clone(),
        own: own.map(|own| own.samples()).unwrap_or_default(),
        run: path,
    };
    let what = || Some("reading the metrics of the run".to_owned());
    let reading = tokio::task::spawn_blocking(move || work.done());
    waiting::shown(events, what, reading)
        .await
        .map_err(io::Error::other)?
}

/// The steps that were begun, and what is known of them.
struct Work {
    run: PathBuf,
    steps: Vec<WorkloadStep>,
    reports: Vec<StepReport>,
    metrics: Vec<MetricSpec>,
    criteria: Vec<Criterion>,
    own: Vec<Sample>,
}

impl Work {
    fn done(mut self) -> io::Result<Measured> {
        let judged: HashSet<&MetricName> = self.criteria.iter().map(|criterion| &criterion.metric).collect();
        let mut file = SamplesFile::create(&self.run)?;
        let mut kept = Vec::new();
        let mut keep = |samples: &mut Vec<Sample>| -> io::Result<()> {
            for sample in samples.drain(..) {
                file.write(&sample)?;
                if judged.contains(&sample.metric) {
                    // Nothing is judged by its labels.
                    kept.push(Sample {
                        labels: BTreeMap::new(),
                        ..sample
                    });
                }
            }
            Ok(())
        };
        keep(&mut stages::samples(&self.run)?)?;
        keep(&mut self.own)?;
        for report in &self.reports {
            keep(&mut measured_samples(report))?;
        }
        // Samples in another unit are converted to the one that the topology says.
        let mut found = Extracted {
            specs: declared(&self.metrics),
            ..Extracted::default()
        };
        for step in self.steps.iter().filter(|step| has_sources(step)) {
            self.extract(step, &mut found, &mut keep)?;
        }
        file.finish()?;
        let mut metrics = self.metrics;
        describe(&mut metrics, found.specs);
        Ok(Measured {
            findings: judge(&self.criteria, &metrics, &kept, &found.troubles, &self.steps),
            troubles: found.troubles,
            metrics,
        })
    }

    /// Reads the sources of a step on all nodes that began it.
    fn extract(
        &self,
        step: &WorkloadStep,
        found: &mut Extracted,
        mut keep: impl FnMut(&mut Vec<Sample>) -> io::Result<()>,
    ) -> io::Result<()> {
        let directory = self.run.join(&step.name);
        let extractor = Extractor::new(step);
        for node in &step.on {
            if !directory.join(format!("{node}.out")).exists() {
                continue;
            }
            match &extractor {
                Ok(extractor) => found.merge(extractor.extract(node, &self.run)),
                Err(why) => found.troubles.extend(step.metrics.iter().map(|spec| Trouble {
                    step: step.name.clone(),
                    node: node.clone(),
                    metric: spec.name.clone(),
                    source: "the metrics of the step".to_owned(),
                    what: why.clone(),
                    count: 1,
                    incomplete: true,
                })),
            }
            keep(&mut found.samples)?;
        }
        Ok(())
    }
}

fn has_sources(step: &WorkloadStep) -> bool {
    step.metrics.iter().any(|spec| spec.source.is_some())
}

/// The units of the metrics that are described by their whole name.
fn declared(metrics: &[MetricSpec]) -> BTreeMap<MetricName, Unit> {
    let with_unit = metrics.iter().filter_map(|spec| Some((spec, spec.unit.clone()?)));
    with_unit.map(|(spec, unit)| (spec.name.clone(), unit)).collect()
}

/// Adds the units that files declare to the descriptions of the metrics.
fn describe(metrics: &mut Vec<MetricSpec>, units: BTreeMap<MetricName, Unit>) {
    for (name, unit) in units.into_iter().take(DECLARED) {
        if let Some(spec) = metrics.iter_mut().find(|spec| spec.name == name) {
            spec.unit.get_or_insert(unit);
            continue;
        }
        metrics.push(MetricSpec {
            name,
            source: None,
            reading: None,
            scale: 1.0,
            unit: Some(unit),
            better: None,
            min_change: None,
            floor: None,
        });
    }
}

/// `samples.jsonl`, under a temporary name until it is whole: there may be too many samples for the memory.
struct SamplesFile {
    temporary: PathBuf,
    path: PathBuf,
    file: BufWriter<File>,
}

impl SamplesFile {
    fn create(run: &Path) -> io::Result<Self> {
        let path = run.join("samples.jsonl");
        let temporary = run.join("samples.jsonl.new");
        crash_point::point!("samples written before");
        // What a killed command left may be anything.
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = File::options();
        let file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        Ok(Self {
            temporary,
            path,
            file: BufWriter::new(file),
        })
    }

    fn write(&mut self, sample: &Sample) -> io::Result<()> {
        serde_json::to_writer(&mut self.file, sample)?;
        self.file.write_all(b"\n")
    }

    fn finish(self) -> io::Result<()> {
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        crash_point::point!("samples written rename");
        fs::rename(&self.temporary, &self.path)?;
        sync_parent(&self.path)?;
        crash_point::point!("samples written after");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::measure::fixture::criterion;
    use crate::measure::{Better, Judgement, MetricSource, Reading};
    use crate::workload::NodeResult;

    fn spec(name: &str, source: Option<MetricSource>, reading: Option<Reading>) -> MetricSpec {
        MetricSpec {
            name: name.parse().unwrap(),
            source,
            reading,
            scale: 1.0,
            unit: None,
            better: Some(Better::Lower),
            min_change: None,
            floor: None,
        }
    }

    fn work(run: &Path) -> Work {
        let regex = Reading::Regex("took ([0-9.]+)".into());
        let mut took = spec("took", Some(MetricSource::Stdout), Some(regex));
        took.unit = Some(Unit::seconds());
        let events = spec("ev", Some(MetricSource::Stderr), Some(Reading::JsonLines));
        let step = WorkloadStep {
            name: "load".into(),
            on: ["n1", "n2", "n3"].map(|node| node.parse().unwrap()).into(),
            run: "true".into(),
            timeout: Duration::from_secs(1),
            barrier: false,
            fanout: None,
            collect: Vec::new(),
            metrics: vec![took.clone(), events.clone()],
            watch: Vec::new(),
            at: None,
        };
        let line = |node: &str| format!(r#"{{"node":"{node}","outcome":"passed","took":1.5,"bytes":0}}"#);
        let nodes = ["n1", "n2"].iter();
        let nodes: Vec<NodeResult> = nodes
            .map(|node| serde_json::from_str(&line(node)).unwrap())
            .collect();
        Work {
            run: run.to_owned(),
            steps: vec![step],
            reports: vec![StepReport {
                step: "load".into(),
                nodes,
            }],
            metrics: vec![took, events],
            criteria: vec![
                criterion("took", "max < 2500ms"),
                criterion("ev.wait", "sum == 1.5s"),
                criterion("step.load.seconds", "count == 2"),
                criterion("took", "growth <= n"),
                criterion("vcluster.run.seconds", "max < 1m"),
            ],
            own: vec![Sample {
                metric: "vcluster.run.seconds".parse().unwrap(),
                value: 7.5,
                step: None,
                node: None,
                labels: BTreeMap::new(),
            }],
        }
    }

    #[test]
    fn samples_of_all_sources_are_stored_and_judged_and_a_second_time_gives_the_same() {
        let temp = tempfile::tempdir().unwrap();
        let directory = temp.path().join("load");
        fs::create_dir(&directory).unwrap();
        for (node, seconds, unit, wait) in [("n1", 2, "s", 1), ("n2", 3, "ms", 500)] {
            fs::write(
                directory.join(format!("{node}.out")),
                format!("took {seconds} s\n"),
            )
            .unwrap();
            let line = format!(r#"{{"metric":"wait","value":{wait},"unit":"{unit}"}}"#);
            fs::write(directory.join(format!("{node}.err")), format!("{line}\n")).unwrap();
        }
        // What a killed command left.
        fs::write(temp.path().join("samples.jsonl.new"), "half").unwrap();
        let mut texts = Vec::new();
        for _ in 0..2 {
            let measured = work(temp.path()).done().unwrap();
            let found: Vec<_> = measured
                .findings
                .iter()
                .map(|finding| (finding.judgement, finding.value, finding.bound))
                .collect();
            let wanted = [
                (Judgement::Failed, Some(3.0), Some(2.5)),
                (Judgement::Passed, Some(1.5), Some(1.5)),
                (Judgement::Passed, Some(2.0), Some(2.0)),
                (Judgement::NotApplicable, None, None),
                (Judgement::Passed, Some(7.5), Some(60.0)),
            ];
            assert_eq!(found, wanted, "{:?}", measured.findings);
            assert_eq!(measured.findings[0].nodes, ["n2".parse().unwrap()]);
            let note = measured.findings[0].note.as_deref();
            assert_eq!(note, Some("no samples from n3"));
            let unit = measured
                .metrics
                .iter()
                .find(|spec| spec.name.as_str() == "ev.wait");
            assert_eq!(unit.unwrap().unit, Some(Unit::seconds()));
            texts.push(fs::read_to_string(temp.path().join("samples.jsonl")).unwrap());
        }
        assert_eq!(texts[0], texts[1]);
        let samples: Vec<Sample> = texts[0]
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let values = |metric: &str| -> Vec<f64> {
            let wanted = samples.iter().filter(|sample| sample.metric.as_str() == metric);
            wanted.map(|sample| sample.value).collect()
        };
        assert_eq!(values("took"), [2.0, 3.0]);
        assert_eq!(values("ev.wait"), [1.0, 0.5]);
        assert_eq!(values("step.load.seconds"), [1.5, 1.5]);
        assert_eq!(values("vcluster.run.seconds"), [7.5]);
        assert!(!temp.path().join("samples.jsonl.new").exists());
    }

    #[test]
    fn a_step_whose_metrics_cannot_be_read_lets_no_criterion_on_them_pass() {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir(temp.path().join("load")).unwrap();
        fs::write(temp.path().join("load/n1.out"), "took 1 s\n").unwrap();
        let mut work = work(temp.path());
        work.steps[0].metrics[0].reading = Some(Reading::Regex("(".into()));
        let measured = work.done().unwrap();
        assert_eq!(measured.findings[0].judgement, Judgement::NoSamples);
        let trouble = &measured.troubles[0];
        assert_eq!((trouble.metric.as_str(), trouble.node.as_str()), ("took", "n1"));
    }
}
