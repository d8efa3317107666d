//! A plan for people: per host what is promised of its capacity, and the actions with their reasons,
//! with the nodes folded.

use std::fmt::Write as _;

use crate::base::event::ActionKind;
use crate::base::group::grouped;
use crate::base::text::plural;
use crate::base::units::MiB;
use crate::nodeset::fold;
use crate::plan::{HostPlan, NetworkPlan, Plan};

/// Renders a plan: its networks, a block of lines per host and a total at the end.
pub fn plan(plan: &Plan) -> String {
    let by_host = grouped(plan.actions.iter().map(|action| (&action.host, action)));
    let mut out = head(plan);
    for host in &plan.hosts {
        out.push('\n');
        out.push_str(&host_line(host));
        let actions = by_host.get(&host.name).into_iter().flatten();
        let by_reason = grouped(actions.map(|action| ((action.kind, &action.reason), &action.node)));
        for ((kind, reason), nodes) in by_reason {
            let _ = writeln!(out, "  {:<8} {}  {reason}", kind.as_str(), fold(nodes));
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
    let mut head = format!(
        "{}: {} on {}, {}\n",
        plan.cluster,
        plural(plan.nodes.len(), "node"),
        plural(plan.hosts.len(), "host"),
        network_line(&plan.network)
    );
    for network in &plan.networks {
        let _ = writeln!(head, "network {}: {}", network.name, network_line(network));
    }
    head
}

fn network_line(network: &NetworkPlan) -> String {
    let mut line = format!("{}, mtu {}", network.subnet, network.mtu);
    let _ = write!(line, ", bridge {}", network.bridge);
    if let Some(vxlan) = &network.vxlan {
        let _ = write!(line, ", vxlan {}", vxlan.vni);
    }
    if network.nat {
        line.push_str(", nat");
    }
    line
}

fn host_line(host: &HostPlan) -> String {
    let capacity = &host.capacity;
    let mut line = format!(
        "{}  {} of {}, memory {} of {}, vcpus {} of {}",
        host.name,
        host.nodes.len(),
        plural(capacity.nodes as usize, "node"),
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

fn total(plan: &Plan) -> String {
    let kinds = [
        ActionKind::Remove,
        ActionKind::Create,
        ActionKind::Recreate,
        ActionKind::Start,
        ActionKind::Restart,
        ActionKind::Configure,
        ActionKind::Keep,
    ];
    let parts: Vec<String> = kinds
        .into_iter()
        .filter_map(|kind| {
            let count = plan.actions.iter().filter(|action| action.kind == kind).count();
            (count > 0).then(|| format!("{count} to {}", kind.as_str()))
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
