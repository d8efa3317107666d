//! `vcluster extend`: moves the end of a cluster's lease, on all its hosts.

use std::time::Duration;

use super::Context;
use super::common::HostArgs;
use super::leases::parse_lease;
use super::output::waits;
use crate::base::exit::ExitCode;
use crate::base::failure::UserError;
use crate::base::units::{LEASE, Moment};
use crate::cluster::Cluster;
use crate::cluster::leases::{Extension, extend, lease_words};
use crate::report::{self, Format};
use crate::state::Lock;

/// Extend the lease of a cluster
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Cluster name or topology file [default: the only cluster]
    #[arg(value_name = "NAME|FILE", env = "VCLUSTER_NAME")]
    pub cluster: Option<String>,
    /// Extend the lease by this much [default: 4h]
    #[arg(long, value_name = "TIME", value_parser = parse_lease, group = "end")]
    pub by: Option<Duration>,
    /// New end of the lease, in UTC: 2026-01-31T12:00:00Z
    #[arg(long, value_name = "RFC3339", group = "end")]
    pub to: Option<Moment>,
    /// Remove the end of the lease
    #[arg(long, group = "end")]
    pub never: bool,
    #[command(flatten)]
    hosts: HostArgs,
}

/// Runs the verb.
pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    if args.to.is_some_and(|to| to <= Moment::now()) {
        return Err(UserError::new(ExitCode::Usage, "`--to` is in the past")
            .with_hint("`vcluster down` removes a cluster now")
            .into());
    }
    let extension = match args.to {
        _ if args.never => Extension::Never,
        Some(to) => Extension::To(to),
        None => Extension::By(args.by.unwrap_or(LEASE)),
    };
    let (cluster, _lock) = Cluster::hold(args.cluster.as_deref(), "extend", Lock::share)?;
    let end = extend(&cluster, extension, &args.hosts.access(), &waits(context)).await?;
    let name = &cluster.record.name;
    match context.format {
        Format::Json => {
            let value = serde_json::json!({ "version": 1, "cluster": name, "expires": end });
            report::data(&format!("{value:#}\n"));
        }
        Format::Human if context.quiet => {}
        Format::Human => report::message(&format!("cluster `{name}`: {}", lease_words(end))),
    }
    Ok(ExitCode::Ok)
}
