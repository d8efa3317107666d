//! Says why a node has no place: what it needs, which host comes closest, and what keeps it
//! from each of the others.

use std::collections::BTreeMap;

use super::Site;
use super::capacity::{Needs, Room, vcpus};
use super::error::{Lack, PlanError};
use super::place::{Failure, Rules};
use crate::nodeset;
use crate::topology::{Node, Topology};
use crate::units::MiB;

/// The error for the first node without a place.
pub(super) fn refuse(
    topology: &Topology,
    sites: &[Site<'_>],
    node: &Node,
    group: usize,
    rules: &Rules,
    avoid: &[usize],
    failure: &Failure,
) -> PlanError {
    let needs = Needs::of(node);
    let mut reasons: BTreeMap<Lack, Vec<&str>> = BTreeMap::new();
    let mut closest: Option<(u128, usize, Lack)> = None;
    for (index, (site, room)) in sites.iter().zip(&failure.rooms).enumerate() {
        let lack = if !rules.allowed[index] {
            Lack::On
        } else if avoid.contains(&index) {
            Lack::Failed
        } else {
            room.lacks(needs, &rules.conflicts).unwrap_or(Lack::Places)
        };
        reasons.entry(lack).or_default().push(site.host.name.as_str());
        let share = share(room, needs);
        if !matches!(lack, Lack::On | Lack::Separate | Lack::Failed)
            && closest.is_none_or(|(most, ..)| share > most)
        {
            closest = Some((share, index, lack));
        }
    }
    for host in &topology.hosts {
        if !sites.iter().any(|site| site.host.name == host.name) {
            reasons
                .entry(Lack::Unreached)
                .or_default()
                .push(host.name.as_str());
        }
    }
    let mut parts = Vec::new();
    if let Some((_, index, lack)) = closest {
        let name = sites[index].host.name.as_str();
        parts.push(format!(
            "`{name}` comes closest with {} left ({})",
            rest(&failure.rooms[index], needs),
            phrase(lack, topology, group)
        ));
        if let Some(names) = reasons.get_mut(&lack) {
            names.retain(|&other| other != name);
        }
    } else {
        parts.push("no host may take it".to_owned());
    }
    let others: Vec<String> = reasons
        .iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(&lack, names)| format!("{}: {}", nodeset::fold(names), phrase(lack, topology, group)))
        .collect();
    parts.extend(others);
    let lacks = closest
        .map(|(_, _, lack)| lack)
        .or_else(|| reasons.keys().next().copied());
    PlanError::DoesNotFit {
        node: node.name.clone(),
        needs: needs.to_string(),
        best: parts.join("; "),
        unplaced: failure.more,
        lacks: lacks.unwrap_or(Lack::Unreached),
        at: topology.groups[group].at.clone(),
    }
}

/// How much of what a node needs is there, in millionths, by the scarcest resource.
fn share(room: &Room, needs: Needs) -> u128 {
    let part = |left: u64, need: u64| u128::from(left.min(need)) * 1_000_000 / u128::from(need.max(1));
    let full = |need: u64| if need == 0 { 1_000_000 } else { 0 };
    part(room.left.memory.0, needs.memory)
        .min(part(u64::from(room.left.vcpus), u64::from(needs.vcpus)))
        .min(part(room.left.disk.0, needs.disk).max(full(needs.disk)))
        // A host without places is only closest if no other has room either.
        .min(if room.left.nodes == 0 { 1 } else { 1_000_000 })
}

fn rest(room: &Room, needs: Needs) -> String {
    let left = &room.left;
    let mut parts = vec![format!("{} of memory", MiB(left.memory.0)), vcpus(left.vcpus)];
    if needs.disk > 0 {
        parts.push(format!("{} of disk", MiB(left.disk.0)));
    }
    let places = format!("{} place{}", left.nodes, if left.nodes == 1 { "" } else { "s" });
    format!("{} and {places}", parts.join(", "))
}

fn phrase(lack: Lack, topology: &Topology, group: usize) -> String {
    let group = &topology.groups[group].name;
    match lack {
        Lack::Memory => "too little memory".to_owned(),
        Lack::Vcpus => "too few vCPUs".to_owned(),
        Lack::Disk => "too little disk".to_owned(),
        Lack::Places => "`max_nodes` is reached".to_owned(),
        Lack::Separate => format!("holds nodes from which {group} is separate"),
        Lack::On => format!("not in `on` of {group}"),
        Lack::Failed => "failed there".to_owned(),
        Lack::Unreached => "not reached".to_owned(),
    }
}
