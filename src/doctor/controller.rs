//! The controller: the OpenSSH client, and how many files vcluster may open.

use super::evidence::Evidence;
use super::finding::{Finding, Severity};

/// For each host: its SSH connection, the socket to libvirt, its two ends.
const PER_HOST: u64 = 4;
/// Standard streams, state files, the runtime's own.
const FIXED: u64 = 64;

/// Whether `ssh` is there: it is asked how each host is reached.
pub(super) fn client(evidence: &Evidence<'_>) -> Vec<Finding> {
    if evidence.hosts.iter().all(|host| host.local) {
        return Vec::new();
    }
    vec![match &evidence.controller.ssh {
        Some(version) => {
            Finding::controller(Severity::Ok, "ssh", format!("has the OpenSSH client ({version})"))
        }
        None => Finding::controller(Severity::Error, "ssh", "the OpenSSH client is not installed")
            .because("`ssh -G` reports how each host is reached, and the nodes are reached through the hosts")
            .advised("install the OpenSSH client (on Debian: `apt-get install openssh-client`)"),
    }]
}

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let controller = &evidence.controller;
    // Nodes are channels of their host's connection; only nodes on this machine have a socket each.
    let direct: usize = evidence
        .hosts
        .iter()
        .filter(|host| host.local)
        .map(|host| evidence.nodes_on(host))
        .sum();
    let needed = FIXED + PER_HOST * evidence.hosts.len() as u64 + direct as u64;
    if controller.files >= needed {
        let what = format!("may open {} files", shown(controller.files));
        return vec![Finding::controller(Severity::Ok, "files", what)];
    }
    let what = format!("may open {} files; {needed} are needed", controller.files);
    vec![
        Finding::controller(Severity::Error, "files", what)
            .because(
                "every host, and every node that is reached directly, is a connection; the command changes this shell, \
                 /etc/security/limits.conf changes the limit permanently",
            )
            .fixed_here(format!(
                "sudo prlimit --pid $$ --nofile={0}:{0}",
                needed.next_power_of_two().max(8192)
            )),
    ]
}

fn shown(limit: u64) -> String {
    if limit == u64::MAX {
        "any number of".into()
    } else {
        limit.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::World;
    use super::*;

    #[test]
    fn the_client_is_needed_only_for_hosts_that_are_not_this_machine() {
        let mut world = World::new(2, 2);
        assert_eq!(client(&world.evidence())[0].severity, Severity::Ok);
        world.controller.ssh = None;
        assert_eq!(client(&world.evidence())[0].severity, Severity::Error);
        for host in &mut world.hosts {
            host.local = true;
        }
        assert!(client(&world.evidence()).is_empty());
    }

    #[test]
    fn nodes_cost_a_file_only_if_they_are_reached_directly() {
        let mut world = World::new(15, 150);
        world.controller.files = 130;
        assert_eq!(check(&world.evidence())[0].severity, Severity::Ok);
        for host in &mut world.hosts {
            host.local = true;
        }
        let finding = check(&world.evidence()).remove(0);
        assert_eq!(finding.severity, Severity::Error);
        assert!(finding.what.contains("274 are needed"), "{}", finding.what);
    }
}
