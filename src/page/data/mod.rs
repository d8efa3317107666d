//! From stored runs to a report: reads the runs and gathers what they have in common.

mod events;
mod growth;
mod nodes;
mod reduced;
mod strips;

use std::collections::BTreeMap;

use crate::base::text::plural;
use crate::cluster::experiment::GrowthReport;
use crate::compare::Comparison;
use crate::measure::{Finding, Judgement, Severity, Statistic};
use crate::nodeset;
use crate::page::criteria::mark;
use crate::page::model::{Assumption, CriterionRow, Failure, Kind, Mark, Page, Timeline};
use crate::page::outliers::merged;
use crate::report::comparison::headline;
use crate::runs::{Experiment, StoreError, StoredRun};
use crate::verdict::{explained, titled};
use reduced::{Reduced, moment};

/// Timelines of a report of several runs: the slowest run of each of the first variants.
const TIMELINES: usize = 4;

/// What a report is made from.
#[derive(Debug)]
pub struct Material {
    /// What it is about.
    pub kind: Kind,
    /// Its name, or names.
    pub name: String,
    /// The runs, each with the name of its side or variant.
    pub runs: Vec<(String, StoredRun)>,
    /// The experiment, if it is about one.
    pub experiment: Option<Experiment>,
    /// The comparisons.
    pub comparisons: Vec<Comparison>,
    /// How metrics grow, by variant.
    pub growth: Vec<GrowthReport>,
    /// What the caller has to say.
    pub notes: Vec<String>,
    /// The commands that make it again.
    pub commands: Vec<String>,
}

/// Reads the runs and makes the report.
pub fn page(material: Material) -> Result<Page, StoreError> {
    let Material {
        kind,
        name,
        runs,
        experiment,
        comparisons,
        growth: reports,
        mut notes,
        commands,
    } = material;
    let read = |(label, run)| Reduced::read(label, run);
    let mut runs = runs
        .into_iter()
        .map(read)
        .collect::<Result<Vec<Reduced>, StoreError>>()?;
    let several = runs.len() > 1;
    let mut failures = Vec::new();
    for run in &mut runs {
        for mut failure in std::mem::take(&mut run.failures) {
            if several {
                failure.text = format!("{}: {}", run.name(), failure.text);
            }
            failures.push(failure);
        }
        notes.append(&mut run.notes);
    }
    for report in &reports {
        let growing = report.findings.iter().filter(|finding| finding.fails());
        failures.extend(growing.map(|finding| Failure {
            text: of_variant(
                &report.variant,
                format!("criterion {}: {}", titled(&finding.criterion), explained(finding)),
            ),
            output: None,
        }));
        let warnings = report.warnings.iter();
        notes.extend(warnings.map(|warning| of_variant(&report.variant, warning.clone())));
    }
    if let Some(experiment) = experiment
        .as_ref()
        .filter(|experiment| experiment.ended.is_none())
    {
        notes.push(format!(
            "{} has not ended: it was interrupted, or is in progress",
            experiment.name
        ));
    }
    for warning in comparisons.iter().flat_map(|comparison| &comparison.warnings) {
        if !notes.contains(warning) {
            notes.push(warning.clone());
        }
    }
    let (strips, left_out) = strips::of(&runs);
    if left_out > 0 {
        notes.push(format!(
            "{} without a criterion left out",
            plural(left_out, "metric")
        ));
    }
    let (mark, verdict) = head(kind, &runs, experiment.as_ref(), &comparisons, &reports);
    let found = runs.iter_mut().flat_map(|run| std::mem::take(&mut run.outliers));
    let outliers = merged(found);
    let found = experiment.as_ref().map(|experiment| experiment.found.clone());
    Ok(Page {
        kind,
        name,
        mark,
        verdict,
        failures,
        notes,
        facts: facts(&runs, experiment.as_ref()),
        criteria: criteria(&runs),
        strips,
        growth: growth::charts(&reports, &runs),
        reports,
        found: found.unwrap_or_default(),
        timelines: timelines(&runs),
        outliers,
        assumptions: assumptions(&runs),
        runs: runs.into_iter().map(|run| run.row).collect(),
        comparisons,
        commands,
    })
}

