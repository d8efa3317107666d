//! The assumptions of a run: what must be equal for two runs to be compared, except for what was varied. Texts by name,
//! such as `image.redis`, `vars.rev` and `host.bm01.kernel`; digests where the whole is long.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::git;
use super::locks::ClusterLocks;
use crate::base::digest::sha256;
use crate::base::event::Events;
use crate::base::name::{GroupName, HostName};
use crate::base::patience::patience;
use crate::engine::{HOSTS_AT_ONCE, Pending};
use crate::host::Conditions;
use crate::nodeset;
use crate::plan::Plan;
use crate::topology::{Topology, WorkloadStep};

/// Time for a host to report its facts.
const FACTS: Duration = Duration::from_secs(10);

/// A value of a variable that is longer, in bytes, is a digest here.
const LONGEST: usize = 200;

/// Assumptions by name.
pub(super) type Assumptions = BTreeMap<String, String>;

/// What the topology, the plan and the chosen steps say.
pub(super) fn of_plan(topology: &Topology, plan: &Plan, steps: &[WorkloadStep]) -> Assumptions {
    let mut found = Assumptions::new();
    let mut add = |name: String, value: String| {
        found.insert(name, value);
    };
    add("vcluster".into(), env!("CARGO_PKG_VERSION").into());
    add("topology".into(), sha256(&topology.text));
    for (name, value) in &topology.vars {
        add(format!("vars.{name}"), of_variable(value));
    }
    let mut placement = String::new();
    for node in &plan.nodes {
        add(format!("image.{}", node.spec.image), node.spec.image_key.clone());
        placement.push_str(&format!("{} {}\n", node.name, node.host));
    }
    add("placement".into(), sha256(placement));
    add("nodes".into(), plan.nodes.len().to_string());
    for (group, size) in sizes(plan) {
        let name = &group;
        let nodes = || plan.nodes.iter().filter(move |node| node.group == *name);
        let vcpus: BTreeSet<String> = nodes().map(|node| node.spec.vcpus.to_string()).collect();
        let memory: BTreeSet<String> = nodes().map(|node| node.spec.memory.to_string()).collect();
        add(format!("group.{group}"), size.to_string());
        add(format!("group.{group}.vcpus"), joined(vcpus));
        add(format!("group.{group}.memory"), joined(memory));
    }
    let names = steps.iter().map(|step| step.name.as_str());
    add("steps".into(), names.collect::<Vec<_>>().join(","));
    for step in steps {
        let mut whole = topology.workload.iter();
        if whole.any(|whole| whole.name == step.name && whole.on != step.on) {
            add(format!("on.{}", step.name), nodeset::fold(&step.on));
        }
    }
    found
}

/// How many nodes of each group the plan has.
pub(super) fn sizes(plan: &Plan) -> BTreeMap<GroupName, u32> {
    let mut sizes = BTreeMap::new();
    for node in &plan.nodes {
        *sizes.entry(node.group.clone()).or_default() += 1;
    }
    sizes
}

fn joined(values: BTreeSet<String>) -> String {
    values.into_iter().collect::<Vec<_>>().join(", ")
}

fn of_variable(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if text.len() > LONGEST {
        return format!("sha256:{}", sha256(text));
    }
    text
}

/// What git says of the directory of the topology.
pub(super) async fn of_repository(directory: &Path) -> Assumptions {
    let mut found = Assumptions::new();
    if let Some(repository) = git::repository(directory).await {
        found.insert("git.commit".into(), repository.commit);
        if let Some(is_dirty) = repository.is_dirty {
            found.insert("git.dirty".into(), is_dirty.to_string());
        }
    }
    found
}

