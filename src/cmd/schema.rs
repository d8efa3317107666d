//! `vcluster schema`: the JSON Schema of topology files, for editors.

use super::Context;
use crate::exit::ExitCode;
use crate::report;
use crate::topology;

/// Prints the JSON Schema of topology files.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {}

/// Prints the schema.
#[expect(clippy::unused_async, reason = "all verbs have the same signature")]
pub async fn run(_args: Args, _context: &Context) -> anyhow::Result<ExitCode> {
    report::data(&format!("{:#}\n", topology::schema()));
    Ok(ExitCode::Ok)
}
