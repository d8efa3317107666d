//! `vcluster run`: the workload of the topology, on every node.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;

use super::cluster::Cluster;
use super::common::{self, HostArgs};
use super::talk::Talk;
use super::{Context, Format};
use crate::engine::{EngineError, Event};
use crate::exit::ExitCode;
use crate::host::Hold;
use crate::report::error::Failure;
use crate::report::{self, junit};
use crate::state::Lock;
use crate::topology::WorkloadStep;
use crate::workload::{Outcome, Results, StepReport, Workload};

/// Run the workload of the topology and keep output and files of every node
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The cluster: its name or its topology file [default: the only one there is]
    #[arg(value_name = "NAME|FILE", env = "VCLUSTER_NAME")]
    pub cluster: Option<String>,
    /// Only these steps, by name
    #[arg(long = "step", value_name = "NAME")]
    pub steps: Vec<String>,
    /// Only on these nodes (node set, `@group`)
    #[arg(short = 'w', long, value_name = "NODESET")]
    pub nodes: Option<String>,
    /// Nodes at once, for steps without a barrier
    #[arg(short = 'f', long, value_name = "N", default_value_t = common::FANOUT, value_parser = super::common::at_least_one())]
    pub fanout: usize,
    /// Show the output of the nodes as it comes
    #[arg(long)]
    pub live: bool,
    /// Directory for results, a new one in it for every run [default: the cluster's own]
    #[arg(long, value_name = "DIR")]
    pub results: Option<PathBuf>,
    /// Write a JUnit XML report
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Time for all nodes to come to a barrier
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = humantime::parse_duration)]
    pub barrier_timeout: Duration,
    #[command(flatten)]
    hosts: HostArgs,
}

/// Runs the verb.
pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let (cluster, _lock) = Cluster::hold(args.cluster.as_deref(), context, "run", Lock::share)?;
    let topology = cluster.topology()?;
    let chosen = cluster.select(args.nodes.as_deref(), None)?;
    let steps = choose(&args, topology.workload.clone(), &chosen)?;
    let parent = args
        .results
        .clone()
        .unwrap_or_else(|| cluster.dir.join("results"));
    let results = Results::create(&parent, std::time::SystemTime::now())
        .with_context(|| format!("failed to make a results directory in {}", parent.display()))?;
    let live = args.live;
    let talk = Talk::begin(context, None);
    talk.events.emit(Event::Started {
        verb: "run",
        cluster: cluster.record.name.clone(),
        hosts: cluster.hosts_of(&chosen),
        nodes: Some(chosen.len()),
    });
    let outcome = async {
        let (nodes, holds) = cluster
            .nodes_held(&chosen, &args.hosts.options(), "run", Hold::Shared)
            .await?;
        let renderer = crate::template::context(&cluster.plan, &topology);
        let reports = Workload {
            renderer: &renderer,
            nodes: &nodes,
            events: &talk.events,
            cancel: &context.cancel,
            results: &results,
            live,
            fanout: args.fanout,
            barrier_timeout: args.barrier_timeout,
        }
        .run(&steps)
        .await
        .context("failed to write results")?;
        nodes.close().await;
        holds.release().await;
        results
            .write(cluster.record.name.as_str(), &reports)
            .context("failed to write results.json")?;
        anyhow::Ok(reports)
    }
    .await;
    talk.finish(Ok(None)).await?;
    let reports = outcome?;
    if let Some(file) = &args.junit {
        let text = junit::document(cluster.record.name.as_str(), &cases(&reports, &results))?;
        std::fs::write(file, text).with_context(|| format!("failed to write {}", file.display()))?;
    }
    show(&reports, &results, context);
    if context.cancel.is_cancelled() {
        return Err(EngineError::Interrupted.into());
    }
    let whole = reports.len() == steps.len() && reports.iter().all(StepReport::passed);
    Ok(if whole {
        ExitCode::Ok
    } else {
        ExitCode::WorkloadFailed
    })
}

fn choose(
    args: &Args,
    steps: Vec<WorkloadStep>,
    chosen: &[crate::name::NodeName],
) -> anyhow::Result<Vec<WorkloadStep>> {
    if steps.is_empty() {
        let text = "the topology has no `workload:` steps";
        return Err(Failure::new(ExitCode::Usage, text).into());
    }
    for name in &args.steps {
        let known: Vec<&str> = steps.iter().map(|step| step.name.as_str()).collect();
        if !known.contains(&name.as_str()) {
            let text = format!(
                "the workload has no step `{}` (it has {})",
                report::sanitize(name),
                known.join(", ")
            );
            return Err(Failure::new(ExitCode::Usage, text).into());
        }
    }
    Ok(steps
        .into_iter()
        .filter(|step| args.steps.is_empty() || args.steps.contains(&step.name))
        .map(|mut step| {
            step.on.retain(|node| chosen.contains(node));
            step
        })
        .filter(|step| !step.on.is_empty())
        .collect())
}

/// What a node said, for a report: the head of its output.
fn said(results: &Results, step: &str, node: &str) -> String {
    const HEAD: u64 = 16 << 10;
    let read = |ending: &str| {
        use std::io::Read;
        let mut bytes = Vec::new();
        let path = results.path().join(step).join(format!("{node}.{ending}"));
        if let Ok(file) = std::fs::File::open(path) {
            let _ = file.take(HEAD).read_to_end(&mut bytes);
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        text.lines()
            .map(|line| format!("{}\n", report::sanitize(line)))
            .collect::<String>()
    };
    format!("{}{}", read("out"), read("err"))
}

fn show(reports: &[StepReport], results: &Results, context: &Context) {
    if context.format == Format::Json {
        let value = serde_json::json!({ "results": results.path(), "steps": reports });
        report::json::line("run", &value);
        return;
    }
    for step in reports {
        let passed = step
            .nodes
            .iter()
            .filter(|node| node.outcome == Outcome::Passed)
            .count();
        report::data(&format!(
            "step {}: {passed} of {} nodes passed\n",
            step.step,
            step.nodes.len()
        ));
        let outputs = step.nodes.iter().map(|node| {
            let mut text = said(results, &step.step, node.node.as_str());
            if node.outcome != Outcome::Passed {
                text.push_str(&format!("[{}]\n", node.outcome.describe()));
            }
            (node.node.to_string(), text)
        });
        report::data(&report::gather::render(&report::gather::gather(outputs)));
    }
    report::talk(&format!("results: {}", results.path().display()));
}

fn cases(reports: &[StepReport], results: &Results) -> Vec<junit::Case> {
    reports
        .iter()
        .flat_map(|step| {
            step.nodes.iter().map(move |node| junit::Case {
                step: step.step.clone(),
                node: node.node.to_string(),
                took: node.took,
                outcome: match &node.outcome {
                    Outcome::Passed => junit::Outcome::Passed,
                    other => junit::Outcome::Failed {
                        message: other.describe(),
                        output: said(results, &step.step, node.node.as_str()),
                    },
                },
            })
        })
        .collect()
}
