//! `vcluster extend`: moves the end of a cluster's lease, on all its hosts.

use std::time::Duration;

use super::cluster::Cluster;
use super::common::HostArgs;
use super::leases::{self, lease_words};
use super::{Context, Format};
use crate::engine::{self, EngineError, Events, Failure, Fleet, Target};
use crate::exit::ExitCode;
use crate::host::Hold;
use crate::plan::Plan;
use crate::report;
use crate::report::error::Failure as Misuse;
use crate::state::Lock;
use crate::units::{LEASE, Moment};

/// Extend the lease of a cluster
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The cluster: its name or its topology file [default: the only one there is]
    #[arg(value_name = "NAME|FILE", env = "VCLUSTER_NAME")]
    pub cluster: Option<String>,
    /// So much later than it ends now [default: 4h]
    #[arg(long, value_name = "TIME", value_parser = leases::parse_lease, group = "end")]
    pub by: Option<Duration>,
    /// To this moment, in UTC: 2026-01-31T12:00:00Z
    #[arg(long, value_name = "RFC3339", group = "end")]
    pub to: Option<Moment>,
    /// Without an end
    #[arg(long, group = "end")]
    pub never: bool,
    #[command(flatten)]
    hosts: HostArgs,
}

/// Runs the verb.
pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let now = Moment::now();
    if args.to.is_some_and(|to| to <= now) {
        return Err(Misuse::new(ExitCode::Usage, "that moment has passed")
            .with_hint("`vcluster down` removes a cluster now")
            .into());
    }
    let (cluster, _lock) = Cluster::hold(args.cluster.as_deref(), context, "extend", Lock::share)?;
    let name = &cluster.record.name;
    let members: Vec<_> = cluster
        .record
        .hosts
        .iter()
        // Hosts without nodes have no claim, so one of them that is off is no failure.
        .filter(|host| cluster.plan.hosts.iter().any(|planned| planned.name == host.name))
        .map(crate::state::HostRecord::to_host)
        .collect();
    let (events, _silent) = Events::channel();
    let (fleet, mut failures) = Fleet::connect(&members, &args.hosts.options(), &events).await;
    let (observed, unseen) = fleet.observe(&events).await;
    failures.extend(unseen);
    let target = Target {
        cluster: name.clone(),
        short_id: Some(Plan::short_id(cluster.record.id)),
    };
    let held = engine::hold(&fleet, &observed, &target, "extend", Hold::Shared).await?;
    let claims: Vec<_> = held
        .into_iter()
        .filter_map(|held| Some((held.host, held.claim?)))
        .collect();
    // From the latest end, so that hosts which an earlier extension did not reach follow. One without an end stays so.
    let ends = claims.iter().map(|(_, claim)| claim.expires);
    let end = match (args.to, args.by.unwrap_or(LEASE)) {
        _ if args.never => None,
        (Some(to), _) => Some(to),
        (None, by) if ends.clone().all(|end| end.is_some()) => {
            let latest = ends.flatten().max().unwrap_or(now).max(now);
            Some(latest.after(by))
        }
        (None, _) => None,
    };
    let mut extended = 0;
    for (host, mut claim) in claims {
        claim.expires = end;
        let Some(member) = fleet.get(&host) else { continue };
        match member.host.rewrite_claim(&claim).await {
            Ok(()) => extended += 1,
            Err(error) => failures.push(Failure::of_host(host, error)),
        }
    }
    fleet.close().await;
    if extended == 0 && failures.is_empty() {
        let text = format!("no host has a claim of cluster `{name}`");
        return Err(Misuse::new(ExitCode::ApplyFailed, text)
            .with_hint("`vcluster up` claims its hosts again")
            .into());
    }
    if extended > 0 {
        let mut record = cluster.record.clone();
        record.expires = end;
        record.store(&cluster.dir)?;
    }
    let what = format!("the lease of cluster `{name}` was extended on {extended} hosts and not on others");
    EngineError::from_failures(&what, failures)?;
    match context.format {
        Format::Json => {
            let value = serde_json::json!({ "version": 1, "cluster": name, "expires": end });
            report::data(&format!("{value:#}\n"));
        }
        Format::Human => report::talk(&format!("cluster `{name}`: {}", lease_words(end))),
    }
    Ok(ExitCode::Ok)
}
