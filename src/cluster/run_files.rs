//! The files of a run around its steps: what it was about, written before them, and how it ended, written after them.

use std::io;

use indexmap::IndexSet;

use super::open::Cluster;
use super::{junit, stages};
use crate::base::crash_point;
use crate::base::name::ClusterName;
use crate::base::units::Moment;
use crate::base::whole::write_whole;
use crate::extract::Trouble;
use crate::measure::{Finding, MetricSource, MetricSpec};
use crate::runs::write_criteria;
use crate::topology::{Topology, WorkloadStep};
use crate::workload::{InterruptedRun, Results, StepReport, Verdict};

/// Writes the topology and the plan as they are when a run begins, and how the cluster was raised.
pub(super) fn describe(results: &Results, topology: &Topology, cluster: &Cluster) -> io::Result<()> {
    let (run, plan) = (results.path(), &cluster.plan);
    stages::take_along(&cluster.dir, run)?;
    write_whole(&run.join("topology.yaml"), topology.text.as_bytes())?;
    let mut plan = serde_json::to_vec_pretty(plan)?;
    plan.push(b'\n');
    write_whole(&run.join("plan.json"), &plan)
}

/// The steps, which also collect the files that their metrics are in, and those first: all files of a node share a limit
/// of time and of bytes.
pub(super) fn collecting(mut steps: Vec<WorkloadStep>) -> Vec<WorkloadStep> {
    for step in &mut steps {
        let sources = step.metrics.iter().filter_map(|spec| spec.source.as_ref());
        let of_metrics = sources.filter_map(|source| match source {
            MetricSource::File(path) => Some(path),
            MetricSource::Stdout | MetricSource::Stderr => None,
        });
        let all: IndexSet<&String> = of_metrics.chain(&step.collect).collect();
        step.collect = all.into_iter().cloned().collect();
    }
    steps
}

/// All metrics that a topology describes: those of its steps, in whose units their samples are, then the properties of
/// metrics that come from elsewhere.
pub(super) fn metrics(topology: &Topology) -> Vec<MetricSpec> {
    let of_steps = topology.workload.iter().flat_map(|step| &step.metrics);
    of_steps.chain(&topology.metrics).cloned().collect()
}

/// Whether any step of a run has been begun.
pub(super) fn has_begun(run: &InterruptedRun) -> bool {
    let mut steps = run.record.steps.iter();
    steps.any(|step| run.results.path().join(&step.name).is_dir())
}

/// Writes how a run ended; its last file closes it.
pub(super) fn close(
    cluster: &ClusterName,
    run: &mut InterruptedRun,
    reports: &[StepReport],
    verdict: Verdict,
    findings: &[Finding],
    troubles: &[Trouble],
) -> io::Result<()> {
    let InterruptedRun { results, record, .. } = run;
    crash_point::point!("run closed before");
    write_criteria(results.path(), findings, troubles)?;
    let junit = junit::document(cluster, record, results, reports, findings);
    let junit = junit.map_err(io::Error::other)?;
    write_whole(&results.path().join("junit.xml"), junit.as_bytes())?;
    record.finish(results, verdict, Moment::now())?;
    results.write(cluster.as_str(), reports)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::measure::Reading;

    #[test]
    fn a_step_collects_each_file_of_its_metrics_once_and_before_all_others() {
        let spec = |name: &str, source: MetricSource| MetricSpec {
            name: name.parse().unwrap(),
            source: Some(source),
            reading: Some(Reading::OpenMetrics),
            scale: 1.0,
            unit: None,
            better: None,
            min_change: None,
            floor: None,
        };
        let file = |path: &str| MetricSource::File(path.into());
        let step = WorkloadStep {
            name: "load".into(),
            on: Vec::new(),
            run: "true".into(),
            timeout: Duration::from_secs(1),
            barrier: false,
            fanout: None,
            collect: vec!["/tmp/large".into(), "/tmp/b".into()],
            metrics: vec![
                spec("a", file("/tmp/a")),
                spec("b", file("/tmp/b")),
                spec("c", file("/tmp/a")),
                spec("d", MetricSource::Stdout),
            ],
            watch: Vec::new(),
            at: None,
        };
        assert_eq!(
            collecting(vec![step])[0].collect,
            ["/tmp/a", "/tmp/b", "/tmp/large"]
        );
    }
}
