//! Memory as it is now: what could be given out, swap, overcommitment, merging of equal pages.

use std::collections::BTreeMap;

use super::evidence::Evidence;
use super::finding::{Finding, Severity};
use crate::name::HostName;
use crate::nodeset::fold;
use crate::plan::{ActionKind, Plan};
use crate::units::MiB;

/// What a QEMU needs beside its guest's memory, in MiB (measured with QEMU 7.2: 61 with KVM, 93 emulated).
const OVERHEAD: u64 = 64;

/// Hosts that are one machine, told by the kernel's boot id.
#[derive(Default)]
struct Shared<'a> {
    hosts: Vec<&'a HostName>,
    available: MiB,
    promised: u64,
}

/// The check.
pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings = evidence
        .good_plan()
        .map(|plan| available(evidence, plan))
        .unwrap_or_default();
    for (host, machine) in evidence.machines() {
        if machine.swap_used.0 * 10 > machine.swap.0 {
            findings.push(
                Finding::host(
                    Severity::Warning,
                    "swap",
                    host.name(),
                    format!("{} of {} of swap are in use", machine.swap_used, machine.swap),
                )
                .because("a guest whose memory is on disk stalls for seconds, which looks like a fault of the software under test")
                .mended_by("swapoff -a && swapon -a"),
            );
        }
        if machine.setting("vm/overcommit_memory") == Some(2) {
            findings.push(
                Finding::host(
                    Severity::Warning,
                    "overcommit",
                    host.name(),
                    "vm.overcommit_memory is 2: the kernel refuses memory beyond its limit",
                )
                .because("a QEMU asks for all of its guest's memory at once, and may be refused though memory is free")
                .mended_by("sysctl -w vm.overcommit_memory=0"),
            );
        }
        if machine.ksm == Some(true) {
            findings.push(
                Finding::host(Severity::Info, "ksm", host.name(), "equal pages of guests are merged").because(
                    "more guests fit, and ksmd takes CPU time that the guests then miss: note it beside what is measured",
                ),
            );
        }
    }
    findings
}

fn available(evidence: &Evidence<'_>, plan: &Plan) -> Vec<Finding> {
    let mut machines: BTreeMap<&str, Shared<'_>> = BTreeMap::new();
    for host in &evidence.hosts {
        let Some(seen) = &host.seen else { continue };
        let id = seen.facts.boot_id.as_deref().unwrap_or(host.name().as_str());
        let machine = machines.entry(id).or_default();
        machine.hosts.push(host.name());
        machine.available = seen.facts.memory_available;
        let starts = plan.actions.iter().filter(|action| {
            action.host == *host.name() && !matches!(action.kind, ActionKind::Keep | ActionKind::Remove)
        });
        for action in starts {
            let node = plan.nodes.iter().find(|node| node.name == action.node);
            machine.promised += node.map_or(0, |node| node.spec.memory.0 + OVERHEAD);
        }
    }
    let mut findings = Vec::new();
    for machine in machines.values() {
        let first = machine.hosts[0];
        if machine.hosts.len() > 1 {
            findings.push(
                Finding::topology(
                    Severity::Info,
                    "machine",
                    format!("{} are one machine", fold(&machine.hosts)),
                )
                .because("they share CPUs and memory, which the planner counts for each of them"),
            );
        }
        if machine.promised > machine.available.0 {
            let finding = Finding::host(
                Severity::Warning,
                "memory",
                first,
                format!(
                    "{} could be given out now; the nodes to be started may grow to {}",
                    machine.available,
                    MiB(machine.promised)
                ),
            );
            findings.push(
                finding
                    .because(
                        "the planner goes by the memory that the host has; what else runs there now leaves less, and the \
                         kernel ends processes when it is used up",
                    )
                    .advised("end what else runs there, raise `reserve` of the host, or lower `memory` of the nodes"),
            );
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::fixture::World;
    use super::*;

    fn severities(world: &World) -> Vec<(Severity, &'static str)> {
        let findings = check(&world.evidence());
        findings
            .iter()
            .map(|found| (found.severity, found.check))
            .collect()
    }

    #[test]
    fn memory_that_is_used_up_by_others_is_seen() {
        let mut world = World::new(1, 2);
        assert_eq!(severities(&world), []);
        world.hosts[0].seen.as_mut().unwrap().facts.memory_available = MiB(2 * (96 + OVERHEAD) - 1);
        assert_eq!(severities(&world), [(Severity::Warning, "memory")]);
    }

    #[test]
    fn hosts_that_are_one_machine_share_what_it_has() {
        let mut world = World::new(2, 4);
        for host in &mut world.hosts {
            let facts = &mut host.seen.as_mut().unwrap().facts;
            facts.boot_id = Some("one".into());
            facts.memory_available = MiB(3 * (96 + OVERHEAD));
        }
        assert_eq!(
            severities(&world),
            [(Severity::Info, "machine"), (Severity::Warning, "memory")]
        );
    }

    #[test]
    fn swap_in_use_and_strict_overcommitment_are_warnings() {
        let mut world = World::new(1, 1);
        let machine = world.hosts[0].machine.as_mut().unwrap();
        (machine.swap, machine.swap_used) = (MiB(1000), MiB(101));
        machine.settings.insert("vm/overcommit_memory".into(), 2);
        machine.ksm = Some(true);
        assert_eq!(
            severities(&world),
            [
                (Severity::Warning, "swap"),
                (Severity::Warning, "overcommit"),
                (Severity::Info, "ksm")
            ]
        );
    }
}
