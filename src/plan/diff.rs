//! What is done to a node, and why: compares the wanted spec with the observed one.

use super::existing::Found;
use super::model::{Due, NodePlan};
use crate::base::event::ActionKind;
use crate::inventory::{DomainState, InterfaceSpec, NodeSpec};

/// The action for a node that stays on its host.
pub(super) fn action(found: Found<'_>, wanted: &NodePlan) -> (ActionKind, String) {
    let mut spec = found.node.mark.spec.clone();
    // Unknown: an earlier release made the node, and its host does not tell. That is no reason to recreate it.
    if spec.bridge.is_none() {
        spec.bridge.clone_from(&wanted.spec.bridge);
    }
    let mut reasons = differences(&spec, &wanted.spec);
    if found.node.mark.group != wanted.group {
        reasons.push(format!("group {} -> {}", found.node.mark.group, wanted.group));
    }
    if !reasons.is_empty() {
        return (ActionKind::Recreate, reasons.join(", "));
    }
    match found.node.state {
        DomainState::Running => (ActionKind::Keep, "up to date".to_owned()),
        DomainState::Paused => (ActionKind::Start, "its domain is paused".to_owned()),
        DomainState::Off => (ActionKind::Start, "its domain is off".to_owned()),
        DomainState::Crashed => (ActionKind::Start, "its domain has crashed".to_owned()),
    }
}

/// The action for such a node if something is due to it. What includes that already stays as it is.
pub(super) fn with_due(
    found: Found<'_>,
    (kind, reason): (ActionKind, String),
    due: Option<&Due>,
) -> (ActionKind, String) {
    use ActionKind::{Configure, Keep, Recreate, Restart, Start};
    let Some(due) = due else {
        return (kind, reason);
    };
    let applies = match due.kind {
        Configure => kind == Keep,
        Recreate => kind != Recreate,
        // The node is to boot as it is, even if it is outdated.
        Restart => true,
        Start if found.node.state == DomainState::Running => {
            return (Keep, "it runs already".to_owned());
        }
        Start => kind != Start,
        _ => false,
    };
    if applies {
        (due.kind, due.why.clone())
    } else {
        (kind, reason)
    }
}

/// The differences between two specs, as text; empty if and only if the specs are equal.
pub(super) fn differences(old: &NodeSpec, new: &NodeSpec) -> Vec<String> {
    let mut all = Vec::new();
    let mut compare = |what: &str, old: String, new: String| {
        if old != new {
            all.push(format!("{what} {old} -> {new}"));
        }
    };
    compare("memory", old.memory.to_string(), new.memory.to_string());
    compare("vcpus", old.vcpus.to_string(), new.vcpus.to_string());
    compare("disk", or_none(old.disk), or_none(new.disk));
    for number in 1..=old.disks.len().max(new.disks.len()) {
        let size = |spec: &NodeSpec| or_none(spec.disks.get(number - 1));
        compare(&format!("disk {number}"), size(old), size(new));
    }
    compare("image", old.image.to_string(), new.image.to_string());
    compare("address", old.address.to_string(), new.address.to_string());
    // The Ethernet address is derived from the IPv4 address.
    if old.address == new.address {
        compare("mac", old.mac.to_string(), new.mac.to_string());
    }
    let bridge = |spec: &NodeSpec| or_none(spec.bridge.as_ref());
    compare("bridge", bridge(old), bridge(new));
    compare("mtu", old.mtu.to_string(), new.mtu.to_string());
    compare("gateway", or_none(old.gateway), or_none(new.gateway));
    let list = |spec: &NodeSpec| match spec.dns.as_slice() {
        [] => "none".to_owned(),
        some => some.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
    };
    compare("dns", list(old), list(new));
    compare("firmware", old.firmware.to_string(), new.firmware.to_string());
    all.extend(networks(old, new));
    if old.image == new.image && old.image_key != new.image_key {
        all.push(format!("image {} changed", new.image));
    }
    if old.user_data != new.user_data {
        all.push("user_data changed".to_owned());
    }
    if old.client_key != new.client_key {
        all.push("the cluster's keys changed".to_owned());
    }
    // Two sizes may look the same when rounded for display.
    if all.is_empty() && old != new {
        all.push("its size changed".to_owned());
    }
    all
}

/// The differences between the further networks of two specs.
fn networks(old: &NodeSpec, new: &NodeSpec) -> Vec<String> {
    let of = |spec: &NodeSpec| -> Vec<String> {
        let names = spec.interfaces.iter().map(|interface| &interface.network);
        names.map(ToString::to_string).collect()
    };
    let (before, after) = (of(old), of(new));
    let lacking = |all: &[String], some: &[String], what: &str| -> Vec<String> {
        let lacking = all.iter().filter(|name| !some.contains(name));
        lacking.map(|name| format!("network {name} {what}")).collect()
    };
    let mut all = lacking(&after, &before, "added");
    all.extend(lacking(&before, &after, "removed"));
    if all.is_empty() && before != after {
        all.push(format!("networks {} -> {}", before.join(" "), after.join(" ")));
    }
    for new in &new.interfaces {
        let mut interfaces = old.interfaces.iter();
        if let Some(old) = interfaces.find(|old| old.network == new.network) {
            all.extend(interface(old, new));
        }
    }
    all
}

/// The differences between two interfaces in the same network.
fn interface(old: &InterfaceSpec, new: &InterfaceSpec) -> Vec<String> {
    let mut all = Vec::new();
    let mut compare = |what: &str, before: String, after: String| {
        if before != after {
            all.push(format!("{what} of {} {before} -> {after}", new.network));
        }
    };
    compare("address", old.address.to_string(), new.address.to_string());
    // The Ethernet address is derived from the IPv4 address.
    if old.address == new.address {
        compare("mac", old.mac.to_string(), new.mac.to_string());
    }
    compare("bridge", old.bridge.clone(), new.bridge.clone());
    compare("mtu", old.mtu.to_string(), new.mtu.to_string());
    compare("gateway", or_none(old.gateway), or_none(new.gateway));
    all
}

fn or_none<T: std::fmt::Display>(value: Option<T>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}
