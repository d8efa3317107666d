//! Neighbour (ARP) tables: the limits of the kernels against what hosts, controller and nodes need.

use super::evidence::Evidence;
use super::finding::{Finding, Severity, Subject};
use crate::base::text::plural;
use crate::topology::{Network, Node, Topology};

const THRESH2: &str = "net/ipv4/neigh/default/gc_thresh2";
const THRESH3: &str = "net/ipv4/neigh/default/gc_thresh3";
/// Linux 5.0: permanent entries are no longer counted (commits 58956317c8de and e997f8a20a57).
const EXEMPT: (u32, u32) = (5, 0);
/// Default `gc_thresh3` of the kernel (`net/ipv4/arp.c`).
const STOCK: u64 = 1024;

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let (nodes, hosts) = (evidence.topology.nodes.len() as u64, evidence.hosts.len() as u64);
    let (own, bridged): (Vec<&Network>, Vec<&Network>) = evidence
        .topology
        .all_networks()
        .partition(|network| network.bridge.is_none());
    // On our own bridge every node of the network and every host has a permanent entry; on an existing bridge the
    // host learns its own nodes.
    let permanent: u64 = own
        .iter()
        .map(|network| members(evidence.topology, network) + hosts)
        .sum();
    for (host, machine) in evidence.machines() {
        let (Some(second), Some(third)) = (machine.setting(THRESH2), machine.setting(THRESH3)) else {
            continue;
        };
        let learnt = (bridged.len() * evidence.nodes_on(host)) as u64;
        let counted = machine.kernel.is_none_or(|kernel| kernel < EXEMPT);
        let needed = machine.neighbours + hosts + learnt + if counted { permanent } else { 0 };
        let subject = Subject::Host(host.name().clone());
        findings.push(check_table(subject, needed, (second, third)));
    }
    if let Some(thresholds) = evidence.controller.thresholds {
        let needed = evidence.controller.neighbours + hosts;
        findings.push(check_table(Subject::Controller, needed, thresholds));
    }
    if nodes > STOCK / 2 {
        findings.push(guests(nodes));
    }
    findings
}

/// How many nodes join a network.
fn members(topology: &Topology, network: &Network) -> u64 {
    let joins = |node: &&Node| network.name.is_cluster() || node.networks.contains(&network.name);
    topology.nodes.iter().filter(joins).count() as u64
}

fn check_table(subject: Subject, needed: u64, (second, third): (u64, u64)) -> Finding {
    if needed <= second {
        return Finding::new(
            Severity::Ok,
            "arp",
            subject,
            format!("the neighbour table has room (gc_thresh2 {second}, gc_thresh3 {third})"),
        );
    }
    let severity = if needed > third {
        Severity::Error
    } else {
        Severity::Warning
    };
    let what = format!("{needed} neighbours are expected; gc_thresh2 is {second}, gc_thresh3 {third}");
    // Twice what is needed: other programs cause entries too.
    let most = (needed * 2).next_power_of_two().max(STOCK);
    Finding::new(severity, "arp", subject, what)
        .because(
            "above gc_thresh2 entries live 5 seconds, above gc_thresh3 packets are dropped (`neighbour table overflow`)",
        )
        .fixed_by(format!(
            "cd /proc/sys/net/ipv4/neigh/default && echo {most} >gc_thresh3 && echo {} >gc_thresh2 && echo {} >gc_thresh1",
            most / 2,
            most / 4
        ))
}

fn guests(nodes: u64) -> Finding {
    let severity = if nodes > STOCK {
        Severity::Warning
    } else {
        Severity::Info
    };
    let most = (nodes * 2).next_power_of_two();
    Finding::topology(
        severity,
        "arp-nodes",
        format!("a node that talks to all others has {}", plural(nodes as usize, "neighbour")),
    )
    .because(format!(
        "by default, the kernel of a node drops entries early above {} and packets above {STOCK}",
        STOCK / 2
    ))
    .advised(format!(
        "add to `configure`: {{ on: \"@all\", run: \"cd /proc/sys/net/ipv4/neigh/default && echo {most} >gc_thresh3 && \
         echo {} >gc_thresh2\" }}",
        most / 2
    ))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Remedy;
    use super::super::fixture::World;
    use super::*;

    fn of_first_host(world: &World) -> Finding {
        check(&world.evidence()).remove(0)
    }

    #[test]
    fn permanent_entries_count_only_for_old_kernels() {
        let mut world = World::new(2, 600);
        assert_eq!(of_first_host(&world).severity, Severity::Ok);
        world.hosts[0].machine.as_mut().unwrap().kernel = Some((4, 19));
        let old = of_first_host(&world);
        // 5 that it has, 2 hosts, 602 permanent ones.
        assert!(old.what.starts_with("609 neighbours"), "{}", old.what);
        assert_eq!(old.severity, Severity::Warning);
    }

    #[test]
    fn a_table_that_would_overflow_is_an_error_and_the_fix_raises_the_limits() {
        let mut world = World::new(2, 2);
        let machine = world.hosts[0].machine.as_mut().unwrap();
        machine.settings.insert(THRESH2.into(), 2);
        machine.settings.insert(THRESH3.into(), 4);
        let finding = of_first_host(&world);
        assert_eq!(finding.severity, Severity::Error);
        let Some(Remedy::There { command, safe: true }) = finding.remedy else {
            panic!("the fix raises the limits");
        };
        assert!(
            command.contains("echo 1024 >gc_thresh3 && echo 512 >gc_thresh2"),
            "{command}"
        );
    }

    #[test]
    fn the_controller_has_a_table_too() {
        let mut world = World::new(3, 3);
        world.controller.neighbours = 600;
        let findings = check(&world.evidence());
        let controller = findings
            .iter()
            .find(|finding| finding.subject == Subject::Controller);
        assert_eq!(controller.unwrap().severity, Severity::Warning);
    }

    #[test]
    fn many_nodes_need_larger_tables_of_their_own() {
        let of_nodes = |nodes| {
            let findings = check(&World::new(2, nodes).evidence());
            let mut found = findings
                .into_iter()
                .filter(|finding| finding.check == "arp-nodes");
            found.next().map(|finding| finding.severity)
        };
        assert_eq!(of_nodes(150), None);
        assert_eq!(of_nodes(600), Some(Severity::Info));
        assert_eq!(of_nodes(1100), Some(Severity::Warning));
    }
}
