//! `vcluster compare`: judges one side of runs against another. Contacts no host.

mod accepted;
mod args;
mod operand;
mod work;

use anyhow::Context as _;

use super::Context;
use crate::base::exit::ExitCode;
use crate::base::text::sanitize;
use crate::compare::{ChangeVerdict, Comparison};
use crate::report::comparison::{self, Look};
use crate::report::{self, Format};

pub use args::Args;

/// Runs the verb.
pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let asked = args.clone();
    // On a thread of its own, so that an interrupt ends the command at once.
    let work = tokio::task::spawn_blocking(move || work::comparisons(&asked));
    let comparisons = work.await.context("the comparison ended early")??;
    if let Some(path) = &args.junit {
        let xml = comparison::junit(&comparisons, args.strict)?;
        std::fs::write(path, xml).with_context(|| format!("failed to write {}", path.display()))?;
    }
    show(&comparisons, &args, context);
    let is = |verdict: ChangeVerdict| comparisons.iter().any(|comparison| comparison.verdict == verdict);
    let fails = is(ChangeVerdict::Worse) || (args.strict && is(ChangeVerdict::Inconclusive));
    Ok(if fails {
        ExitCode::WorkloadFailed
    } else {
        ExitCode::Ok
    })
}

/// All comparisons that the arguments ask for; for `report` as well.
pub(super) fn comparisons(args: &Args) -> anyhow::Result<Vec<Comparison>> {
    work::comparisons(args)
}

fn show(comparisons: &[Comparison], args: &Args, context: &Context) {
    if context.format == Format::Json {
        let json = format!("{:#}\n", comparison::json(comparisons));
        report::data(&report::json::harmless(json));
        return;
    }
    let mut warnings: Vec<&str> = Vec::new();
    for warning in comparisons.iter().flat_map(|comparison| &comparison.warnings) {
        // Comparisons of one experiment have the same ones.
        if !warnings.contains(&warning.as_str()) {
            warnings.push(warning);
            report::message(&format!("warning: {}", sanitize(warning)));
        }
    }
    let look = Look {
        is_utf8: report::charset::is_utf8(),
        all: args.all,
    };
    let texts = comparisons
        .iter()
        .map(|comparison| comparison::text(comparison, look));
    report::show(&texts.collect::<Vec<_>>().join("\n"));
}
