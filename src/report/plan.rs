//! A plan for people: per host what is promised of its capacity, and the actions with their reasons,
//! with the nodes folded.

use std::collections::HashMap;
use std::fmt::Write as _;

use crate::base::event::ActionKind;
use crate::base::units::MiB;
use crate::nodeset::fold;
use crate::plan::{Action, HostPlan, Plan};

/// Renders a plan: a block of lines per host and a total at the end.
pub fn plan(plan: &Plan) -> String {
    let mut by_host: HashMap<&str, Vec<&Action>> = HashMap::new();
    for action in &plan.actions {
        by_host.entry(action.host.as_str()).or_default().push(action);
    }
    let mut out = head(plan);
    for host in &plan.hosts {
        out.push('\n');
        out.push_str(&host_line(host));
        for (kind, reason, nodes) in grouped(by_host.get(host.name.as_str()).map_or(&[], Vec::as_slice)) {
            let _ = writeln!(out, "  {:<8} {}  {reason}", word(kind), fold(nodes));
        }
    }
    for (reason, nodes) in plan.missing_by_reason() {
        let _ = writeln!(out, "\nmissing  {}  {reason}", fold(nodes));
    }
    out.push('\n');
    out.push_str(&total(plan));
    out
}

/// The plan as a JSON line, for other programs: the same data, nothing folded.
pub fn plan_json(plan: &Plan) {
    super::json::line("plan", &serde_json::json!({ "plan": plan }));
}

fn head(plan: &Plan) -> String {
    let network = &plan.network;
    let mut line = format!(
        "{}: {} on {}, {}, mtu {}",
        plan.cluster,
        count(plan.nodes.len(), "node"),
        count(plan.hosts.len(), "host"),
        network.subnet,
        network.mtu
    );
    let _ = write!(line, ", bridge {}", network.bridge);
    if let Some(vxlan) = &network.vxlan {
        let _ = write!(line, ", vxlan {}", vxlan.vni);
    }
    if network.nat {
        line.push_str(", nat");
    }
    line + "\n"
}

fn host_line(host: &HostPlan) -> String {
    let capacity = &host.capacity;
    let mut line = format!(
        "{}  {} of {}, memory {} of {}, vcpus {} of {}",
        host.name,
        host.nodes.len(),
        count(capacity.nodes as usize, "node"),
        host.memory,
        capacity.memory,
        host.vcpus,
        capacity.vcpus
    );
    if host.disk > MiB(0) {
        let _ = write!(line, ", disk {} of {}", host.disk, capacity.disk);
    }
    line + "\n"
}

/// Groups actions by kind and reason, in order of first appearance.
fn grouped<'a>(actions: &[&'a Action]) -> Vec<(ActionKind, &'a str, Vec<&'a str>)> {
    let mut groups: Vec<(ActionKind, &str, Vec<&str>)> = Vec::new();
    let mut places: HashMap<(ActionKind, &str), usize> = HashMap::new();
    for action in actions {
        let key = (action.kind, action.reason.as_str());
        let place = *places.entry(key).or_insert_with(|| {
            groups.push((key.0, key.1, Vec::new()));
            groups.len() - 1
        });
        groups[place].2.push(action.node.as_str());
    }
    groups
}

fn total(plan: &Plan) -> String {
    let kinds = [
        ActionKind::Remove,
        ActionKind::Create,
        ActionKind::Recreate,
        ActionKind::Start,
        ActionKind::Keep,
    ];
    let parts: Vec<String> = kinds
        .into_iter()
        .filter_map(|kind| {
            let count = plan.actions.iter().filter(|action| action.kind == kind).count();
            (count > 0).then(|| format!("{count} to {}", word(kind)))
        })
        .collect();
    let memory: u64 = plan.hosts.iter().map(|host| host.memory.0).sum();
    let vcpus: u32 = plan.hosts.iter().map(|host| host.vcpus).sum();
    let parts = if parts.is_empty() {
        "nothing to do".to_owned()
    } else {
        parts.join(", ")
    };
    format!("total: {parts}; memory {}, vcpus {vcpus}\n", MiB(memory))
}

fn word(kind: ActionKind) -> &'static str {
    match kind {
        ActionKind::Keep => "keep",
        ActionKind::Create => "create",
        ActionKind::Recreate => "recreate",
        ActionKind::Start => "start",
        ActionKind::Remove => "remove",
    }
}

fn count(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
