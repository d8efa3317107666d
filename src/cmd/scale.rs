//! `vcluster scale`: runs the workload at several sizes, and judges how its metrics grow.

use std::path::Path;

use indexmap::IndexMap;

use super::Context;
use super::experiment::{Asked, ExperimentArgs, Sizes, Vary, close, perform, results, stored_json, unique};
use super::results::stores;
use crate::base::exit::ExitCode;
use crate::base::failure::UserError;
use crate::cluster::experiment::{Design, Find, GrowthReport, growth};
use crate::engine::EngineError;
use crate::report::{self, Format, growth as shown};
use crate::runs::{Between, Experiment, ExperimentKind, Kind, Order, locate};

/// Run the workload at several sizes, and judge how its metrics grow
///
/// With --vary, the growth of every variant is judged, and all are shown beside each other.
///
/// The exit code is 6 if a run, a criterion or a growth fails.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Topology file, `-` for standard input
    #[arg(value_name = "TOPOLOGY", default_value = "topology.yaml")]
    topology: String,
    /// Sizes of the group that grows, ascending
    #[arg(long, value_name = "GROUP=N1,N2", value_parser = Sizes::parse, required_unless_present = "from")]
    group: Option<Sizes>,
    /// Runs of each variant at each size
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    repeat: u32,
    /// Size of the group to predict all metrics for [default: the largest that runs]
    #[arg(long, value_name = "SIZE", value_parser = clap::value_parser!(u32).range(1..))]
    to: Option<u32>,
    /// Set a variable of the topology to each of these values, and run all variants in turn at every size; the first is
    /// the baseline. Can be repeated
    #[arg(long, value_name = "NAME=V1,V2", value_parser = Vary::parse)]
    vary: Vec<Vary>,
    /// What to do between two runs
    #[arg(long, value_enum, default_value = "configure")]
    between: Between,
    /// Then look for the smallest size at which a criterion fails, such as 'join_seconds: p99 < 2s'
    #[arg(long, value_name = "CRITERION", value_parser = Find::parse)]
    find: Option<Find>,
    /// Judge the runs of this experiment again, and raise nothing
    #[arg(long, value_name = "EXPERIMENT", conflicts_with_all = ["group", "vary", "find", "keep", "keep_on_failure"])]
    from: Option<String>,
    #[command(flatten)]
    experiment: ExperimentArgs,
}

/// Runs the verb.
pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let Some(sizes) = args.group.as_ref().filter(|_| args.from.is_none()) else {
        return again(&args, context).await;
    };
    if sizes.sizes.len() < 2 {
        let text = format!("`{}` has only one size: a growth needs several", sizes.group);
        let hint = format!("give several, such as `--group {}=10,20,40,80,160`", sizes.group);
        return Err(UserError::new(ExitCode::Usage, text).with_hint(hint).into());
    }
    let vary = args.vary.iter();
    let vary = vary.map(|vary| (vary.name.clone(), vary.values.clone()));
    let design = Design {
        vary: unique("--vary", vary)?,
        nodes: IndexMap::from([(sizes.group.clone(), sizes.sizes.clone())]),
        repeat: args.repeat,
        order: Order::default(),
        between: args.between,
    };
    design.check()?;
    let asked = Asked {
        verb: "scale",
        kind: ExperimentKind::Scale,
        topology: &args.topology,
        group: Some(sizes.group.clone()),
        find: args.find.clone(),
        to: args.to,
    };
    let (outcome, store, options) = perform(&args.experiment, asked, &design, context).await?;
    close(outcome, &store, &options, &args.experiment, context)
}

/// Judges stored runs again.
async fn again(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let name = args.from.clone().unwrap_or_default();
    let (out, to) = (args.experiment.out.clone(), args.to);
    // On a thread of its own, so that an interrupt ends the command at once.
    let work = tokio::task::spawn_blocking(move || judged_again(&name, out.as_deref(), to));
    let ended = context.cancel.run_until_cancelled(work).await;
    let ended = ended.ok_or(EngineError::Interrupted)?;
    let (experiment, reports) = ended??;
    match context.format {
        Format::Json => {
            let value = stored_json(&experiment, &reports);
            report::data(&report::json::harmless(format!("{value:#}\n")));
        }
        Format::Human => {
            let found = experiment.found.iter();
            let found = found.map(|found| format!("\n{}\n", shown::found_earlier(found)));
            report::show(&(results(&reports) + &found.collect::<String>()));
        }
    }
    Ok(if reports.iter().any(GrowthReport::fails) {
        ExitCode::WorkloadFailed
    } else {
        ExitCode::Ok
    })
}

fn judged_again(
    name: &str,
    out: Option<&Path>,
    to: Option<u32>,
) -> anyhow::Result<(Experiment, Vec<GrowthReport>)> {
    let stores = stores(out, None)?;
    let located = locate(&stores, name)?;
    if located.entry.kind != Kind::Experiment {
        let text = format!("`{}` is a run, not an experiment", located.entry.name);
        let hint = "`vcluster runs` lists the experiments; a growth needs runs of several sizes";
        return Err(UserError::new(ExitCode::Usage, text).with_hint(hint).into());
    }
    let experiment = located.store.experiment(&located.entry.name)?;
    let reports = growth(located.store, &experiment, to)?;
    if reports.is_empty() {
        let text = format!("experiment `{}` has only one size", experiment.name);
        let hint = "`vcluster scale TOPOLOGY --group worker=10,20,40` runs several sizes";
        return Err(UserError::new(ExitCode::Usage, text).with_hint(hint).into());
    }
    Ok((experiment, reports))
}
