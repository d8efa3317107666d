//! CSV with a row for each run and metric (RFC 4180).

use std::collections::BTreeSet;

use super::rows::Row;
use crate::workload::Verdict;

/// The document.
pub(super) fn text(rows: &[Row<'_>]) -> String {
    let variants = rows.iter().flat_map(|row| row.run.record.variant.keys());
    let variants: BTreeSet<&String> = variants.collect();
    let mut lines = Vec::new();
    let mut head: Vec<String> = ["run", "began", "cluster", "experiment"]
        .map(str::to_owned)
        .into();
    // With a prefix, because a variable may have the name of another column.
    head.extend(variants.iter().map(|key| format!("variant.{key}")));
    head.extend(["repetition", "verdict", "metric", "statistic", "unit", "value"].map(str::to_owned));
    lines.push(head);
    for row in rows {
        let record = &row.run.record;
        for (metric, value) in &row.values {
            let mut line = vec![
                row.run.name().to_owned(),
                shown(row.run.began()),
                shown(record.cluster.as_ref()),
                shown(record.experiment.as_ref()),
            ];
            line.extend(variants.iter().map(|key| shown(record.variant.get(*key))));
            line.extend([
                shown(record.repetition),
                shown(record.verdict.map(Verdict::as_str)),
                metric.to_string(),
                value.statistic.to_string(),
                shown(value.unit.as_ref()),
                value.value.to_string(),
            ]);
            lines.push(line);
        }
    }
    document(&lines)
}

/// What there is of a field; an empty one means nothing.
pub(super) fn shown(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// Rows as CSV.
pub(super) fn document(rows: &[Vec<String>]) -> String {
    let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
    for row in rows {
        // Writing to memory cannot fail.
        let _ = writer.write_record(row);
    }
    let bytes = writer.into_inner().unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::super::rows::rows;
    use super::*;
    use crate::measure::fixture::criterion;
    use crate::runs::fixture::{Fixture, sample};

    #[test]
    fn a_row_is_a_metric_of_a_run_with_its_variant_and_statistic() {
        let fixture = Fixture::new();
        let one = fixture.run(
            "20260131T120000Z",
            |record| {
                record.variant.insert("rev".into(), "a,\"b\"".into());
                record.repetition = Some(2);
                record.criteria = vec![criterion("step.join.seconds", "max < 9s")];
            },
            &[
                sample("step.join.seconds", 1.5),
                sample("step.join.seconds", 2.5),
                sample("rate", 3.0),
            ],
        );
        let two = fixture.run("20260131T130000Z", |_| {}, &[sample("rate", 4.0)]);
        let runs = [one, two];
        let text = text(&rows(&runs).unwrap());
        let expected = "run,began,cluster,experiment,variant.rev,repetition,verdict,metric,statistic,unit,value\n\
             20260131T120000Z,2026-01-31T12:00:00Z,demo,,\"a,\"\"b\"\"\",2,passed,rate,median,,3\n\
             20260131T120000Z,2026-01-31T12:00:00Z,demo,,\"a,\"\"b\"\"\",2,passed,step.join.seconds,max,s,2.5\n\
             20260131T130000Z,2026-01-31T13:00:00Z,demo,,,,passed,rate,median,,4\n";
        assert_eq!(text, expected);
    }
}
