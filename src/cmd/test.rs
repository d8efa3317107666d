//! `vcluster test`: raises a cluster, runs its workload, judges its criteria, and removes it.

use super::Context;
use super::experiment::{Asked, ExperimentArgs, Sizes, Vary, close, grow_together, perform, unique};
use crate::base::exit::ExitCode;
use crate::cluster::experiment::Design;
use crate::runs::{Between, ExperimentKind, Order};

/// Raise a cluster, run its workload, judge its criteria, and remove it
///
/// The exit code is 6 if a run, a criterion or a comparison of variants fails.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Topology file, `-` for standard input
    #[arg(value_name = "TOPOLOGY", default_value = "topology.yaml")]
    topology: String,
    /// Runs of each variant at each size
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    repeat: u32,
    /// Set a variable of the topology to each of these values; the first is the baseline. Can be repeated
    #[arg(long, value_name = "NAME=V1,V2", value_parser = Vary::parse)]
    vary: Vec<Vary>,
    /// Sizes of a group, ascending. Can be repeated: groups grow together
    #[arg(long, value_name = "GROUP=N1,N2", value_parser = Sizes::parse)]
    nodes: Vec<Sizes>,
    /// Order of the variants
    #[arg(long, value_enum, default_value_t)]
    order: Order,
    /// What to do between two runs [default: configure if something is varied, else keep]
    #[arg(long, value_enum)]
    between: Option<Between>,
    #[command(flatten)]
    experiment: ExperimentArgs,
}

impl Args {
    fn design(&self) -> anyhow::Result<Design> {
        let vary = self
            .vary
            .iter()
            .map(|vary| (vary.name.clone(), vary.values.clone()));
        let nodes = self
            .nodes
            .iter()
            .map(|nodes| (nodes.group.clone(), nodes.sizes.clone()));
        let design = Design {
            vary: unique("--vary", vary)?,
            nodes: unique("--nodes", nodes)?,
            repeat: self.repeat,
            order: self.order,
            between: self
                .between
                .unwrap_or_else(|| default_between(&self.vary, &self.nodes)),
        };
        grow_together(&design.nodes)?;
        design.check()?;
        Ok(design)
    }
}

/// Steps of the configuration run again if a variable is set or sizes are varied: they may depend on it.
fn default_between(vary: &[Vary], nodes: &[Sizes]) -> Between {
    if !vary.is_empty() || nodes.iter().any(|nodes| nodes.sizes.len() > 1) {
        Between::Configure
    } else {
        Between::Keep
    }
}

/// Runs the verb.
pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let design = args.design()?;
    let asked = Asked {
        verb: "test",
        kind: ExperimentKind::Test,
        topology: &args.topology,
        group: None,
        find: None,
        to: None,
    };
    let (outcome, store, options) = perform(&args.experiment, asked, &design, context).await?;
    close(outcome, &store, &options, &args.experiment, context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_configured_between_runs_only_if_something_is_varied() {
        let vary = |text| vec![Vary::parse(text).unwrap()];
        let sizes = |text| vec![Sizes::parse(text).unwrap()];
        for (vary, nodes, wanted) in [
            (Vec::new(), Vec::new(), Between::Keep),
            (Vec::new(), sizes("worker=10"), Between::Keep),
            (vary("rev=new"), Vec::new(), Between::Configure),
            (Vec::new(), sizes("worker=10,20"), Between::Configure),
        ] {
            assert_eq!(default_between(&vary, &nodes), wanted, "{vary:?} {nodes:?}");
        }
    }
}
