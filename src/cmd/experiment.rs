//! What `test` and `scale` have in common: their options, how an experiment is shown, and how it ends.

mod args;
mod closing;
mod compared;
mod junit;
mod screen;
mod varied;

use std::collections::BTreeMap;

use super::Context;
use crate::base::name::GroupName;
use crate::base::text::plural;
use crate::base::units::Moment;
use crate::cluster::experiment::{Design, Find, Options, Outcome, Setup, Topologies, conduct};
use crate::compare::{Accepted, CompareOptions, read_accepted};
use crate::runs::{ExperimentKind, Store};
use crate::state::{Lock, StateRoot};

pub(super) use args::ExperimentArgs;
pub(super) use closing::{close, results, stored_json};
use screen::Screen;
use varied::Label;
pub(super) use varied::{Sizes, Vary, grow_together, unique};

/// What `test` and `scale` add to the options.
pub(super) struct Asked<'a> {
    pub(super) verb: &'static str,
    pub(super) kind: ExperimentKind,
    /// The topology as the user named it.
    pub(super) topology: &'a str,
    pub(super) group: Option<GroupName>,
    pub(super) find: Option<Find>,
    pub(super) to: Option<u32>,
}

/// Carries out an experiment. Returns it with the store that has its runs.
pub(super) async fn perform(
    args: &ExperimentArgs,
    asked: Asked<'_>,
    design: &Design,
    context: &Context,
) -> anyhow::Result<(Outcome, Store, Options)> {
    let topologies = Topologies::load(asked.topology, design)?;
    let accepted = accepted(&topologies)?;
    let topology_file = (asked.topology != "-")
        .then(|| std::path::absolute(asked.topology))
        .transpose()?;
    let options = Options {
        kind: asked.kind,
        topology: asked.topology.to_owned(),
        topology_file,
        group: asked.group,
        find: asked.find,
        to: asked.to,
        keep: args.keep,
        keep_on_failure: args.keep_on_failure,
        labels: labels(&args.labels)?,
        command: command(),
        boot_timeout: args.boot_timeout,
        boots: args.boots,
        barrier_timeout: args.barrier_timeout,
        access: args.hosts.access(),
        cancel: context.cancel.clone(),
    };
    let root = StateRoot::from_env()?;
    let dir = root.cluster(topologies.name());
    let lock = Lock::take(&dir, topologies.name(), asked.verb)?;
    let store = Store::at(args.out.clone().unwrap_or_else(|| dir.join("results")));
    let mut screen = Screen::new(context);
    for text in too_few(asked.kind, design, &topologies) {
        screen.warn(&text);
    }
    let setup = Setup {
        root: &root,
        design,
        topologies: &topologies,
        store: &store,
        accepted: &accepted,
        options: &options,
    };
    let outcome = Box::pin(conduct(&setup, &mut screen)).await;
    if !dir.exists() {
        // What was found out matters more than a directory that could not be removed. Results stay.
        let _ = dir.remove();
        dir.remove_if_empty();
    }
    drop(lock);
    Ok((outcome?, store, options))
}

/// The accepted regressions: those in `accepted.yaml` beside the topology.
fn accepted(topologies: &Topologies) -> anyhow::Result<Vec<Accepted>> {
    let path = topologies.base_dir().join("accepted.yaml");
    if !path.exists() {
        return Ok(Vec::new());
    }
    Ok(read_accepted(&path)?)
}

fn labels(given: &[Label]) -> anyhow::Result<BTreeMap<String, String>> {
    let labels = unique(
        "--label",
        given.iter().map(|label| (label.key.clone(), label.value.clone())),
    )?;
    Ok(labels.into_iter().collect())
}

/// This command, to make the experiment again.
fn command() -> Vec<String> {
    let args = std::env::args_os().skip(1);
    let args = args.map(|arg| arg.to_string_lossy().into_owned());
    std::iter::once("vcluster".to_owned()).chain(args).collect()
}

/// Warnings about an experiment that is too small to decide anything.
fn too_few(kind: ExperimentKind, design: &Design, topologies: &Topologies) -> Vec<String> {
    let mut warnings = Vec::new();
    let repeat = design.repeat as usize;
    // `scale` compares no variants at one size.
    if kind == ExperimentKind::Test && design.variant_count() > 1 {
        let metrics = topologies.judged_metrics();
        let needed = crate::analysis::runs_needed(metrics.max(1), CompareOptions::new(Moment::now()).alpha);
        if metrics == 0 {
            warnings.push(
                "no metric has a criterion or a `min_change`: the variants are shown, not judged".into(),
            );
        } else if repeat < needed {
            warnings.push(format!(
                "{} of each variant are too few to compare {}: `--repeat {needed}` is enough",
                plural(repeat, "run"),
                plural(metrics, "metric")
            ));
        }
    }
    let sizes = design.size_count();
    if sizes > 1 && (sizes < 5 || repeat < 5) {
        warnings.push(format!(
            "{} with {} each: a model of the growth deserves trust from 5 sizes with 5 runs each",
            plural(sizes, "size"),
            plural(repeat, "run")
        ));
    }
    warnings
}