/// What the hosts report. One that does not answer in time has no assumptions, and a warning names it.
pub(super) async fn of_hosts(plan: &Plan, holds: &ClusterLocks, events: &Events) -> Assumptions {
    let hosts = holds.hosts();
    let answers = Pending::each(
        events,
        "the kernel and the CPU of",
        HOSTS_AT_ONCE,
        &hosts,
        |host| *host,
        |host| async move {
            let domains = plan.nodes.iter().filter(|node| node.host == *host);
            let domains: Vec<&str> = domains.map(|node| node.domain.as_str()).collect();
            let asked = holds.conditions(host, &domains);
            tokio::time::timeout(patience(FACTS), asked).await.ok().flatten()
        },
    )
    .await;
    let mut found = Assumptions::new();
    let mut silent = Vec::new();
    for (host, answer) in hosts.iter().zip(answers) {
        match answer {
            Some(conditions) => found.extend(of_host(host, &conditions, promised(plan, host))),
            None => silent.push(host),
        }
    }
    if !silent.is_empty() {
        let hosts = nodeset::fold(silent);
        events.warn(format!(
            "no answer from {hosts} about kernel and CPU: the assumptions of this run lack them"
        ));
    }
    found
}

/// The vCPUs that the plan promises to nodes on a host.
fn promised(plan: &Plan, host: &HostName) -> u32 {
    let nodes = plan.nodes.iter().filter(|node| node.host == *host);
    nodes.map(|node| node.spec.vcpus).sum()
}

fn of_host(host: &HostName, conditions: &Conditions, promised: u32) -> Vec<(String, String)> {
    let Conditions {
        kernel,
        cpu,
        microcode,
        mhz,
        cpus,
        memory,
        ksm,
        libvirt,
        qemu,
        kvm,
    } = conditions;
    let overcommitment = cpus.map(|cpus| format!("{:.2}", f64::from(promised) / f64::from(cpus)));
    let all = [
        ("kernel", kernel.clone()),
        ("cpu", cpu.clone()),
        ("microcode", microcode.clone()),
        ("mhz", mhz.map(|mhz| mhz.to_string())),
        ("cpus", cpus.map(|cpus| cpus.to_string())),
        ("memory", memory.map(|memory| memory.to_string())),
        ("overcommitment", overcommitment),
        ("ksm", ksm.map(|ksm| String::from(if ksm { "on" } else { "off" }))),
        ("libvirt", libvirt.clone()),
        ("qemu", qemu.clone()),
        (
            "accel",
            kvm.map(|kvm| String::from(if kvm { "kvm" } else { "tcg" })),
        ),
    ];
    let known = all.into_iter().filter_map(|(name, value)| Some((name, value?)));
    known
        .map(|(name, value)| (format!("host.{host}.{name}"), value))
        .collect()
}

/// Whether the assumptions have the facts of a host.
pub(super) fn has_hosts(assumptions: &Assumptions) -> bool {
    assumptions.keys().any(|name| name.starts_with("host."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::units::MiB;

    #[test]
    fn a_host_gives_what_it_reported_and_nothing_else() {
        let conditions = Conditions {
            kernel: Some("6.1".into()),
            cpus: Some(8),
            memory: Some(MiB(16 * 1024)),
            ksm: Some(false),
            kvm: Some(true),
            ..Conditions::default()
        };
        let found = of_host(&"bm01".parse().unwrap(), &conditions, 12);
        let found: Vec<(&str, &str)> = found
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let wanted = [
            ("host.bm01.kernel", "6.1"),
            ("host.bm01.cpus", "8"),
            ("host.bm01.memory", "16 GiB"),
            ("host.bm01.overcommitment", "1.50"),
            ("host.bm01.ksm", "off"),
            ("host.bm01.accel", "kvm"),
        ];
        assert_eq!(found, wanted);
    }

    #[test]
    fn a_long_variable_becomes_a_digest_and_others_are_as_written() {
        assert_eq!(of_variable(&Value::from("new")), "new");
        assert_eq!(
            of_variable(&serde_json::json!({ "a": [1, true] })),
            r#"{"a":[1,true]}"#
        );
        let long = of_variable(&Value::from("x".repeat(1000)));
        assert!(long.starts_with("sha256:") && long.len() == 71, "{long}");
    }
}
