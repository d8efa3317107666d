//! `vcluster plan`: the plan that `up` would apply, as `up --dry-run` shows it.

use std::path::PathBuf;

use super::Context;
use super::common::HostArgs;
use super::output::Output;
use crate::base::event::Event;
use crate::base::exit::ExitCode;
use crate::cluster::{PlanOptions, up};
use crate::report::{self, Format};
use crate::state::StateRoot;
use crate::topology::Topology;

/// Show what `up` would do, per host and with reasons
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Topology file, `-` for standard input
    #[arg(value_name = "TOPOLOGY", default_value = "topology.yaml")]
    pub topology: String,
    /// Take over a cluster of this name that was created elsewhere, as `up --adopt` does
    #[arg(long)]
    pub adopt: bool,
    #[command(flatten)]
    hosts: HostArgs,
}

/// Runs the verb.
pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let topology = Topology::load(&args.topology)?;
    let options = PlanOptions {
        adopt: args.adopt,
        configure: true,
        answer_timeout: None,
        scope: None,
        connect: args.hosts.access(),
        cancel: context.cancel.clone(),
    };
    show(topology, &options, None, context).await
}

/// Shows the plan of a topology. Changes nothing, so it needs no lock and leaves no directory.
pub(super) async fn show(
    topology: Topology,
    options: &PlanOptions,
    summary: Option<PathBuf>,
    context: &Context,
) -> anyhow::Result<ExitCode> {
    let dir = StateRoot::from_env()?.cluster(&topology.name);
    let output = Output::with(context, |shown| {
        shown.results = summary;
        shown.summary = false;
    });
    output.events.emit(Event::Started {
        verb: "plan",
        cluster: topology.name.clone(),
        hosts: topology.hosts.len(),
        nodes: Some(topology.nodes.len()),
    });
    let result = match up::prepare(options, topology, &dir, &output.events).await {
        Ok(situation) => {
            match context.format {
                Format::Human => report::data(&report::plan::plan(&situation.plan)),
                Format::Json => report::plan::plan_json(&situation.plan),
            }
            situation.close().await;
            Ok(None)
        }
        Err(error) => Err(error),
    };
    output.finish(result).await
}
