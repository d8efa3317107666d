//! What a run measured: the samples in the files of its nodes go to `samples.jsonl`, and its criteria are judged. Except
//! for the cost of the command itself, all is read from the directory of the run, so a run that is resumed does it again.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;

use super::own_cost::OwnCost;
use super::samples_file::SamplesFile;
use super::stages;
use crate::base::event::Events;
use crate::base::waiting;
use crate::extract::{Extracted, Extractor, Missing, Trouble};
use crate::measure::{Criterion, Finding, MetricName, MetricSpec, Sample, Unit};
use crate::topology::WorkloadStep;
use crate::verdict::{JudgedSamples, judge};
use crate::workload::{InterruptedRun, StepReport, measured_samples, watch_metric};

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
        let mut judged = JudgedSamples::of(&self.criteria);
        let mut file = SamplesFile::create(&self.run)?;
        let mut keep = |samples: &mut Vec<Sample>| -> io::Result<()> {
            for sample in samples.drain(..) {
                file.write(&sample)?;
                judged.add(&sample);
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
            troubles: self.reports.iter().flat_map(unwatched).collect(),
            ..Extracted::default()
        };
        for step in self.steps.iter().filter(|step| has_sources(step)) {
            self.extract(step, &mut found, &mut keep)?;
        }
        file.finish()?;
        let mut metrics = self.metrics;
        describe(&mut metrics, found.specs);
        Ok(Measured {
            findings: judge(&self.criteria, &metrics, &judged, &found.troubles, &self.steps),
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
        let reports = self.reports.iter().filter(|report| report.step == step.name);
        let results = reports.flat_map(|report| &report.nodes);
        let results: HashMap<_, _> = results.map(|result| (&result.node, result)).collect();
        for node in &step.on {
            if !directory.join(format!("{node}.out")).exists() {
                continue;
            }
            match &extractor {
                Ok(extractor) => {
                    let missing = results.get(node).copied().map(Missing::of).unwrap_or_default();
                    found.merge(extractor.extract(node, &self.run, missing));
                }
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

/// What the nodes of a step did not measure of the processes that they watch.
fn unwatched(report: &StepReport) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    for result in &report.nodes {
        let Some(measured) = result.measured.as_ref().filter(|measured| measured.left_out > 0) else {
            continue;
        };
        // It is not known of which names they are.
        let metrics = measured
            .watched
            .keys()
            .filter_map(|process| watch_metric(process));
        troubles.extend(metrics.map(|metric| Trouble {
            step: report.step.clone(),
            node: result.node.clone(),
            metric,
            source: "watch".to_owned(),
            what: format!(
                "processes beyond the 256 that a node watches at once: {}",
                measured.left_out
            ),
            count: measured.left_out,
            incomplete: true,
        }));
    }
    troubles
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
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
    fn what_did_not_arrive_from_a_node_lets_no_criterion_on_it_pass() {
        let temp = tempfile::tempdir().unwrap();
        let directory = temp.path().join("load");
        fs::create_dir(&directory).unwrap();
        for node in ["n1", "n2", "n3"] {
            fs::write(directory.join(format!("{node}.out")), "took 1 s\n").unwrap();
        }
        // Two ends of lines, of which the middle is lost.
        fs::write(directory.join("n1.out"), b"took 1\0\0\0\0 5 s\ntook 2 s\n").unwrap();
        let mut work = work(temp.path());
        let file = MetricSource::File("/tmp/*.json".into());
        let size = spec("size", Some(file), Some(Reading::Json("/a".into())));
        work.steps[0].metrics.push(size.clone());
        work.metrics.push(size);
        work.criteria = vec![
            criterion("took", "max < 2500ms"),
            criterion("size", "max < 5"),
            criterion("watch.redis.processes", "max < 500"),
        ];
        work.steps[0].watch = vec!["redis".into()];
        let place = directory.join("n1/tmp");
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join("one.json"), r#"{"a":3}"#).unwrap();
        let line = r#"{"node":"n1","outcome":"passed","took":1.5,"bytes":0,"lost":4,
            "unfetched":[{"pattern":"/tmp/*.json","why":"took longer than 10m"}],
            "measured":{"cpu_seconds":1.0,"memory_bytes":1,"left_out":3,"watched":{"redis":
            {"cpu_seconds":1.0,"rss_bytes":1,"read_bytes":0,"written_bytes":0,"processes":256}}}}"#;
        work.reports[0].nodes[0] = serde_json::from_str(line).unwrap();
        let measured = work.done().unwrap();
        let found: Vec<_> = measured
            .findings
            .iter()
            .map(|finding| (finding.judgement, finding.value, finding.note.as_deref().unwrap()))
            .collect();
        let failed = |value: f64, note| (Judgement::Failed, Some(value), note);
        let wanted = [
            failed(
                2.0,
                "samples are missing: stdout of n1: the output has lost 4 bytes",
            ),
            failed(
                3.0,
                "samples are missing: /tmp/*.json of n1: files could not be collected: took longer than 10m; \
                 no samples from n[2-3]",
            ),
            failed(
                256.0,
                "samples are missing: watch of n1: processes beyond the 256 that a node watches at once: 3; \
                 no samples from n[2-3]",
            ),
        ];
        assert_eq!(found, wanted);
        let samples = fs::read_to_string(temp.path().join("samples.jsonl")).unwrap();
        let took = samples.lines().filter(|line| line.contains(r#""took""#)).count();
        assert_eq!(took, 3, "{samples}");
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