/// What is said of a variant, with its name if there are several.
fn of_variant(variant: &str, text: String) -> String {
    if variant.is_empty() {
        text
    } else {
        format!("{variant}: {text}")
    }
}

/// The verdict, as a mark and in words.
fn head(
    kind: Kind,
    runs: &[Reduced],
    experiment: Option<&Experiment>,
    comparisons: &[Comparison],
    growth: &[GrowthReport],
) -> (Mark, String) {
    let compared = comparisons.iter().map(|comparison| mark(comparison.verdict));
    let ran = runs.iter().map(|run| run.row.mark);
    let grows = growth.iter().filter(|report| report.fails()).map(|_| Mark::Bad);
    let unfinished = experiment
        .filter(|experiment| experiment.ended.is_none())
        .map(|_| Mark::Open);
    let marks: Vec<Mark> = match kind {
        Kind::Comparison => compared.collect(),
        Kind::Run | Kind::Experiment => compared.chain(ran).chain(grows).chain(unfinished).collect(),
    };
    let mark = if marks.contains(&Mark::Bad) {
        Mark::Bad
    } else if marks.is_empty() || marks.contains(&Mark::Open) {
        Mark::Open
    } else {
        Mark::Good
    };
    let mut words = match (kind, runs) {
        (Kind::Run, [run]) => vec![run.row.verdict.clone()],
        (Kind::Run | Kind::Experiment, _) => {
            let passed = runs.iter().filter(|run| run.row.mark == Mark::Good).count();
            vec![format!("{passed} of {} passed", plural(runs.len(), "run"))]
        }
        (Kind::Comparison, _) => Vec::new(),
    };
    words.extend(comparisons.iter().map(headline));
    if growth.iter().any(GrowthReport::fails) {
        words.push("a criterion of growth fails".to_owned());
    }
    (mark, words.join("; "))
}

