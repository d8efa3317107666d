//! The script that removes the links and the table of one cluster from a host, and nothing else.

use crate::base::shell::with_variables;
use crate::inventory::ClusterRef;

/// Defines `remove_network` for the cluster with the name `$cluster` and the short id `$short`, both validated before.
/// It prints `removed KIND NAME` for each object and `left KIND NAME` for each one that could not be removed.
pub(crate) const REMOVAL: &str = include_str!("remove.sh");

/// Removes what carries the mark of this cluster.
pub fn removal_script(cluster: &ClusterRef) -> String {
    let variables = [
        ("cluster", cluster.name.as_str()),
        ("short", cluster.short_id.as_str()),
    ];
    with_variables(&variables, &format!("{REMOVAL}remove_network\n"))
}
