//! Explains why a node has no place: what it needs, which host comes closest, and why each of
//! the others cannot take it.

use std::collections::BTreeMap;

use super::capacity::FreeCapacity;
use super::error::{PlanError, Shortage};
use super::given::Given;
use super::needs::{Needs, vcpus};
use super::site::Site;
use super::task::{Item, PlacementFailure};
use crate::base::name::GroupName;
use crate::base::text::plural;
use crate::base::units::MiB;
use crate::nodeset;

/// The error for the first node without a place.
pub(super) fn refuse(given: &Given<'_>, item: &Item<'_>, failure: &PlacementFailure) -> PlanError {
    let needs = item.needs;
    let (group, rules) = (given.group(item.group), &given.rules[item.group]);
    let mut reasons: BTreeMap<Shortage, Vec<&str>> = BTreeMap::new();
    let mut closest: Option<(u128, &Site<'_>, Shortage)> = None;
    for site in &given.sites {
        let room = &failure.rooms[site.index];
        let lack = if !rules.allowed[site.index] {
            Shortage::On
        } else if item.avoid.contains(&site.index) {
            Shortage::Failed
        } else {
            room.lacks(needs, &rules.conflicts).unwrap_or(Shortage::MaxNodes)
        };
        reasons.entry(lack).or_default().push(site.host.name.as_str());
        let share = share(room, needs);
        if !matches!(lack, Shortage::On | Shortage::Separate | Shortage::Failed)
            && closest.is_none_or(|(most, ..)| share > most)
        {
            closest = Some((share, site, lack));
        }
    }
    for host in &given.input.topology.hosts {
        if !given.sites.iter().any(|site| site.host.name == host.name) {
            reasons
                .entry(Shortage::Unreached)
                .or_default()
                .push(host.name.as_str());
        }
    }
    let mut parts = Vec::new();
    if let Some((_, site, lack)) = closest {
        let name = site.host.name.as_str();
        parts.push(format!(
            "`{name}` comes closest with {} left ({})",
            rest(&failure.rooms[site.index], needs),
            phrase(lack, &group.name)
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
        .map(|(&lack, names)| format!("{}: {}", nodeset::fold(names), phrase(lack, &group.name)))
        .collect();
    parts.extend(others);
    let lacks = closest
        .map(|(_, _, lack)| lack)
        .or_else(|| reasons.keys().next().copied());
    PlanError::DoesNotFit {
        node: item.node.name.clone(),
        needs: needs.to_string(),
        best: parts.join("; "),
        unplaced: failure.more,
        lacks: lacks.unwrap_or(Shortage::Unreached),
        at: group.at.clone(),
    }
}

/// The share of a node's needs that the host has, in millionths, by the scarcest resource.
fn share(room: &FreeCapacity, needs: Needs) -> u128 {
    let part = |left: u64, need: u64| u128::from(left.min(need)) * 1_000_000 / u128::from(need.max(1));
    let full = |need: u64| if need == 0 { 1_000_000 } else { 0 };
    part(room.left.memory.0, needs.memory)
        .min(part(u64::from(room.left.vcpus), u64::from(needs.vcpus)))
        .min(part(room.left.disk.0, needs.disk).max(full(needs.disk)))
        // A host that has reached `max_nodes` is the closest only if no other host has capacity.
        .min(if room.left.nodes == 0 { 1 } else { 1_000_000 })
}

fn rest(room: &FreeCapacity, needs: Needs) -> String {
    let left = &room.left;
    let mut parts = vec![format!("{} of memory", MiB(left.memory.0)), vcpus(left.vcpus)];
    if needs.disk > 0 {
        parts.push(format!("{} of disk", MiB(left.disk.0)));
    }
    let places = plural(left.nodes as usize, "place");
    format!("{} and {places}", parts.join(", "))
}

fn phrase(lack: Shortage, group: &GroupName) -> String {
    match lack {
        Shortage::Memory => "too little memory".to_owned(),
        Shortage::Vcpus => "too few vCPUs".to_owned(),
        Shortage::Disk => "too little disk".to_owned(),
        Shortage::MaxNodes => "`max_nodes` is reached".to_owned(),
        Shortage::Separate => format!("holds nodes that {group} must be separate from"),
        Shortage::On => format!("not in `on` of {group}"),
        Shortage::Failed => "failed there".to_owned(),
        Shortage::Unreached => "not reached".to_owned(),
    }
}
