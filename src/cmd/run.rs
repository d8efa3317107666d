//! `vcluster run`: runs the workload of the topology on every node, and judges its criteria. Resumes an interrupted run.

mod show;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;

use super::Context;
use super::common::HostArgs;
use super::output::Output;
use crate::base::event::Event;
use crate::base::exit::ExitCode;
use crate::base::failure::UserError;
use crate::cluster::run::{Mode, Performed, RunInfo, RunOptions, Runs, choose, nodes_of};
use crate::cluster::{Cluster, junit};
use crate::engine::EngineError;
use crate::report;
use crate::state::Lock;
use crate::topology::WorkloadStep;
use crate::workload::{InterruptedRun, StepReport, Verdict, interrupted_runs};

/// Run the workload of the topology, and collect output and files of every node
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Cluster name or topology file [default: the only cluster]
    #[arg(value_name = "NAME|FILE", env = "VCLUSTER_NAME")]
    pub cluster: Option<String>,
    /// Only these steps, by name
    #[arg(long = "step", value_name = "NAME")]
    pub steps: Vec<String>,
    /// Only on these nodes (node set, `@group`)
    #[arg(short = 'w', long, value_name = "NODESET")]
    pub nodes: Option<String>,
    /// Nodes at once, for steps without a barrier [default: chosen by host CPU capacity, at most 64]
    #[arg(short = 'f', long, value_name = "N", value_parser = super::common::at_least_one())]
    pub fanout: Option<usize>,
    /// Show the output of the nodes as it arrives
    #[arg(long)]
    pub live: bool,
    /// Directory for results, with a subdirectory for every run [default: the cluster's own]
    #[arg(long, value_name = "DIR")]
    pub results: Option<PathBuf>,
    /// Write a JUnit XML report
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Store this label with the run; may be given several times
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label, conflicts_with_all = ["attach", "stop"])]
    pub labels: Vec<(String, String)>,
    /// Timeout for all nodes to reach a barrier
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = humantime::parse_duration)]
    pub barrier_timeout: Duration,
    /// Run also on nodes that are not as they were configured: rebooted, or not reachable
    #[arg(long, conflicts_with_all = ["attach", "stop"])]
    pub anyway: bool,
    /// Resume a run whose controller was killed: collect what has ended, wait for what runs
    #[arg(long, conflicts_with_all = ["steps", "nodes"])]
    pub attach: bool,
    /// Stop what such a run left on the nodes
    #[arg(long, conflicts_with_all = ["attach", "steps", "nodes"])]
    pub stop: bool,
    #[command(flatten)]
    hosts: HostArgs,
}

/// Reads `KEY=VALUE`.
fn label(text: &str) -> Result<(String, String), String> {
    const LONGEST: usize = 200;
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE")?;
    let is_word = |c: char| c.is_ascii_alphanumeric() || "_.-/".contains(c);
    if key.is_empty() || key.len() > LONGEST || !key.chars().all(is_word) {
        return Err("a key has letters, digits, `_`, `.`, `-` and `/`".to_owned());
    }
    if value.len() > LONGEST || value.chars().any(char::is_control) {
        return Err(format!("a value is one line of at most {LONGEST} bytes"));
    }
    Ok((key.to_owned(), value.to_owned()))
}

