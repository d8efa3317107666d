//! OpenMetrics text 1.0: a gauge for each metric, with a sample for each run. Values are in base units, as the
//! specification asks for: seconds, bytes and ratios.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::rows::{Reduced, Row};
use crate::base::units::Moment;
use crate::measure::{Unit, convert};

/// A family of samples.
struct Family {
    unit: String,
    lines: String,
}

/// The document.
pub(super) fn text(rows: &[Row<'_>]) -> String {
    // Metrics whose names differ only in characters that are not allowed share a family: a label has their own name.
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.is_whole()) {
        let labels = labels(row);
        let time = row
            .run
            .began()
            .map_or_else(String::new, |began| format!(" {}", seconds(began)));
        for (metric, value) in &row.values {
            let (unit, number) = in_base_unit(value);
            let name = family(metric.as_str(), value.unit.as_ref(), &unit);
            let family = families.entry(name.clone()).or_insert_with(|| Family {
                unit,
                lines: String::new(),
            });
            // Writing to a String cannot fail.
            let _ = writeln!(
                family.lines,
                "{name}{{{labels},metric=\"{}\",statistic=\"{}\"}} {number}{time}",
                escaped(metric.as_str()),
                value.statistic,
            );
        }
    }
    let mut text = String::new();
    for (name, Family { unit, lines }) in families {
        let _ = writeln!(text, "# TYPE {name} gauge");
        if !unit.is_empty() {
            let _ = writeln!(text, "# UNIT {name} {unit}");
        }
        text.push_str(&lines);
    }
    text.push_str("# EOF\n");
    text
}

/// The unit of a sample and its value in it. A unit of no known kind stays as it is.
fn in_base_unit(value: &Reduced) -> (String, f64) {
    let Some(unit) = &value.unit else {
        return (String::new(), value.value);
    };
    let in_unit = |base: Option<&Unit>| convert(value.value, Some(unit), base).ok();
    if let Some(seconds) = in_unit(Some(&Unit::seconds())) {
        ("seconds".to_owned(), seconds)
    } else if let Some(bytes) = in_unit(Some(&Unit::bytes())) {
        ("bytes".to_owned(), bytes)
    } else if let Some(ratio) = in_unit(None) {
        ("ratio".to_owned(), ratio)
    } else {
        (valid(unit.as_str()), value.value)
    }
}

/// The name of the family of a metric: it must end with its unit.
fn family(metric: &str, unit: Option<&Unit>, base: &str) -> String {
    let mut name = format!("vcluster_{}", valid(metric));
    if base.is_empty() || name.ends_with(&format!("_{base}")) {
        return name;
    }
    // `p99_ms` becomes `p99_seconds`.
    if let Some(stem) = unit.and_then(|unit| name.strip_suffix(&format!("_{}", valid(unit.as_str())))) {
        name = stem.to_owned();
    }
    format!("{name}_{base}")
}

/// The text with only those characters that names may have.
fn valid(text: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    text.chars().map(allowed).collect()
}

/// What identifies a run.
fn labels(row: &Row<'_>) -> String {
    let record = &row.run.record;
    let mut labels = vec![("run".to_owned(), row.run.name().to_owned())];
    let cluster = record.cluster.as_ref().map(ToString::to_string);
    labels.extend(cluster.map(|cluster| ("cluster".to_owned(), cluster)));
    let experiment = record.experiment.clone();
    labels.extend(experiment.map(|experiment| ("experiment".to_owned(), experiment)));
    for (key, value) in &record.variant {
        let mut name = format!("variant_{}", valid(key));
        while labels.iter().any(|(used, _)| *used == name) {
            name.push('_');
        }
        labels.push((name, value.clone()));
    }
    let labels = labels.iter();
    let labels: Vec<String> = labels
        .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
        .collect();
    labels.join(",")
}

/// The value of a label.
fn escaped(text: &str) -> String {
    text.replace('\\', r"\\")
        .replace('"', "\\\"")
        .replace('\n', r"\n")
}

