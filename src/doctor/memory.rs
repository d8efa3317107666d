//! Memory as it is now: what is available, swap, overcommit, KSM.

use std::collections::BTreeMap;

use super::evidence::Evidence;
use super::finding::{Finding, Severity};
use crate::base::name::HostName;
use crate::base::units::MiB;
use crate::nodeset::fold;
use crate::plan::Plan;

/// What QEMU needs in addition to its guest's memory, in MiB (measured with QEMU 7.2: 61 with KVM, 93 emulated).
const OVERHEAD: u64 = 64;

/// Hosts that are one machine, by the kernel's boot ID.
#[derive(Default)]
struct Shared<'a> {
    hosts: Vec<&'a HostName>,
    available: MiB,
    promised: u64,
}

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
                    format!("{} of {} of swap is in use", machine.swap_used, machine.swap),
                )
                .because("a guest whose memory is swapped out stalls for seconds, which looks like a bug in the software under test")
                .left_to_owner("swapoff -a && swapon -a"),
            );
        }
        if machine.setting("vm/overcommit_memory") == Some(2) {
            findings.push(
                Finding::host(
                    Severity::Warning,
                    "overcommit",
                    host.name(),
                    "vm.overcommit_memory is 2: the kernel refuses allocations beyond its limit",
                )
                .because("QEMU allocates all of its guest's memory at once, which may be refused although memory is free")
                .left_to_owner("sysctl -w vm.overcommit_memory=0"),
            );
        }
        if machine.ksm == Some(true) {
            findings.push(
                Finding::host(Severity::Info, "ksm", host.name(), "KSM merges equal pages of guests").because(
                    "more guests fit, but ksmd takes CPU time from the guests: note it with your measurements",
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
        let starts = plan
            .actions
            .iter()
            .filter(|action| action.host == *host.name() && action.kind.boots());
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
                .because("they share CPUs and memory, but the planner counts both for each of them"),
            );
        }
        if machine.promised > machine.available.0 {
            let finding = Finding::host(
                Severity::Warning,
                "memory",
                first,
                format!(
                    "{} is available now; the nodes to be started may grow to {}",
                    machine.available,
                    MiB(machine.promised)
                ),
            );
            findings.push(
                finding
                    .because(
                        "the planner uses the total memory of the host, but other programs there use some of it, and the \
                         kernel kills processes when none is left",
                    )
                    .advised("stop other programs there, raise `reserve` of the host, or lower `memory` of the nodes"),
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
    fn memory_that_other_programs_use_is_reported() {
        let mut world = World::new(1, 2);
        assert_eq!(severities(&world), []);
        world.hosts[0].seen.as_mut().unwrap().facts.memory_available = MiB(2 * (96 + OVERHEAD) - 1);
        assert_eq!(severities(&world), [(Severity::Warning, "memory")]);
    }

    #[test]
    fn hosts_that_are_one_machine_share_its_memory() {
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
    fn swap_in_use_and_strict_overcommit_are_warnings() {
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