/// When, where and how much.
fn facts(runs: &[Reduced], experiment: Option<&Experiment>) -> Vec<(String, String)> {
    let mut facts: Vec<(&str, String)> = Vec::new();
    if let Some(experiment) = experiment {
        let varied = experiment.varied.iter();
        let varied: Vec<String> = varied
            .map(|(key, values)| format!("{key}={}", values.join(",")))
            .collect();
        facts.extend([
            ("kind", experiment.kind.as_str().to_owned()),
            ("topology", experiment.topology.clone()),
            ("varied", varied.join(" ")),
            ("began", moment(experiment.began)),
            ("ended", experiment.ended.map(moment).unwrap_or_default()),
        ]);
    } else if let [run] = runs {
        facts.extend([
            ("began", run.row.began.clone()),
            ("took", run.row.took.clone()),
            ("variant", run.row.variant.clone()),
            ("experiment", run.record.experiment.clone().unwrap_or_default()),
        ]);
    }
    let mut clusters: Vec<String> = Vec::new();
    let mut labels: BTreeMap<&String, &String> = BTreeMap::new();
    let mut sizes: Vec<usize> = Vec::new();
    for run in runs {
        clusters.extend(run.record.cluster.as_ref().map(ToString::to_string));
        labels.extend(&run.record.labels);
        sizes.push(run.row.nodes);
    }
    clusters.dedup();
    sizes.sort_unstable();
    sizes.dedup();
    let sizes: Vec<String> = sizes.iter().map(ToString::to_string).collect();
    let labels: Vec<String> = labels
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    facts.extend([
        ("cluster", nodeset::fold(&clusters)),
        ("nodes", sizes.join(", ")),
        (
            "runs",
            if runs.len() > 1 {
                runs.len().to_string()
            } else {
                String::new()
            },
        ),
        ("labels", labels.join(", ")),
    ]);
    let known = facts.into_iter().filter(|(_, value)| !value.is_empty());
    known.map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The criteria, those that fail first; equal ones of the runs of a variant are one.
fn criteria(runs: &[Reduced]) -> Vec<CriterionRow> {
    let mut rows: Vec<(CriterionRow, Vec<f64>)> = Vec::new();
    for run in runs {
        for finding in &run.findings {
            let title = titled(&finding.criterion);
            let is_same =
                |(row, _): &(CriterionRow, Vec<f64>)| row.title == title && row.variant == run.label;
            let place = rows.iter().position(is_same).unwrap_or_else(|| {
                rows.push((new_row(title.clone(), &run.label, finding), Vec::new()));
                rows.len() - 1
            });
            let (row, values) = &mut rows[place];
            match finding.judgement {
                Judgement::Passed => row.passed += 1,
                Judgement::Failed | Judgement::NoSamples => row.failed += 1,
                Judgement::NotApplicable => row.open += 1,
            }
            values.extend(finding.value);
            for node in &finding.nodes {
                match row.nodes.iter_mut().find(|(known, _)| known == node) {
                    Some((_, runs)) => *runs += 1,
                    None => row.nodes.push((node.clone(), 1)),
                }
            }
        }
    }
    let mut rows: Vec<CriterionRow> = rows
        .into_iter()
        .map(|(mut row, values)| {
            row.value = Statistic::Median.of(&values);
            // Stable: of equally many runs the worst stay first.
            row.nodes.sort_by_key(|(_, runs)| std::cmp::Reverse(*runs));
            row
        })
        .collect();
    rows.sort_by_key(|row| match row.mark() {
        Mark::Bad => 0,
        Mark::Open => 1,
        Mark::Good => 2,
    });
    rows
}

fn new_row(title: String, variant: &str, finding: &Finding) -> CriterionRow {
    CriterionRow {
        title,
        variant: variant.to_owned(),
        only_warns: finding.criterion.severity == Severity::Warn,
        passed: 0,
        failed: 0,
        open: 0,
        value: None,
        bound: finding.bound,
        unit: finding.unit.clone(),
        nodes: Vec::new(),
        note: finding.note.clone(),
    }
}

/// The timeline of the run, or of the slowest run of each variant.
fn timelines(runs: &[Reduced]) -> Vec<Timeline> {
    if let [run] = runs {
        return run.timeline(run.name()).into_iter().collect();
    }
    let mut slowest: Vec<&Reduced> = Vec::new();
    for run in runs.iter().filter(|run| run.seconds.is_some()) {
        match slowest.iter_mut().find(|known| known.label == run.label) {
            Some(known) if known.seconds < run.seconds => *known = run,
            Some(_) => {}
            None => slowest.push(run),
        }
    }
    let timelines = slowest.into_iter().filter_map(|run| {
        let of = if run.label.is_empty() {
            String::new()
        } else {
            format!(" of {}", run.label)
        };
        run.timeline(&format!("{}, the slowest run{of}", run.name()))
    });
    timelines.take(TIMELINES).collect()
}

/// The assumptions of all runs.
fn assumptions(runs: &[Reduced]) -> Vec<Assumption> {
    let mut all: BTreeMap<&String, Vec<(String, usize)>> = BTreeMap::new();
    let keys = runs.iter().flat_map(|run| run.record.assumptions.keys());
    all.extend(keys.map(|key| (key, Vec::new())));
    for (key, values) in &mut all {
        for run in runs {
            let value = run.record.assumptions.get(*key);
            let value = value.cloned().unwrap_or_else(|| "not known".to_owned());
            match values.iter_mut().find(|(known, _)| *known == value) {
                Some((_, runs)) => *runs += 1,
                None => values.push((value, 1)),
            }
        }
    }
    let all = all.into_iter();
    all.map(|(key, values)| Assumption {
        key: key.clone(),
        values,
    })
    .collect()
}
