//! What a side is on the command line: `RUN`, `RUN,RUN,...`, `EXPERIMENT` or `EXPERIMENT:rev=new`, by name in the results
//! of the clusters of this machine, or by path.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::base::exit::ExitCode;
use crate::base::failure::UserError;
use crate::base::text::plural;
use crate::compare::{Selector, SelectorError, variant_text};
use crate::runs::{Experiment, Kind, Located, Store, StoreError, StoredRun, locate};
use crate::workload::Verdict;

/// Runs that are named in a message.
const NAMED: usize = 5;

/// Where runs are looked for.
#[derive(Debug)]
pub(super) struct Places(Vec<Store>);

/// A side as named.
#[derive(Debug)]
pub(super) struct Operand {
    /// As written.
    pub(super) text: String,
    /// The variant that was chosen, as written.
    variant: Option<String>,
    /// The experiment, if it is one.
    pub(super) experiment: Option<Experiment>,
    /// Its runs.
    pub(super) runs: Vec<StoredRun>,
    /// Names of those that were made to confirm something.
    confirmations: BTreeSet<String>,
}

/// The runs of a side that can be compared.
#[derive(Debug)]
pub(super) struct Usable {
    pub(super) runs: Vec<StoredRun>,
    /// Those that were made to confirm something.
    pub(super) again: Vec<StoredRun>,
    /// A warning about the others.
    pub(super) left_out: Option<String>,
}

enum Found {
    Run(StoredRun),
    Experiment(Experiment, Vec<StoredRun>),
}

impl Places {
    /// These directories; a side that is named by its path is found without them.
    pub(super) fn new(stores: Vec<Store>) -> Self {
        Self(stores)
    }

    /// Finds what a text names.
    pub(super) fn load(&self, text: &str) -> anyhow::Result<Operand> {
        let (name, variant) = match text.split_once(':') {
            Some((name, variant)) => (name, Some(variant)),
            None => (text, None),
        };
        let mut operand = Operand {
            text: text.to_owned(),
            variant: variant.map(str::to_owned),
            experiment: None,
            runs: Vec::new(),
            confirmations: BTreeSet::new(),
        };
        if name.contains(',') && variant.is_none() {
            operand.runs = self.list(name)?;
            return Ok(operand);
        }
        match self.find(name)? {
            Found::Run(run) if variant.is_none() => operand.runs.push(run),
            Found::Run(_) => {
                let text = format!("`{name}` is a run, and has no variants");
                return Err(wrong(text, "leave out what follows the colon"));
            }
            Found::Experiment(experiment, runs) => {
                operand.runs = chosen(&experiment, runs, variant)?;
                let confirmations = experiment.runs.iter().filter(|run| run.confirmation);
                operand.confirmations = confirmations.map(|run| run.run.clone()).collect();
                operand.experiment = Some(experiment);
            }
        }
        Ok(operand)
    }

    /// Runs with commas between their names.
    fn list(&self, names: &str) -> anyhow::Result<Vec<StoredRun>> {
        let mut runs: Vec<StoredRun> = Vec::new();
        for name in names.split(',') {
            match self.find(name)? {
                Found::Run(run) => {
                    if runs.iter().any(|other| other.path == run.path) {
                        return Err(wrong(
                            format!("run `{}` is named twice", run.name()),
                            "name it once",
                        ));
                    }
                    runs.push(run);
                }
                Found::Experiment(..) => {
                    let text = format!("`{name}` is an experiment; only runs can be listed");
                    return Err(wrong(text, "name the experiment alone, or its runs"));
                }
            }
        }
        Ok(runs)
    }

    /// Finds a run or an experiment by its name, its beginning or its path.
    fn find(&self, name: &str) -> Result<Found, StoreError> {
        let name = name.trim().trim_end_matches('/');
        let by_path = name.rsplit_once('/').map(|(parent, name)| {
            let parent = if parent.is_empty() { "/" } else { parent };
            ([Store::at(PathBuf::from(parent))], name)
        });
        let (stores, name) = match &by_path {
            Some((stores, name)) => (&stores[..], *name),
            None => (&self.0[..], name),
        };
        let Located { store, entry } = locate(stores, name.strip_suffix(".json").unwrap_or(name))?;
        Ok(match entry.kind {
            Kind::Run => Found::Run(store.run(&entry.name)?),
            Kind::Experiment => {
                let experiment = store.experiment(&entry.name)?;
                let runs = store.runs_of(&experiment)?;
                Found::Experiment(experiment, runs)
            }
        })
    }
}

