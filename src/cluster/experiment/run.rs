//! Carries out an experiment: raises the cluster, runs every variant at every size, compares, confirms and looks for the
//! size that fails, then removes the cluster. What was done so far is stored after each run.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::confirm::{Compared, compare_block, confirm, suspects};
use super::find::{Find, Probe, Tried, VariantFound, bisect, stored};
use super::growth::{GrowthReport, judge_growth};
use super::measured::{growing_group, sized_runs};
use super::plan::{Block, Planned, Variant, group_of, nodes_of};
use super::progress::{Progress, Show, remaining};
use super::session::Session;
use super::setup::{Options, Setup};
use crate::base::exit::ExitCode;
use crate::base::failure::UserError;
use crate::base::name::GroupName;
use crate::base::text::plural;
use crate::base::units::Moment;
use crate::cluster::run::{Mode, Performed, RunInfo, RunOptions, Runs, choose};
use crate::engine::EngineError;
use crate::measure::Judgement;
use crate::runs::{Experiment, ExperimentKind, ExperimentRun, Store};
use crate::topology::Topology;
use crate::verdict::{JudgedSamples, judge};
use crate::workload::Verdict;

/// What became of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// It was there before, and is still there.
    Existed,
    /// It is removed, or there never was one.
    Nothing,
    /// It is kept.
    Kept,
    /// It could not be removed.
    Unknown,
}

/// What an experiment has shown.
#[derive(Debug)]
pub struct Outcome {
    /// Its file, as stored.
    pub experiment: Experiment,
    /// The variants compared with the baseline.
    pub compared: Vec<Compared>,
    /// How the metrics grow, for each variant.
    pub growth: Vec<GrowthReport>,
    /// The smallest size that fails, for each variant; empty if it was not looked for.
    pub found: Vec<VariantFound>,
    /// What became of the cluster.
    pub left: Left,
    /// Why it ended early.
    pub error: Option<anyhow::Error>,
    /// Why the cluster could not be removed.
    pub removal: Option<anyhow::Error>,
}

impl Outcome {
    /// Whether what was tested fails: a run, a comparison or a growth.
    pub fn fails(&self) -> bool {
        self.experiment.runs.iter().any(run_fails)
            || self.compared.iter().any(Compared::fails)
            || self.growth.iter().any(GrowthReport::fails)
    }
}

fn run_fails(run: &ExperimentRun) -> bool {
    matches!(
        run.verdict,
        Some(Verdict::CriteriaFailed | Verdict::WorkloadFailed | Verdict::Aborted)
    )
}

