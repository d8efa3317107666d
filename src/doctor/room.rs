//! Whether the nodes fit, according to the planner that `up` uses, and what is left then.

use super::evidence::Evidence;
use super::finding::{Finding, Severity};
use crate::base::failure::UserFacing;
use crate::base::text::plural;
use crate::base::units::MiB;
use crate::plan::Plan;

/// Files of a node on its host: overlay, seed, console log and its rotated parts.
const FILES: u64 = 8;
/// Free space that the host's own logs and images need.
const LEAST: MiB = MiB(1024);

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let nodes = plural(evidence.topology.nodes.len(), "node");
    let mut findings = Vec::new();
    match &evidence.plan {
        None => findings.push(
            Finding::topology(Severity::Error, "room", format!("cannot place {nodes}"))
                .because("no host could be observed, and `up` plans with what the hosts have")
                .advised("fix the errors of the hosts, then run `vcluster doctor` again"),
        ),
        Some(Err(error)) => findings.push(
            Finding::topology(Severity::Error, "room", error.to_string())
                .because(format!("there is no plan for {nodes}, so `up` fails"))
                .advised(error.hint().unwrap_or_else(|| "change the topology".into())),
        ),
        Some(Ok(plan)) => {
            findings.push(fits(plan, &nodes));
            findings.extend(overcommitted(evidence, plan));
        }
    }
    for (host, machine) in evidence.machines() {
        let needed = FILES * evidence.starts_on(host) as u64;
        if let Some(free) = machine.inodes.filter(|free| *free < needed) {
            findings.push(
                Finding::host(
                    Severity::Error,
                    "inodes",
                    host.name(),
                    format!("{free} inodes are free for the nodes' files; {needed} are needed"),
                )
                .because(format!("a node has up to {FILES} files there"))
                .advised("remove files below /var/lib/libvirt, or give it a file system with more inodes"),
            );
        }
        let part = evidence.part(host.name());
        let Some(seen) = &host.seen else { continue };
        let promised = part.map_or(0, |part| part.disk.0);
        let left = seen.facts.disk_free.0.saturating_sub(promised);
        if left < LEAST.0 {
            findings.push(
                Finding::host(
                    Severity::Warning,
                    "disk",
                    host.name(),
                    format!(
                        "{} of disk is free, {} is promised to nodes",
                        seen.facts.disk_free,
                        MiB(promised)
                    ),
                )
                .because("images, seeds and console logs need space besides the nodes' disks")
                .advised("free space below /var/lib/libvirt/images"),
            );
        }
    }
    findings
}

fn fits(plan: &Plan, nodes: &str) -> Finding {
    let used = plan.hosts.iter().filter(|host| !host.nodes.is_empty());
    let (mut hosts, mut places, mut memory, mut vcpus, mut disk) = (0, 0_u64, 0, 0_u64, 0);
    for host in used {
        hosts += 1;
        let capacity = &host.capacity;
        places += u64::from(capacity.nodes).saturating_sub(host.nodes.len() as u64);
        memory += capacity.memory.0.saturating_sub(host.memory.0);
        vcpus += u64::from(capacity.vcpus.saturating_sub(host.vcpus));
        disk += capacity.disk.0.saturating_sub(host.disk.0);
    }
    Finding::topology(
        Severity::Ok,
        "room",
        format!(
            "{nodes} fit on {}; room left there: {}, {} of memory, {} and {} of disk",
            plural(hosts, "host"),
            plural(places as usize, "node"),
            MiB(memory),
            plural(vcpus as usize, "vCPU"),
            MiB(disk)
        ),
    )
}

/// Hosts with more promised vCPUs than CPU threads.
fn overcommitted(evidence: &Evidence<'_>, plan: &Plan) -> Vec<Finding> {
    let mut findings = Vec::new();
    for host in &evidence.hosts {
        let (Some(seen), Some(part)) = (
            &host.seen,
            plan.hosts.iter().find(|part| part.name == *host.name()),
        ) else {
            continue;
        };
        if part.vcpus > seen.facts.cpus {
            let what = format!("{} vCPUs on {} threads", part.vcpus, seen.facts.cpus);
            findings.push(Finding::host(Severity::Info, "vcpus", host.name(), what).because(
                "nodes wait for each other when all are busy: throughput and tail latency are less reliable than ratios",
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::fixture::World;
    use super::*;

    fn of(world: &World, check_name: &str) -> Option<Finding> {
        let mut findings = check(&world.evidence()).into_iter();
        findings.find(|finding| finding.check == check_name)
    }

    #[test]
    fn a_plan_that_fits_reports_what_is_left() {
        let room = of(&World::new(2, 12), "room").unwrap();
        assert_eq!(room.severity, Severity::Ok);
        assert!(
            room.what
                .starts_with("12 nodes fit on 2 hosts; room left there: 8 nodes"),
            "{}",
            room.what
        );
    }

    #[test]
    fn what_does_not_fit_is_reported_in_the_planners_words() {
        let room = of(&World::new(2, 21), "room").unwrap();
        assert_eq!(room.severity, Severity::Error);
        assert!(room.what.contains("max_nodes"), "{}", room.what);
    }

    #[test]
    fn without_any_host_there_is_no_plan() {
        let mut world = World::new(1, 1);
        world.hosts[0].seen = None;
        assert_eq!(of(&world, "room").unwrap().severity, Severity::Error);
    }

    #[test]
    fn disk_inodes_and_vcpus_are_checked() {
        let mut world = World::new(1, 9);
        world.hosts[0].machine.as_mut().unwrap().inodes = Some(71);
        let facts = &mut world.hosts[0].seen.as_mut().unwrap().facts;
        facts.disk_free = MiB(1000);
        assert_eq!(of(&world, "inodes").unwrap().severity, Severity::Error);
        assert_eq!(of(&world, "disk").unwrap().severity, Severity::Warning);
        assert_eq!(of(&world, "vcpus").unwrap().what, "9 vCPUs on 8 threads");
    }
}
