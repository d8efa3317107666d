//! What `doctor` examines: a topology, and what this machine has recorded.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::situation::image_facts;
use crate::base::event::Events;
use crate::base::name::ClusterName;
use crate::doctor::Examination;
use crate::host::ConnectOptions;
use crate::inventory::ShortId;
use crate::state::{ClusterKeys, ClusterRecord, StateRoot};
use crate::topology::Topology;

/// Prepares the examination of the hosts of a topology. Contacts none of them.
pub async fn prepare<'a>(
    topology: &'a Topology,
    options: ConnectOptions,
    events: &Events,
) -> anyhow::Result<Examination<'a>> {
    let root = StateRoot::from_env()?;
    let mut known: BTreeSet<(ClusterName, ShortId)> = BTreeSet::new();
    for name in root.clusters()? {
        // A damaged record must not prevent the checks.
        if let Ok(Some(record)) = ClusterRecord::load(&root.cluster(&name)) {
            known.insert((record.name, ShortId::of(record.id)));
        }
    }
    let dir = root.cluster(&topology.name);
    let record = ClusterRecord::load(&dir)?;
    Ok(Examination {
        topology,
        cluster_id: record.map_or_else(Uuid::new_v4, |record| record.id),
        images: image_facts(topology, events).await?,
        // Without keys, there are no nodes that could have been created with different keys.
        client_key: ClusterKeys::load(&dir)?
            .map(|keys| keys.fingerprint())
            .unwrap_or_default(),
        known,
        options,
    })
}
