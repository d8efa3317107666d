//! `vcluster doctor`: checks the hosts of a topology, reports the problems, and runs safe fixes.

use super::Context;
use super::common::HostArgs;
use super::output::waits;
use crate::base::event::Events;
use crate::base::exit::ExitCode;
use crate::base::text::{plural, sanitize};
use crate::cluster::doctor::prepare;
use crate::doctor::{self, Evidence, Examination, Finding, Severity};
use crate::report::{self, Format};
use crate::topology::Topology;

/// Find problems on the hosts of a topology and how to fix them
///
/// Checks all hosts at once and changes nothing. Every finding is computed for the nodes of this topology. Exit code:
/// 0 without errors (warnings do not count), 5 with errors.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Topology file, `-` for standard input
    #[arg(value_name = "TOPOLOGY", default_value = "topology.yaml")]
    pub topology: String,
    /// Run the safe fixes (each only adds or raises something, and is printed), then check again
    #[arg(long)]
    pub fix: bool,
    #[command(flatten)]
    hosts: HostArgs,
}

/// Runs the verb.
pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let topology = Topology::load(&args.topology)?;
    let waits = waits(context);
    let examination = prepare(&topology, args.hosts.options(), &waits).await?;
    let shows_messages = context.format == Format::Human && !context.quiet;
    if shows_messages {
        report::message(&format!(
            "doctor {}: {} on {}",
            topology.name,
            plural(topology.nodes.len(), "node"),
            plural(topology.hosts.len(), "host")
        ));
    }
    let mut evidence = doctor::examine(&examination, &waits).await;
    let mut findings = doctor::check(&evidence);
    if args.fix && apply_fixes(&findings, &examination, context, &waits).await {
        evidence = doctor::examine(&examination, &waits).await;
        findings = doctor::check(&evidence);
    }
    show(&evidence, &findings, context);
    let bad = findings.iter().any(|finding| finding.severity == Severity::Error);
    Ok(if bad { ExitCode::ApplyFailed } else { ExitCode::Ok })
}

/// Runs the safe fixes. Returns whether there were any.
async fn apply_fixes(
    findings: &[Finding],
    examination: &Examination<'_>,
    context: &Context,
    waits: &Events,
) -> bool {
    let fixes = doctor::fixes(findings);
    let human = context.format == Format::Human;
    if human {
        for fix in &fixes {
            report::message(&report::doctor::fix(fix));
        }
        if fixes.is_empty() && !context.quiet {
            report::message("no problem has a safe automatic fix");
        }
    }
    for outcome in doctor::fix(&fixes, &examination.topology.hosts, &examination.options, waits).await {
        if !human {
            report::json::line("fix", &outcome);
        } else if let Some(error) = &outcome.error {
            report::message(&format!(
                "failed: {}: {}",
                report::doctor::fix(&outcome.fix),
                sanitize(error)
            ));
        }
    }
    !fixes.is_empty()
}

fn show(evidence: &Evidence<'_>, findings: &[Finding], context: &Context) {
    match context.format {
        Format::Human => {
            report::show(&report::doctor::findings(findings, context.quiet));
            if !context.quiet {
                report::message(&report::doctor::verdict(findings));
            }
        }
        Format::Json => report::doctor::json(evidence, findings),
    }
}
