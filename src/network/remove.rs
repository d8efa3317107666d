//! The scripts that remove links and tables of one cluster from a host, and nothing else.

use crate::base::shell::{quote, with_variables};
use crate::inventory::{ClusterRef, ObservedObject};

/// Defines `remove_link` and `remove_table` for one object, and `remove_network` for all of the cluster with the name
/// `$cluster` and the short id `$short`, both validated before. They print `removed KIND NAME` for each object and
/// `left KIND NAME` for each one that could not be removed.
pub(crate) const REMOVAL: &str = include_str!("remove.sh");

/// Removes what carries the mark of this cluster.
pub fn removal_script(cluster: &ClusterRef) -> String {
    definitions(cluster) + "remove_network\n"
}

/// Removes these links and tables, in this order, if they carry the mark of this cluster.
pub fn stale_script(cluster: &ClusterRef, stale: &[&ObservedObject]) -> String {
    let mut script = definitions(cluster);
    for object in stale {
        let function = if object.kind == "nft table" {
            "remove_table"
        } else {
            "remove_link"
        };
        script.push_str(&format!("{function} {}\n", quote(&object.name)));
    }
    script.push_str("exit 0\n");
    script
}

fn definitions(cluster: &ClusterRef) -> String {
    let variables = [
        ("cluster", cluster.name.as_str()),
        ("short", cluster.short_id.as_str()),
    ];
    with_variables(&variables, REMOVAL)
}
