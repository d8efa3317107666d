//! `vcluster down`: removes a cluster and verifies that nothing is left.

use clap::ArgAction;

use super::Context;
use super::common::{FlagVariable, HostArgs};
use super::confirm::confirm;
use super::output::Output;
use crate::base::event::Event;
use crate::base::exit::ExitCode;
use crate::base::name::ClusterName;
use crate::base::text::plural;
use crate::cluster::cluster_name;
use crate::cluster::down::{Down, clear};
use crate::engine::EngineError;
use crate::report;
use crate::state::{ClusterDir, Lock, StateRoot};

/// Remove a cluster from all its hosts, and verify that nothing is left
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Cluster name or topology file [default: the only cluster]
    #[arg(value_name = "NAME|FILE", env = "VCLUSTER_NAME")]
    pub cluster: Option<String>,
    /// Hosts to search when this machine has no record of the cluster: node set of names, or libvirt URIs, separated by
    /// commas
    #[arg(long, value_name = "HOSTS", value_delimiter = ' ')]
    pub hosts: Vec<String>,
    /// Do not ask for confirmation
    #[arg(short = 'y', long, env = "VCLUSTER_YES", action = ArgAction::SetTrue, value_parser = FlagVariable)]
    pub yes: bool,
    /// Show what would be removed and change nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    connect: HostArgs,
}

/// Runs the verb.
pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let root = StateRoot::from_env()?;
    let name = cluster_name(args.cluster.as_deref(), &root)?;
    let dir = root.cluster(&name);
    if !dir.exists() && args.hosts.is_empty() {
        clear(&dir, &name)?;
        return Err(root.unknown(&name)?.into());
    }
    let lock = Lock::take(&dir, &name, "down")?;
    let result = remove(&args, context, &name, &dir).await;
    if !dir.exists() {
        // The result of the removal matters more than a directory that could not be removed.
        let _ = dir.remove();
        dir.remove_if_empty();
    }
    drop(lock);
    result
}

async fn remove(
    args: &Args,
    context: &Context,
    name: &ClusterName,
    dir: &ClusterDir,
) -> anyhow::Result<ExitCode> {
    let down = Down::open(name, dir, &args.hosts)?;
    let asks = !args.yes && !args.dry_run;
    let output = Output::with(context, |options| options.summary = !asks && !args.dry_run);
    let started = Event::Started {
        verb: "down",
        cluster: name.clone(),
        hosts: down.hosts.len(),
        nodes: None,
    };
    output.events.emit(started.clone());
    let connect = args.connect.access();
    // Nothing has been changed so far.
    let holdings = tokio::select! {
        holdings = down.observe(&connect, &output.events) => holdings,
        () = context.cancel.cancelled() => return output.finish(Err(EngineError::Interrupted.into())).await,
    };
    let summary = format!(
        "{} and {} of cluster `{name}` on {}",
        plural(holdings.nodes, "node"),
        plural(holdings.objects, "other object"),
        plural(holdings.reached.hosts(), "host")
    );
    if args.dry_run {
        holdings.reached.close().await;
        let line = format!("would remove {summary}");
        let result = match holdings.reached.unreached() {
            Ok(()) => Ok(Some(line)),
            Err(error) => {
                output.events.note(line);
                Err(error.into())
            }
        };
        return output.finish(result).await;
    }
    let output = if asks {
        // Remove the progress bars from the screen before asking.
        output.finish(Ok(None)).await?;
        if !confirm(&format!("Remove {summary}?"), &context.cancel).await? {
            holdings.reached.close().await;
            report::message("nothing was changed");
            return Ok(ExitCode::Declined);
        }
        let output = Output::begin(context, None);
        output.events.emit(started);
        output
    } else {
        output
    };
    let result = down.remove(&holdings, &output.events).await;
    holdings.reached.close().await;
    let rest = match holdings.copies.as_slice() {
        [] => "nothing is left".to_owned(),
        copies => format!(
            "copies of its nodes that vcluster did not create stay: {}",
            copies.join(", ")
        ),
    };
    output
        .finish(result.map(|()| Some(format!("cluster `{name}` is gone; {rest}"))))
        .await
}
