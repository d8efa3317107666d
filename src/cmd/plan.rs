//! `vcluster plan`: the plan that `up` would apply. The same code as `up --dry-run`.

use super::{Context, up};
use crate::base::exit::ExitCode;

/// Show what `up` would do, per host and with reasons
#[derive(Debug, clap::Args)]
#[group(skip)]
pub struct Args {
    #[command(flatten)]
    up: up::Args,
}

/// Runs the verb.
pub async fn run(mut args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    args.up.dry_run = true;
    up::run(args.up, context).await
}
