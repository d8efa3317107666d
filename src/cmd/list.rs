//! `vcluster list`: the clusters recorded on this machine.

use serde::Serialize;

use super::Context;
use crate::base::exit::ExitCode;
use crate::base::units::Moment;
use crate::report::{self, Format};
use crate::state::{ClusterRecord, StateRoot};

/// List the clusters recorded on this machine
#[derive(Debug, clap::Args)]
pub struct Args {}

/// A cluster in the list.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    id: Option<String>,
    nodes: Option<usize>,
    hosts: Option<usize>,
    created: Option<String>,
    expires: Option<Moment>,
    topology: Option<String>,
}

/// Runs the verb.
pub fn run(_args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let root = StateRoot::from_env()?;
    let mut rows = Vec::new();
    for name in root.clusters()? {
        let dir = root.cluster(&name);
        // A damaged record must not hide the other clusters; its own line stays short.
        let record = ClusterRecord::load(&dir).ok().flatten();
        let plan = ClusterRecord::load_plan(&dir).ok().flatten();
        rows.push(Row {
            name: name.to_string(),
            id: record.as_ref().map(|record| record.id.to_string()),
            nodes: plan.as_ref().map(|plan| plan.nodes.len()),
            hosts: plan.as_ref().map(|plan| plan.hosts.len()),
            created: record.as_ref().map(|record| record.created.clone()),
            expires: record.as_ref().and_then(|record| record.expires),
            topology: record
                .and_then(|record| record.topology)
                .map(|file| file.display().to_string()),
        });
    }
    if context.format == Format::Json {
        let value = serde_json::json!({ "version": 1, "clusters": rows });
        report::data(&report::json::harmless(format!("{value:#}\n")));
        return Ok(ExitCode::Ok);
    }
    if rows.is_empty() {
        report::message("no clusters");
        return Ok(ExitCode::Ok);
    }
    let mut table = report::table::new(&["NAME", "NODES", "HOSTS", "CREATED", "LEASE ENDS", "TOPOLOGY"]);
    for row in rows {
        let number =
            |number: Option<usize>| number.map_or_else(|| "?".to_owned(), |number| number.to_string());
        table.add_row(vec![
            row.name,
            number(row.nodes),
            number(row.hosts),
            row.created.unwrap_or_else(|| "?".into()),
            match (&row.id, row.expires) {
                (None, _) => "?".into(),
                (_, None) => "never".into(),
                (_, Some(expires)) => expires.to_string(),
            },
            row.topology.unwrap_or_else(|| "-".into()),
        ]);
    }
    report::show(&report::table::render(&table));
    Ok(ExitCode::Ok)
}
