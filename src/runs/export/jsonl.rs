//! JSON lines: every sample, with its run.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::measure::Sample;
use crate::runs::error::StoreError;
use crate::runs::stored::StoredRun;

#[derive(Serialize)]
struct Line<'a> {
    run: &'a str,
    experiment: Option<&'a str>,
    variant: &'a BTreeMap<String, String>,
    repetition: Option<u32>,
    #[serde(flatten)]
    sample: &'a Sample,
}

/// The samples, a piece for each run.
pub(super) fn lines(runs: &[StoredRun], each: &mut dyn FnMut(&str) -> bool) -> Result<(), StoreError> {
    for run in runs {
        let mut text = String::new();
        for sample in &run.samples()? {
            let line = Line {
                run: run.name(),
                experiment: run.record.experiment.as_deref(),
                variant: &run.record.variant,
                repetition: run.record.repetition,
                sample,
            };
            // A map with keys that are text can always be written.
            if let Ok(line) = serde_json::to_string(&line) {
                text.push_str(&line);
                text.push('\n');
            }
        }
        if !each(&text) {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runs::fixture::{Fixture, sample};

    #[test]
    fn a_line_is_a_sample_with_its_run_and_a_reader_that_is_gone_ends_it() {
        let fixture = Fixture::new();
        let mut with_node = sample("a", 0.5);
        with_node.node = Some("n1".parse().unwrap());
        let one = fixture.run(
            "20260131T120000Z",
            |record| {
                record.variant.insert("rev".into(), "new".into());
            },
            &[with_node, sample("b", 2.0)],
        );
        let two = fixture.run("20260131T130000Z", |_| {}, &[sample("a", 3.0)]);
        let runs = [one, two];
        let mut text = String::new();
        lines(&runs, &mut |piece| {
            text.push_str(piece);
            true
        })
        .unwrap();
        let lines_of: Vec<&str> = text.lines().collect();
        assert_eq!(lines_of.len(), 3);
        assert_eq!(
            lines_of[0],
            r#"{"run":"20260131T120000Z","experiment":null,"variant":{"rev":"new"},"repetition":null,"metric":"a","value":0.5,"node":"n1"}"#
        );
        let mut pieces = 0;
        lines(&runs, &mut |_| {
            pieces += 1;
            false
        })
        .unwrap();
        assert_eq!(pieces, 1);
    }
}
