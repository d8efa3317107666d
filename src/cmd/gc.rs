//! `vcluster gc`: removes clusters whose lease has ended, leftovers of crashes, and what `down` could not reach.

use std::time::Duration;

use clap::ArgAction;

use super::Context;
use super::common::{FlagVariable, HostArgs};
use super::confirm::confirm;
use super::leases::HostChoice;
use super::output::Output;
use crate::base::exit::ExitCode;
use crate::base::text::plural;
use crate::cluster::gc::{self, GcOptions, Inspection, describe, describe_unreadable};
use crate::engine::EngineError;
use crate::plan::garbage::Unreadable;
use crate::report::{self, Format};
use crate::state::StateRoot;

/// Remove clusters whose lease has ended, leftovers of crashes, and what `down` could not reach
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Hosts of a topology, or of a node set [default: all hosts of the clusters recorded on this machine]
    #[command(flatten)]
    choice: HostChoice,
    /// Show what would be removed, with the reason, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask for confirmation
    #[arg(short = 'y', long, env = "VCLUSTER_YES", action = ArgAction::SetTrue, value_parser = FlagVariable)]
    pub yes: bool,
    /// Minimum age of unclaimed objects to remove as leftovers
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = humantime::parse_duration)]
    pub older_than: Duration,
    #[command(flatten)]
    connect: HostArgs,
}

/// Runs the verb.
pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let root = StateRoot::from_env()?;
    if !args.dry_run {
        gc::clear(&root)?;
    }
    let options = GcOptions {
        hosts: args.choice.endpoints()?,
        older_than: args.older_than,
        connect: args.connect.access(),
    };
    let output = Output::with(context, |options| options.summary = false);
    let inspection = tokio::select! {
        inspection = gc::inspect(&options, &root, &output.events) => inspection,
        () = context.cancel.cancelled() => Err(EngineError::Interrupted.into()),
    };
    let inspection = match inspection {
        Ok(inspection) => inspection,
        Err(error) => return output.finish(Err(error)).await,
    };
    let clean = inspection.is_clean();
    if args.dry_run || clean {
        if args.dry_run {
            show(&inspection, context.format);
        } else {
            inspection.note_unreadable(&output.events);
        }
        inspection.reached.close().await;
        let hosts = plural(inspection.reached.hosts(), "host");
        let line = clean.then(|| format!("nothing to remove on {hosts}"));
        let result = inspection.reached.unreached();
        return output
            .finish(result.map(|()| line).map_err(anyhow::Error::from))
            .await;
    }
    // Remove the progress bars from the screen before asking.
    output.finish(Ok(None)).await?;
    if !args.yes {
        show(&inspection, context.format);
        if !confirm("Remove this?", &context.cancel).await? {
            inspection.reached.close().await;
            report::message("nothing was changed");
            return Ok(ExitCode::Declined);
        }
    }
    let output = Output::with(context, |options| options.summary = false);
    let result = gc::carry_out(&inspection, &root, &context.cancel, &output.events).await;
    inspection.reached.close().await;
    output.finish(result.map(Some)).await
}

fn show(inspection: &Inspection, format: Format) {
    let orphans = inspection.orphans();
    if format == Format::Json {
        let clusters: Vec<_> = inspection
            .garbage
            .iter()
            .map(|garbage| {
                serde_json::json!({ "cluster": garbage.cluster, "id": garbage.short_id, "hosts": garbage.hosts,
                    "reason": garbage.why, "holder": garbage.holder })
            })
            .collect();
        let orphans: Vec<_> = orphans
            .iter()
            .flat_map(|(host, orphans)| orphans.iter().map(move |(orphan, age)| (host, orphan, age)))
            .map(|(host, orphan, age)| {
                serde_json::json!({ "host": host, "what": orphan.to_string(), "age_seconds": age.as_secs() })
            })
            .collect();
        let skipped: Vec<_> = inspection
            .unreadable
            .iter()
            .map(|skipped| {
                serde_json::json!({ "cluster": skipped.cluster.name, "id": skipped.cluster.short_id,
                    "hosts": skipped.hosts, "reason": Unreadable::WHY })
            })
            .collect();
        let value =
            serde_json::json!({ "version": 1, "clusters": clusters, "waste": orphans, "skipped": skipped });
        report::data(&format!("{value:#}\n"));
        return;
    }
    for garbage in &inspection.garbage {
        match &garbage.holder {
            Some(holder) => report::data(&format!("skip {}: held by {holder}\n", describe(garbage))),
            None => report::data(&format!("remove {}: {}\n", describe(garbage), garbage.why)),
        }
    }
    for skipped in &inspection.unreadable {
        let why = Unreadable::WHY;
        report::data(&format!("skip {}: {why}\n", describe_unreadable(skipped)));
    }
    for (host, orphans) in orphans {
        for (orphan, age) in orphans {
            let age = humantime::format_duration(age);
            report::data(&format!("remove {orphan} on {host}: unclaimed, {age} old\n"));
        }
    }
}