/// The runs of an experiment, or of one of its variants.
fn chosen(
    experiment: &Experiment,
    runs: Vec<StoredRun>,
    variant: Option<&str>,
) -> anyhow::Result<Vec<StoredRun>> {
    let Some(text) = variant else {
        return Ok(runs);
    };
    let selector: Selector = text
        .parse()
        .map_err(|error: SelectorError| wrong(error.to_string(), "write `EXPERIMENT:KEY=VALUE`"))?;
    let known: BTreeSet<String> = runs.iter().map(|run| variant_text(&run.record.variant)).collect();
    let chosen: Vec<StoredRun> = runs
        .into_iter()
        .filter(|run| selector.matches(&run.record.variant))
        .collect();
    if chosen.is_empty() {
        let text = format!("`{}` has no run of {selector}", experiment.name);
        let known: Vec<String> = known.into_iter().filter(|variant| !variant.is_empty()).collect();
        return Err(wrong(text, &format!("its variants: {}", known.join("; "))));
    }
    Ok(chosen)
}

impl Operand {
    /// The runs whose workload was done; an error if there is none. Runs whose criteria failed are among them.
    pub(super) fn usable(self, name: &str) -> anyhow::Result<Usable> {
        let mut usable = Usable {
            runs: Vec::new(),
            again: Vec::new(),
            left_out: None,
        };
        let mut left_out = Vec::new();
        for run in self.runs {
            match unusable(&run) {
                Some(why) => left_out.push(format!("{} {why}", run.name())),
                None if self.confirmations.contains(run.name()) => usable.again.push(run),
                None => usable.runs.push(run),
            }
        }
        let more = match left_out.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        let count = plural(left_out.len(), "run");
        left_out.truncate(NAMED);
        let text = left_out.join(", ");
        if usable.runs.is_empty() {
            let why = if text.is_empty() {
                "it has none".to_owned()
            } else {
                format!("{text}{more}")
            };
            return Err(wrong(
                format!("no run of `{name}` can be compared: {why}"),
                "repeat them with `vcluster test`, or name other runs: `vcluster runs` lists them",
            ));
        }
        if !text.is_empty() {
            usable.left_out = Some(format!("{count} of `{name}` left out: {text}{more}"));
        }
        Ok(usable)
    }
}

/// Why a run cannot be compared.
fn unusable(run: &StoredRun) -> Option<&'static str> {
    if !run.is_complete() {
        return Some("is incomplete");
    }
    match run.record.verdict {
        Some(Verdict::Passed | Verdict::CriteriaFailed) => None,
        Some(Verdict::WorkloadFailed) => Some("failed: a step of its workload did"),
        Some(Verdict::Interrupted) => Some("was interrupted"),
        Some(Verdict::Aborted) => Some("was ended early by a criterion"),
        None => Some("is of an earlier release, which measured nothing"),
    }
}

/// How two sides are called: by their variants if they are of one experiment.
pub(super) fn names(a: &Operand, b: &Operand) -> (String, String) {
    let of = |operand: &Operand| {
        operand
            .experiment
            .as_ref()
            .map(|experiment| experiment.name.clone())
    };
    if let (Some(first), Some(second)) = (&a.variant, &b.variant)
        && of(a) == of(b)
    {
        return (first.clone(), second.clone());
    }
    (name(a), name(b))
}

/// The name as written; of a list of runs, its first one.
fn name(operand: &Operand) -> String {
    match &operand.runs[..] {
        [first, others @ ..] if operand.experiment.is_none() && !others.is_empty() => {
            format!("{} and {} more", first.name(), others.len())
        }
        _ => operand.text.clone(),
    }
}

fn wrong(text: String, hint: &str) -> anyhow::Error {
    UserError::new(ExitCode::Usage, text).with_hint(hint).into()
}