/// Seconds since 1970.
fn seconds(moment: Moment) -> u64 {
    let epoch: Option<Moment> = "1970-01-01T00:00:00Z".parse().ok();
    epoch.map_or(0, |epoch| moment.since(epoch).as_secs())
}

#[cfg(test)]
mod tests {
    use super::super::rows::rows;
    use super::*;
    use crate::measure::MetricSpec;
    use crate::measure::fixture::criterion;
    use crate::runs::fixture::{Fixture, sample};

    fn spec(name: &str, unit: &str) -> MetricSpec {
        MetricSpec {
            name: name.parse().unwrap(),
            source: None,
            reading: None,
            scale: 1.0,
            unit: Unit::new(unit),
            better: None,
            min_change: None,
            floor: None,
        }
    }

    #[test]
    fn a_metric_is_a_gauge_in_base_units_with_the_labels_of_its_run() {
        let fixture = Fixture::new();
        let run = fixture.run(
            "20260131T120000Z",
            |record| {
                record.variant.insert("rev".into(), "a\"b\\c\nd".into());
                record.metrics = vec![spec("p99_ms", "ms"), spec("size", "KiB"), spec("ops", "req/s")];
                record.metrics.push(spec("busy", "%"));
            },
            &[
                sample("p99_ms", 1500.0),
                sample("size", 2.0),
                sample("ops", 7.0),
                sample("busy", 50.0),
                sample("step.join.seconds", 3.0),
            ],
        );
        let head = "run=\"20260131T120000Z\",cluster=\"demo\",variant_rev=\"a\\\"b\\\\c\\nd\"";
        let line = |name: &str, metric: &str, value: &str| {
            format!("{name}{{{head},metric=\"{metric}\",statistic=\"median\"}} {value} 1769860800\n")
        };
        let expected = [
            "# TYPE vcluster_busy_ratio gauge\n# UNIT vcluster_busy_ratio ratio\n".to_owned(),
            line("vcluster_busy_ratio", "busy", "0.5"),
            "# TYPE vcluster_ops_req_s gauge\n# UNIT vcluster_ops_req_s req_s\n".to_owned(),
            line("vcluster_ops_req_s", "ops", "7"),
            "# TYPE vcluster_p99_seconds gauge\n# UNIT vcluster_p99_seconds seconds\n".to_owned(),
            line("vcluster_p99_seconds", "p99_ms", "1.5"),
            "# TYPE vcluster_size_bytes gauge\n# UNIT vcluster_size_bytes bytes\n".to_owned(),
            line("vcluster_size_bytes", "size", "2048"),
            "# TYPE vcluster_step_join_seconds gauge\n# UNIT vcluster_step_join_seconds seconds\n".to_owned(),
            line("vcluster_step_join_seconds", "step.join.seconds", "3"),
            "# EOF\n".to_owned(),
        ];
        assert_eq!(text(&rows(&[run]).unwrap()), expected.concat());
    }

    #[test]
    fn names_that_become_equal_share_a_family_and_a_number_of_samples_has_no_unit() {
        let fixture = Fixture::new();
        let run = fixture.run(
            "20260131T120000Z",
            |record| record.criteria = vec![criterion("step.a.seconds", "count > 0")],
            &[
                sample("a.b", 1.0),
                sample("a-b", 2.0),
                sample("step.a.seconds", 9.0),
            ],
        );
        let text = text(&rows(&[run]).unwrap());
        assert_eq!(text.matches("# TYPE vcluster_a_b gauge\n").count(), 1);
        assert_eq!(text.matches("\nvcluster_a_b{").count(), 2);
        assert!(
            text.contains("metric=\"a-b\"") && text.contains("metric=\"a.b\""),
            "{text}"
        );
        assert!(!text.contains("# UNIT"), "{text}");
        assert!(
            text.contains("metric=\"step.a.seconds\",statistic=\"count\"} 1 "),
            "{text}"
        );
    }

    #[test]
    fn without_runs_it_is_an_empty_document() {
        assert_eq!(text(&[]), "# EOF\n");
    }
}
