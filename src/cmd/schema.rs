//! `vcluster schema`: the JSON Schema of topology files, for editors, and that of events, for programs.

use super::Context;
use crate::base::exit::ExitCode;
use crate::{report, topology};

/// Print the JSON Schema of topologies, for editors, or of events, for programs
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// What the schema describes
    #[arg(value_name = "WHAT", value_enum, default_value_t)]
    pub what: What,
}

/// What a schema describes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum What {
    /// Topology files.
    #[default]
    Topology,
    /// The JSON lines of type `event` that `--format json` prints.
    Events,
}

/// Prints the schema.
#[expect(clippy::unused_async, reason = "all verbs have the same signature")]
pub async fn run(args: Args, _context: &Context) -> anyhow::Result<ExitCode> {
    let schema = match args.what {
        What::Topology => topology::schema(),
        What::Events => report::json::event_schema(),
    };
    report::data(&format!("{schema:#}\n"));
    Ok(ExitCode::Ok)
}