/// Carries out an experiment. An error: it could not even begin.
pub async fn conduct<S: Show>(setup: &Setup<'_>, show: &mut S) -> anyhow::Result<Outcome> {
    let options = setup.options;
    let began = Moment::now();
    let name = setup.store.new_experiment_name(options.kind, began)?;
    // Between its runs, too, nobody may remove it.
    let held = setup.store.hold_experiment(&name)?;
    let experiment = Experiment {
        version: Experiment::VERSION,
        name,
        kind: options.kind,
        cluster: setup.topologies.name().clone(),
        topology: options.topology.clone(),
        topology_file: options.topology_file.clone(),
        began,
        ended: None,
        order: setup.design.order,
        between: setup.design.between,
        varied: setup.design.varied(),
        group: options.group.clone(),
        to: options.to,
        found: Vec::new(),
        repeat: setup.design.repeat,
        labels: options.labels.clone(),
        runs: Vec::new(),
        command: options.command.clone(),
    };
    setup.store.write_experiment(&experiment)?;
    let blocks = setup.design.blocks();
    let mut conductor = Conductor {
        total: blocks.iter().map(|block| block.runs.len()).sum(),
        session: Session::new(setup, show, &experiment.name),
        experiment,
        cycles: Vec::new(),
        compared: Vec::new(),
    };
    let (found, mut error) = match Box::pin(conductor.all(&blocks)).await {
        Ok(found) => (found, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    conductor.experiment.found = stored(&found, options.find.as_ref());
    // One that was cut short has no end.
    conductor.experiment.ended = error.is_none().then(Moment::now);
    let written = setup.store.write_experiment(&conductor.experiment);
    error = error.or(written.err().map(Into::into));
    // Whether the cluster is kept depends on it. A user who interrupts does not wait for it.
    let growth = if options.cancel.is_cancelled() {
        Vec::new()
    } else {
        growth(setup.store, &conductor.experiment, options.to).unwrap_or_else(|unreadable| {
            error.get_or_insert(unreadable);
            Vec::new()
        })
    };
    let is_broken = error.is_some() || growth.iter().any(GrowthReport::fails);
    let (left, removal) = conductor.leave(is_broken).await;
    let Conductor {
        experiment, compared, ..
    } = conductor;
    drop(held);
    Ok(Outcome {
        experiment,
        compared,
        growth,
        found,
        left,
        error,
        removal,
    })
}

/// How the metrics of an experiment grow, for each variant; empty if it has only one size. `to`: the size to predict them
/// for, if not that of the experiment.
pub fn growth(store: &Store, experiment: &Experiment, to: Option<u32>) -> anyhow::Result<Vec<GrowthReport>> {
    let Some(group) = growing_group(experiment) else {
        return Ok(Vec::new());
    };
    let variants = sized_runs(store, experiment, &group)?;
    // All variants are predicted for one size, also if the runs of one of them failed at the largest.
    let sizes = variants
        .iter()
        .flat_map(|variant| variant.runs.iter().map(|run| run.size));
    let to = to.or(experiment.to).or(sizes.max());
    Ok(variants
        .iter()
        .map(|variant| judge_growth(variant, &group, to))
        .collect())
}

struct Conductor<'a, S> {
    session: Session<'a, S>,
    experiment: Experiment,
    /// How many runs there are, as far as known.
    total: usize,
    /// How long the runs took, with what was done before them.
    cycles: Vec<Duration>,
    compared: Vec<Compared>,
}

impl<S: Show> Conductor<'_, S> {
    async fn all(&mut self, blocks: &[Block]) -> anyhow::Result<Vec<VariantFound>> {
        self.session.find_existing().await?;
        for block in blocks {
            self.run_all(&block.runs).await?;
            self.compare(block).await?;
        }
        self.find().await
    }

    async fn run_all(&mut self, runs: &[Planned]) -> anyhow::Result<()> {
        for planned in runs {
            self.run(planned).await?;
        }
        Ok(())
    }

    /// Does one run. A run that fails is no error: only a cluster that no further run can use is.
    async fn run(&mut self, planned: &Planned) -> anyhow::Result<()> {
        let before = Instant::now();
        let (topology, boots) = Box::pin(self.session.prepare(planned)).await?;
        let began = Instant::now();
        let mut name = None;
        let performed = Box::pin(self.perform(planned, &topology, &mut name)).await;
        let took = began.elapsed();
        let Some(name) = name else {
            // It was not even begun.
            return performed.map(drop);
        };
        self.experiment.runs.push(ExperimentRun {
            run: name.clone(),
            variant: planned.variant.labels(),
            repetition: planned.repetition,
            confirmation: planned.confirmation,
            verdict: performed.as_ref().ok().map(|performed| performed.verdict),
        });
        let written = self.session.setup.store.write_experiment(&self.experiment);
        let performed = performed?;
        written?;
        // How long a boot takes says nothing about the runs that are left.
        self.cycles.push(if boots { took } else { before.elapsed() });
        let number = self.experiment.runs.len();
        self.session.show.run_ended(&Progress {
            number,
            total: self.total,
            planned,
            run: &name,
            verdict: performed.verdict,
            took,
            remaining: remaining(&self.cycles, self.total.saturating_sub(number)),
            findings: &performed.findings,
        });
        if self.session.setup.options.cancel.is_cancelled() {
            return Err(EngineError::Interrupted.into());
        }
        if !performed.unconfirmed.is_empty() {
            let nodes = crate::nodeset::fold(&performed.unconfirmed);
            let text =
                format!("{nodes} did not confirm the end of a step: no further run can use the cluster");
            let hint = format!("`vcluster runs show {name}` shows the run");
            return Err(UserError::new(ExitCode::ApplyFailed, text).with_hint(hint).into());
        }
        Ok(())
    }

    async fn perform(
        &mut self,
        planned: &Planned,
        topology: &Topology,
        name: &mut Option<String>,
    ) -> anyhow::Result<Performed> {
        let given: &Options = self.session.setup.options;
        let options = RunOptions {
            fanout: None,
            live: false,
            barrier_timeout: given.barrier_timeout,
            check: true,
            access: given.access.clone(),
            cancel: given.cancel.clone(),
            info: RunInfo {
                variant: planned.variant.labels(),
                repetition: Some(planned.repetition),
                experiment: Some(self.experiment.name.clone()),
                labels: self.experiment.labels.clone(),
            },
        };
        let store = self.session.setup.store;
        let events = self.session.begin("run")?;
        let performed = async {
            let cluster = self.session.cluster()?;
            let chosen = cluster.select(None, None)?;
            let steps = choose(&[], topology.workload.clone(), &chosen)?;
            let runs = Runs {
                cluster,
                topology,
                options: &options,
            };
            let nodes = steps.clone();
            let open = || {
                let run = runs.begin(store.path(), steps)?;
                let path = run.results.path().file_name();
                *name = path.map(|path| path.to_string_lossy().into_owned());
                Ok(run)
            };
            runs.carry_out(&nodes, Mode::Run, open, &events).await
        }
        .await;
        drop(events);
        self.session.show.end().await;
        let (performed, _run) = performed?;
        Ok(performed)
    }

    /// Compares the variants of a block, and confirms what is worse. `scale` judges how they grow, not each size.
    async fn compare(&mut self, block: &Block) -> anyhow::Result<()> {
        if block.variants.len() < 2 || self.session.setup.options.kind == ExperimentKind::Scale {
            return Ok(());
        }
        let Setup {
            store,
            accepted,
            design,
            ..
        } = *self.session.setup;
        let mut compared = compare_block(store, &self.experiment.runs, block, accepted)?;
        let suspects = suspects(&compared);
        let mut ended = Ok(());
        if !suspects.is_empty() {
            let again = design.confirmation(&suspects);
            let worse = plural(suspects.len() - 1, "variant");
            let runs = plural(again.len(), "run");
            self.session.show.note(&format!(
                "{worse} worse than the baseline: {runs} follow to confirm it"
            ));
            self.total += again.len();
            ended = self.run_all(&again).await;
            if ended.is_ok() {
                confirm(store, &self.experiment.runs, &mut compared, accepted)?;
            }
        }
        self.compared.extend(compared);
        ended
    }

    /// Looks for the smallest size at which a criterion fails, for one variant after the other.
    async fn find(&mut self) -> anyhow::Result<Vec<VariantFound>> {
        let Setup { design, options, .. } = *self.session.setup;
        let (Some(find), Some(group)) = (&options.find, &options.group) else {
            return Ok(Vec::new());
        };
        let mut all = Vec::new();
        for of in design.choices() {
            let tried = self.tried(&of, find, group)?;
            let found = bisect(tried, async |size| self.probe(&of, group, size).await).await?;
            let variant = of.words();
            all.push(VariantFound { variant, found });
        }
        Ok(all)
    }

    /// What the runs of a variant so far show of the criterion, by size.
    fn tried(&self, of: &Variant, find: &Find, group: &GroupName) -> anyhow::Result<BTreeMap<u32, Tried>> {
        let labels = of.labels();
        let mut tried: BTreeMap<u32, Tried> = BTreeMap::new();
        for run in &self.experiment.runs {
            let mut vars = run.variant.clone();
            vars.retain(|name, _| group_of(name).is_none());
            let size = run.variant.get(&nodes_of(group));
            let size = size.and_then(|size| size.parse().ok());
            if let Some(size) = size.filter(|_| vars == labels) {
                tried.entry(size).or_default().add(self.shown(run, find)?);
            }
        }
        Ok(tried)
    }

    /// Runs a variant at one size, and reports whether the criterion holds there.
    async fn probe(&mut self, of: &Variant, group: &GroupName, size: u32) -> anyhow::Result<Probe> {
        let options = self.session.setup.options;
        let mut variant = of.clone();
        variant.counts.insert(group.clone(), size);
        self.total += 1;
        let planned = Planned {
            variant,
            repetition: 1,
            confirmation: false,
        };
        self.run(&planned).await?;
        match (self.experiment.runs.last(), &options.find) {
            (Some(run), Some(find)) => self.shown(run, find),
            _ => Ok(Probe::Unknown),
        }
    }

    /// What a run shows of the criterion.
    fn shown(&self, run: &ExperimentRun, find: &Find) -> anyhow::Result<Probe> {
        if !run.verdict.is_some_and(Verdict::is_whole) {
            return Ok(Probe::Unknown);
        }
        let stored = self.session.setup.store.run(&run.run)?;
        let (samples, troubles) = (stored.samples()?, stored.troubles()?);
        let criterion = std::slice::from_ref(&find.criterion);
        let record = &stored.record;
        let samples = JudgedSamples::of(criterion).with(&samples);
        let findings = judge(criterion, &record.metrics, &samples, &troubles, &record.steps);
        Ok(match findings.first().map(|finding| finding.judgement) {
            Some(Judgement::Passed) => Probe::Passes,
            Some(Judgement::Failed) => Probe::Fails,
            _ => Probe::Unknown,
        })
    }

    /// Removes the cluster, unless it is to stay. Returns what became of it, and why it could not be removed.
    async fn leave(&mut self, is_broken: bool) -> (Left, Option<anyhow::Error>) {
        let options = self.session.setup.options;
        let has_failed = is_broken
            || self.experiment.runs.iter().any(run_fails)
            || self.compared.iter().any(Compared::fails);
        let keep_failed = options.keep_on_failure && has_failed && !options.cancel.is_cancelled();
        if self.session.existed {
            return (Left::Existed, None);
        }
        if !self.session.is_there() {
            return (Left::Nothing, None);
        }
        // What another experiment left, and could not be removed, is nothing to keep.
        if self.session.has_raised && (options.keep || keep_failed) {
            // The lease of a run is too short for a user who looks at the cluster.
            if let Err(error) = self.session.keep().await {
                let text = format!("warning: the lease of the cluster was not extended: {error:#}");
                self.session.show.note(&text);
            }
            return (Left::Kept, None);
        }
        match self.session.down().await {
            Ok(()) => (Left::Nothing, None),
            Err(error) => (Left::Unknown, Some(error)),
        }
    }
}
