//! What later verbs need to find the cluster, written before anything is created.

use indexmap::IndexMap;

use super::configured;
use super::files::known_hosts;
use super::hosts::current_and_former;
use super::options::UpOptions;
use super::situation::Situation;
use crate::base::name::ImageName;
use crate::plan::Plan;
use crate::state::{ClusterRecord, RECORD_VERSION};

/// The login user of each image of the plan. Earlier releases read it here and not in the plan.
fn users(plan: &Plan) -> IndexMap<ImageName, String> {
    let nodes = plan.nodes.iter();
    nodes
        .filter_map(|node| Some((node.spec.image.clone(), node.user.clone()?)))
        .collect()
}

/// Writes keys, record and plan.
pub(crate) fn store(options: &UpOptions, situation: &Situation) -> anyhow::Result<()> {
    let Situation {
        topology,
        dir,
        record,
        keys,
        plan,
        ..
    } = situation;
    dir.create()?;
    keys.store(dir)?;
    ClusterRecord {
        version: RECORD_VERSION,
        name: plan.cluster.clone(),
        id: plan.cluster_id,
        created: record.as_ref().map_or_else(
            || humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string(),
            |record| record.created.clone(),
        ),
        expires: situation.expires,
        topology: options.topology_file.clone(),
        vars: options.overrides.vars.clone(),
        counts: options.overrides.counts.clone(),
        experiment: options.experiment.clone(),
        base_dir: topology.base_dir.clone(),
        hosts: current_and_former(topology, record.as_ref()),
        stranded: situation.stranded_in_record().into_iter().collect(),
        users: users(plan),
    }
    .store(dir)?;
    dir.write("topology.yaml", topology.text.as_bytes())?;
    configured::forget_configured(dir, plan)?;
    ClusterRecord::store_plan(dir, plan)?;
    dir.write("known_hosts", known_hosts(plan, keys).as_bytes())?;
    Ok(())
}
