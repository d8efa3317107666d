//! CSV for Apache Otava, which finds changes in a history: a row for each run, a column for each metric. `time_column` is
//! `time`, `attributes` are `commit` and `run`. The variant of a run is its `branch`: Otava refuses to mix branches.

use std::collections::{BTreeMap, BTreeSet};

use super::rows::Row;
use super::table::{document, shown};
use crate::measure::MetricName;
use crate::runs::values::variant_text;

/// The columns before those of the metrics.
const COLUMNS: [&str; 4] = ["time", "commit", "run", "branch"];

/// The document. A metric that a run does not have is empty there: Otava then refuses that column, and no other.
pub(super) fn text(rows: &[Row<'_>]) -> String {
    let rows: Vec<&Row<'_>> = rows.iter().filter(|row| row.is_whole()).collect();
    let metrics: BTreeSet<&MetricName> = rows.iter().flat_map(|row| row.values.keys()).collect();
    let has_branches = rows.iter().any(|row| !row.run.record.variant.is_empty());
    let columns = &COLUMNS[..if has_branches { 4 } else { 3 }];
    let mut head: Vec<String> = columns.iter().map(|&column| column.to_owned()).collect();
    head.extend(metrics.iter().map(|metric| column(metric)));
    let mut lines = vec![head];
    for row in &rows {
        let record = &row.run.record;
        let mut line = vec![
            shown(row.run.began()),
            commit(&record.assumptions),
            row.run.name().to_owned(),
        ];
        if has_branches {
            line.push(variant_text(&record.variant));
        }
        line.extend(
            metrics
                .iter()
                .map(|metric| shown(row.values.get(*metric).map(|value| value.value))),
        );
        lines.push(line);
    }
    document(&lines)
}

/// The column of a metric, which may have the name of another column.
fn column(metric: &MetricName) -> String {
    if COLUMNS.contains(&metric.as_str()) {
        format!("metric.{metric}")
    } else {
        metric.to_string()
    }
}

/// The commit of the directory of the topology.
fn commit(assumptions: &BTreeMap<String, String>) -> String {
    let mut commit = assumptions.get("git.commit").cloned().unwrap_or_default();
    if !commit.is_empty() && assumptions.get("git.dirty").is_some_and(|dirty| dirty == "true") {
        commit.push_str("-dirty");
    }
    commit
}

#[cfg(test)]
mod tests {
    use super::super::rows::rows;
    use super::*;
    use crate::runs::fixture::{Fixture, sample};
    use crate::workload::Verdict;

    #[test]
    fn a_row_is_a_run_with_its_commit_and_failed_runs_are_left_out() {
        let fixture = Fixture::new();
        let one = fixture.run(
            "20260131T120000Z",
            |record| {
                record.assumptions.insert("git.commit".into(), "abc123".into());
                record.assumptions.insert("git.dirty".into(), "true".into());
            },
            &[sample("a", 1.0), sample("a", 2.0), sample("time", 5.0)],
        );
        let two = fixture.run("20260131T130000Z", |_| {}, &[sample("a", 3.0)]);
        let failed = fixture.run(
            "20260131T140000Z",
            |record| record.verdict = Some(Verdict::WorkloadFailed),
            &[sample("a", 9.0)],
        );
        let runs = [one, two, failed];
        assert_eq!(
            text(&rows(&runs).unwrap()),
            "time,commit,run,a,metric.time\n\
             2026-01-31T12:00:00Z,abc123-dirty,20260131T120000Z,1.5,5\n\
             2026-01-31T13:00:00Z,,20260131T130000Z,3,\n"
        );
    }

    #[test]
    fn a_variant_is_a_branch() {
        let fixture = Fixture::new();
        let run = fixture.run(
            "20260131T120000Z",
            |record| {
                record.variant.insert("rev".into(), "new".into());
                record.variant.insert("nodes.worker".into(), "30".into());
            },
            &[sample("a", 1.0)],
        );
        assert_eq!(
            text(&rows(&[run]).unwrap()),
            "time,commit,run,branch,a\n\
             2026-01-31T12:00:00Z,,20260131T120000Z,nodes.worker=30 rev=new,1\n"
        );
    }
}