/// Runs the verb.
pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let (cluster, _lock) = Cluster::hold(args.cluster.as_deref(), "run", Lock::share)?;
    let topology = cluster.topology()?;
    let parent = args
        .results
        .clone()
        .unwrap_or_else(|| cluster.dir.join("results"));
    let earlier = interrupted_runs(&parent, cluster.plan.cluster_id);
    let options = RunOptions {
        fanout: args.fanout,
        live: args.live,
        barrier_timeout: args.barrier_timeout,
        check: !args.anyway && !args.attach,
        access: args.hosts.access(),
        cancel: context.cancel.clone(),
        info: RunInfo {
            labels: args.labels.iter().cloned().collect(),
            ..RunInfo::default()
        },
    };
    let verb = Verb {
        args: &args,
        context,
        runs: Runs {
            cluster: &cluster,
            topology: &topology,
            options: &options,
        },
    };
    if args.attach || args.stop {
        if earlier.is_empty() {
            let text = format!(
                "cluster `{}` has no interrupted run in {}",
                cluster.record.name,
                parent.display()
            );
            let hint = "`vcluster status` shows the nodes, `vcluster run` starts a run";
            return Err(UserError::new(ExitCode::Usage, text).with_hint(hint).into());
        }
        let mode = if args.stop { Mode::Stop } else { Mode::Run };
        let mut code = ExitCode::Ok;
        let mut failed = None;
        for run in earlier {
            match verb.resume(run, mode).await {
                Ok(ExitCode::Ok) => {}
                Ok(other) => code = other,
                Err(error) if context.cancel.is_cancelled() => return Err(error),
                // The hosts of the others may be reached.
                Err(error) => {
                    failed.get_or_insert(error);
                }
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        return Ok(code);
    }
    let chosen = cluster.select(args.nodes.as_deref(), None)?;
    let steps = choose(&args.steps, topology.workload.clone(), &chosen)?;
    for run in earlier {
        let place = run.results.path().display().to_string();
        report::message(&format!(
            "note: the run in {place} was interrupted; waiting for its running steps (`vcluster run --stop` stops them)"
        ));
        match verb.resume(run, Mode::Collect).await {
            // Hosts that cannot be reached do not prevent a run on others.
            Err(error) if !context.cancel.is_cancelled() => {
                let why = report::error::describe(&error).lines.join(": ");
                report::message(&format!("warning: the run in {place} stays open: {why}"));
            }
            ended => {
                ended?;
            }
        }
    }
    let nodes = steps.clone();
    verb.perform(&nodes, Mode::Run, || verb.runs.begin(&parent, steps))
        .await
}

struct Verb<'a> {
    args: &'a Args,
    context: &'a Context,
    runs: Runs<'a>,
}

impl Verb<'_> {
    /// Resumes an interrupted run.
    async fn resume(&self, run: InterruptedRun, mode: Mode) -> anyhow::Result<ExitCode> {
        let steps = run.record.steps.clone();
        self.perform(&steps, mode, || Ok(run)).await
    }

    /// Works on the steps of a run and shows its results.
    async fn perform(
        &self,
        steps: &[WorkloadStep],
        mode: Mode,
        open: impl FnOnce() -> anyhow::Result<InterruptedRun>,
    ) -> anyhow::Result<ExitCode> {
        let cluster = self.runs.cluster;
        let chosen = nodes_of(steps);
        let output = Output::begin(self.context, None);
        output.events.emit(Event::Started {
            verb: "run",
            cluster: cluster.record.name.clone(),
            hosts: cluster.hosts_of(&chosen),
            nodes: Some(chosen.len()),
        });
        let outcome = self.runs.carry_out(steps, mode, open, &output.events).await;
        output.finish(Ok(None)).await?;
        let (performed, run) = outcome?;
        let InterruptedRun { results, record, .. } = &run;
        let Performed {
            reports, unconfirmed, ..
        } = &performed;
        if let Some(file) = &self.args.junit {
            let name = &cluster.record.name;
            let text = junit::document(name, record, results, reports, &performed.findings)?;
            std::fs::write(file, text).with_context(|| {
                let text = format!("failed to write {}", file.display());
                let hint = "give `--junit` a file in a directory that exists and can be written";
                UserError::new(ExitCode::Unexpected, text).with_hint(hint)
            })?;
        }
        show::show(&performed, results, self.context);
        if let Some(why) = &performed.aborted {
            report::message(&format!("aborted: {why}"));
        }
        if !unconfirmed.is_empty() {
            let text = show::stays_open(unconfirmed, results, self.args.results.as_deref());
            report::message(&text);
        }
        if self.context.cancel.is_cancelled() {
            return Err(EngineError::Interrupted.into());
        }
        let whole = reports.len() == record.steps.len() && reports.iter().all(StepReport::passed);
        let is_closed = unconfirmed.is_empty();
        let incomplete = show::incomplete(reports, results).filter(|_| is_closed && whole);
        if let Some(text) = &incomplete {
            report::message(text);
        }
        Ok(match mode {
            Mode::Stop if is_closed => ExitCode::Ok,
            Mode::Stop => ExitCode::ApplyFailed,
            _ if performed.verdict == Verdict::CriteriaFailed => ExitCode::WorkloadFailed,
            _ if incomplete.is_some() => ExitCode::ApplyFailed,
            _ if is_closed && performed.verdict == Verdict::Passed => ExitCode::Ok,
            _ => ExitCode::WorkloadFailed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_a_key_and_a_value_that_may_have_an_equals_sign() {
        assert_eq!(label("ci/job=a=b c"), Ok(("ci/job".into(), "a=b c".into())));
        assert_eq!(label("empty="), Ok(("empty".into(), String::new())));
        for wrong in [
            "",
            "x",
            "=x",
            "a b=c",
            "a=b\nc",
            &format!("a={}", "x".repeat(201)),
        ] {
            assert!(label(wrong).is_err(), "{wrong}");
        }
    }
}
