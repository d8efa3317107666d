//! What later verbs need to find the cluster, written before anything is made.

use indexmap::IndexMap;

use super::Args;
use super::look::Known;
use crate::cmd::{common, configured};
use crate::name::ImageName;
use crate::state::{ClusterRecord, HostRecord, RECORD_VERSION};
use crate::topology::Topology;

/// The login user of each image.
pub(super) fn users(topology: &Topology) -> IndexMap<ImageName, String> {
    topology
        .images
        .iter()
        .map(|(name, image)| (name.clone(), image.login_user().to_owned()))
        .collect()
}

/// Writes keys, record and plan.
pub(super) fn store(args: &Args, known: &Known) -> anyhow::Result<()> {
    let Known {
        topology,
        dir,
        record,
        keys,
        plan,
        ..
    } = known;
    dir.create()?;
    keys.store(dir)?;
    let mut hosts: Vec<HostRecord> = topology.hosts.iter().map(HostRecord::from).collect();
    for old in record.iter().flat_map(|record| &record.hosts) {
        if !hosts.iter().any(|host| host.name == old.name) {
            hosts.push(old.clone());
        }
    }
    let file = (args.topology != "-")
        .then(|| std::path::absolute(&args.topology))
        .transpose()?;
    ClusterRecord {
        version: RECORD_VERSION,
        name: plan.cluster.clone(),
        id: plan.cluster_id,
        created: record.as_ref().map_or_else(
            || humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string(),
            |record| record.created.clone(),
        ),
        expires: known.expires,
        topology: file,
        base_dir: topology.base_dir.clone(),
        hosts,
        stranded: known.stranded().into_keys().collect(),
        users: users(topology),
    }
    .store(dir)?;
    dir.write("topology.yaml", topology.text.as_bytes())?;
    configured::forget_configured(dir, plan)?;
    ClusterRecord::store_plan(dir, plan)?;
    dir.write("known_hosts", common::known_hosts(plan, keys).as_bytes())?;
    Ok(())
}
