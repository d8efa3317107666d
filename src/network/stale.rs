//! What a host still has of networks that the plan does not have there any more: a network that was removed or renamed,
//! that no node there joins, that is now an existing bridge, that needs no VXLAN, or no NAT.

use std::collections::BTreeSet;

use super::{networks_of, read_link_name, read_table_name, table_name};
use crate::base::name::{HostName, NetworkName};
use crate::inventory::{NodeSpec, ObservedObject, ShortId};
use crate::plan::{NetworkPlan, Plan};

/// The links and tables of the cluster, among the observed objects of a host, that no network of the plan has there, in
/// the order in which they can be removed. `staying` are the nodes that still run there, as they were made: what they
/// are connected to stays as well, even if the plan has it no more.
pub fn stale<'a>(
    plan: &Plan,
    host: &HostName,
    staying: &[&NodeSpec],
    observed: &'a [ObservedObject],
) -> Vec<&'a ObservedObject> {
    let cluster = plan.cluster_ref();
    let planned = networks_of(plan, host);
    let own = planned.iter().filter(|network| network.own_bridge);
    let own: BTreeSet<&NetworkName> = own.map(|network| &network.name).collect();
    let in_use: BTreeSet<NetworkName> = staying
        .iter()
        .flat_map(|spec| spec.addresses())
        .map(|(network, _)| network)
        .filter(|network| !own.contains(network))
        .collect();
    let in_use = in_use.iter();
    let in_use = in_use.flat_map(|network| all_names(network, &cluster.short_id));
    let wanted: BTreeSet<String> = planned
        .into_iter()
        .flat_map(|network| names(network, &cluster.short_id))
        .chain(in_use)
        .collect();
    let mut stale: Vec<&ObservedObject> = observed
        .iter()
        .filter(|object| object.cluster == cluster.name && object.short_id == cluster.short_id)
        .filter(|object| has_our_name(object) && !wanted.contains(&object.name))
        .collect();
    // A VXLAN is a port of its bridge.
    stale.sort_by_key(|object| match object.kind.as_str() {
        "vxlan" => 0,
        "bridge" => 1,
        _ => 2,
    });
    stale
}

/// The names of what a network has on a host.
fn names(network: &NetworkPlan, short_id: &ShortId) -> Vec<String> {
    if !network.own_bridge {
        return Vec::new();
    }
    let vxlan = network.vxlan.as_ref().map(|vxlan| vxlan.device.clone());
    let table = network.nat.then(|| table_name(short_id, &network.name));
    let bridge = std::iter::once(network.bridge.clone());
    bridge.chain(vxlan).chain(table).collect()
}

/// The names of everything that a network of the cluster can have on a host.
fn all_names(network: &NetworkName, short_id: &ShortId) -> [String; 3] {
    [
        short_id.bridge_name(network),
        short_id.vxlan_name(network),
        table_name(short_id, network),
    ]
}

/// Whether it is a link or a table with a name that we give to those of its cluster.
fn has_our_name(object: &ObservedObject) -> bool {
    let short_id = match object.kind.as_str() {
        "nft table" => read_table_name(&object.name),
        kind => read_link_name(&object.name)
            .filter(|(named, _)| *named == kind)
            .map(|(_, short_id)| short_id),
    };
    short_id.as_ref() == Some(&object.short_id)
}
