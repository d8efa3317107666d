//! `vcluster doctor`: looks at the hosts for a topology, says what stands in its way, mends what is safe.

use std::collections::BTreeSet;

use anyhow::Context as _;
use indexmap::IndexMap;
use uuid::Uuid;

use super::common::{self, HostArgs};
use super::{Context, Format};
use crate::doctor::{self, Evidence, Finding, Look, Severity};
use crate::exit::ExitCode;
use crate::image;
use crate::name::ClusterName;
use crate::plan::Plan;
use crate::report;
use crate::state::{ClusterKeys, ClusterRecord, StateRoot};
use crate::topology::Topology;

/// Say what stands in the way of a topology on its hosts, why, and what mends it
///
/// Looks at all hosts at once and changes nothing, but that KVM may be proved by a short boot. Every finding is
/// computed for the nodes of this topology. Exit code: 0 without errors (warnings are none), 5 with errors.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Topology file, `-` for standard input
    #[arg(value_name = "TOPOLOGY", default_value = "topology.yaml")]
    pub topology: String,
    /// Run the commands that are safe (each only adds or raises something, and is shown), then look again
    #[arg(long)]
    pub fix: bool,
    #[command(flatten)]
    hosts: HostArgs,
}

/// Runs the verb.
pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let topology = common::load_topology(&args.topology, context)?;
    let look = prepare(&args, &topology)?;
    let talks = context.format == Format::Human && !context.quiet;
    if talks {
        report::talk(&format!(
            "doctor {}: {} on {}",
            topology.name,
            report::plural(topology.nodes.len(), "node"),
            report::plural(topology.hosts.len(), "host")
        ));
    }
    let mut evidence = doctor::look(&look).await;
    let mut findings = doctor::check(&evidence);
    if args.fix && mend(&findings, &look, context).await {
        evidence = doctor::look(&look).await;
        findings = doctor::check(&evidence);
    }
    show(&evidence, &findings, context);
    let bad = findings.iter().any(|finding| finding.severity == Severity::Error);
    Ok(if bad { ExitCode::ApplyFailed } else { ExitCode::Ok })
}

fn prepare<'a>(args: &Args, topology: &'a Topology) -> anyhow::Result<Look<'a>> {
    let root = StateRoot::from_env()?;
    let mut known: BTreeSet<(ClusterName, String)> = BTreeSet::new();
    for name in root.clusters()? {
        // A damaged record must not keep us from looking at the hosts.
        if let Ok(Some(record)) = ClusterRecord::load(&root.cluster(&name)) {
            known.insert((record.name, Plan::short_id(record.id)));
        }
    }
    let dir = root.cluster(&topology.name);
    let record = ClusterRecord::load(&dir)?;
    let mut image_keys = IndexMap::new();
    for (name, image) in &topology.images {
        let key = image::key(image).with_context(|| format!("image `{name}`"))?;
        image_keys.insert(name.clone(), key);
    }
    Ok(Look {
        topology,
        cluster_id: record.map_or_else(Uuid::new_v4, |record| record.id),
        image_keys,
        // Without keys there are no nodes that could have been made with others.
        client_key: ClusterKeys::load(&dir)?
            .map(|keys| keys.fingerprint())
            .unwrap_or_default(),
        known,
        options: args.hosts.options(),
    })
}

/// Runs what is safe; whether anything was run.
async fn mend(findings: &[Finding], look: &Look<'_>, context: &Context) -> bool {
    let fixes = doctor::fixes(findings);
    let human = context.format == Format::Human;
    if human {
        for fix in &fixes {
            report::talk(&report::doctor::fix(fix));
        }
        if fixes.is_empty() && !context.quiet {
            report::talk("nothing was found that is safe to mend");
        }
    }
    for outcome in doctor::fix(&fixes, &look.topology.hosts, &look.options).await {
        if !human {
            report::json::line("fix", &outcome);
        } else if let Some(error) = &outcome.error {
            report::talk(&format!(
                "failed: {}: {}",
                report::doctor::fix(&outcome.fix),
                report::sanitize(error)
            ));
        }
    }
    !fixes.is_empty()
}

fn show(evidence: &Evidence<'_>, findings: &[Finding], context: &Context) {
    match context.format {
        Format::Human => {
            let colour = report::Terminal::detect();
            report::data(&report::doctor::findings(
                findings,
                context.quiet,
                colour.stdout_colour,
            ));
            if !context.quiet {
                report::talk(&report::doctor::verdict(findings));
            }
        }
        Format::Json => report::doctor::json(evidence, findings),
    }
}
