//! `vcluster validate`: reads topologies and reports every mistake at once. Touches no host.

use serde_json::{Value, json};

use super::Context;
use crate::base::exit::ExitCode;
use crate::base::text::{self, plural};
use crate::report::{self, Format};
use crate::topology::{Diagnostics, Topology};

/// Check topologies and report every mistake at once
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Topology files; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<String>,
}

/// Reads every file and prints a summary of it, or its mistakes.
#[expect(clippy::unused_async, reason = "all verbs have the same signature")]
pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let results: Vec<(&str, Result<Topology, Diagnostics>)> = args
        .files
        .iter()
        .map(|file| (file.as_str(), Topology::load(file)))
        .collect();
    match context.format {
        Format::Human => print(&results, context.quiet),
        Format::Json => {
            let files: Vec<Value> = results.iter().map(|(file, result)| entry(file, result)).collect();
            let json = json!({ "version": 1, "files": files }).to_string();
            report::data(&format!("{}\n", report::json::harmless(json)));
        }
    }
    let valid = results.iter().all(|(_, result)| result.is_ok());
    Ok(if valid {
        ExitCode::Ok
    } else {
        ExitCode::InvalidTopology
    })
}

fn print(results: &[(&str, Result<Topology, Diagnostics>)], quiet: bool) {
    for (_, result) in results {
        match result {
            Ok(_) if quiet => {}
            Ok(topology) => report::data(&format!("ok: {}\n", summary(topology))),
            Err(diagnostics) => report::message(&text::sanitize_painted(diagnostics.render(true).trim_end())),
        }
    }
}

/// `topology.yaml: 150 nodes in 2 groups on 15 hosts`
fn summary(topology: &Topology) -> String {
    format!(
        "{}: {} in {} on {}",
        topology.file,
        plural(topology.nodes.len(), "node"),
        plural(topology.groups.len(), "group"),
        plural(topology.hosts.len(), "host"),
    )
}

fn entry(file: &str, result: &Result<Topology, Diagnostics>) -> Value {
    match result {
        Ok(topology) => json!({
            "file": file,
            "valid": true,
            "name": topology.name,
            "nodes": topology.nodes.len(),
            "groups": topology.groups.len(),
            "hosts": topology.hosts.len(),
            "errors": [],
        }),
        Err(diagnostics) => json!({
            "file": file,
            "valid": false,
            "errors": diagnostics.to_json(),
        }),
    }
}
