//! JSON lines for Extra-P, which models the growth of a metric: a line for each run and metric, whose parameter `n` is the
//! size of the cluster. Lines with the same parameter are repetitions.

use serde_json::json;

use super::rows::Row;
use crate::runs::values::{is_size, size_of, variant_text};

/// The lines. Runs of an unknown size are left out.
pub(super) fn text(rows: &[Row<'_>]) -> String {
    let mut text = String::new();
    for row in rows.iter().filter(|row| row.is_whole()) {
        let record = &row.run.record;
        let Some(size) = size_of(record) else {
            continue;
        };
        let mut variant = record.variant.clone();
        variant.retain(|key, _| !is_size(key));
        // Extra-P splits a call path at arrows.
        let callpath = match variant_text(&variant).replace("->", "_") {
            empty if empty.is_empty() => "workload".to_owned(),
            variant => variant,
        };
        for (metric, value) in &row.values {
            let line = json!({ "params": { "n": size }, "metric": metric, "callpath": callpath,
                "value": value.value });
            text.push_str(&format!("{line}\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::rows::rows;
    use super::*;
    use crate::runs::fixture::{Fixture, sample};

    #[test]
    fn a_line_has_the_size_the_metric_the_other_variants_and_the_value() {
        let fixture = Fixture::new();
        let one = fixture.run(
            "20260131T120000Z",
            |record| {
                record.variant.insert("nodes.worker".into(), "30".into());
                record.sizes.insert("worker".parse().unwrap(), 30);
                record.sizes.insert("seed".parse().unwrap(), 3);
            },
            &[sample("a", 1.5), sample("b", 7.0)],
        );
        let two = fixture.run(
            "20260131T130000Z",
            |record| {
                record.variant.insert("rev".into(), "x->y".into());
                record.sizes.insert("worker".parse().unwrap(), 10);
            },
            &[sample("a", 2.0)],
        );
        let unknown = fixture.run("20260131T140000Z", |_| {}, &[sample("a", 2.0)]);
        assert_eq!(
            text(&rows(&[one, two, unknown]).unwrap()),
            r#"{"params":{"n":30},"metric":"a","callpath":"workload","value":1.5}
{"params":{"n":30},"metric":"b","callpath":"workload","value":7.0}
{"params":{"n":10},"metric":"a","callpath":"rev=x_y","value":2.0}
"#
        );
    }
}
