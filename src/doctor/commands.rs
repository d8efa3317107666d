//! Commands that our scripts run on a host, and those that libvirt runs for us.

use std::collections::BTreeSet;

use super::evidence::Evidence;
use super::finding::{Finding, Severity};
use super::machine::Family;

/// Needed on every host.
const ALWAYS: [&str; 13] = [
    "ip",
    "tar",
    "find",
    "grep",
    "sed",
    "head",
    "tail",
    "tr",
    "mv",
    "df",
    "stat",
    "sha256sum",
    "qemu-img",
];

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut needed: Vec<(&str, &str)> = ALWAYS
        .iter()
        .map(|command| (*command, "every `up` needs them"))
        .collect();
    needed.push((
        "flock",
        "flock keeps two controllers from claiming the same capacity",
    ));
    if evidence.spans() {
        needed.push(("bridge", "bridge writes the VXLAN entries for the other hosts"));
        needed.push(("ping", "ping checks the MTU between the hosts"));
    }
    if evidence.nat() {
        needed.push(("nft", "nft implements `nat` of the topology"));
    }
    let mut findings = Vec::new();
    for (host, machine) in evidence.machines() {
        let mut lacking: Vec<(&str, &str)> = needed
            .iter()
            .copied()
            .filter(|(command, _)| machine.lacks(command))
            .collect();
        if !machine.emulator {
            lacking.push(("qemu-system-x86_64", "nodes run in QEMU"));
        }
        if lacking.is_empty() {
            findings.push(Finding::host(
                Severity::Ok,
                "commands",
                host.name(),
                "all required commands are installed",
            ));
            continue;
        }
        let names: Vec<&str> = lacking.iter().map(|(command, _)| *command).collect();
        let why: BTreeSet<&str> = lacking.iter().map(|(_, why)| *why).collect();
        let why: Vec<&str> = why.into_iter().collect();
        let finding = Finding::host(
            Severity::Error,
            "commands",
            host.name(),
            format!("not installed: {}", names.join(", ")),
        )
        .because(why.join("; "));
        findings.push(match install(machine.family, &names) {
            Some(command) => finding.left_to_owner(command),
            None => finding.advised("install them with the host's package manager"),
        });
    }
    findings
}

/// The command that installs the packages of these commands.
fn install(family: Family, commands: &[&str]) -> Option<String> {
    let packages: BTreeSet<&str> = commands.iter().map(|command| package(family, command)).collect();
    let packages: Vec<&str> = packages.into_iter().collect();
    let tool = match family {
        Family::Debian => "apt-get install -y",
        Family::Fedora => "dnf install -y",
        Family::Suse => "zypper install -y",
        Family::Other => return None,
    };
    Some(format!("{tool} {}", packages.join(" ")))
}

fn package(family: Family, command: &str) -> &str {
    match (command, family) {
        ("ip" | "bridge", Family::Fedora) => "iproute",
        ("ip" | "bridge", _) => "iproute2",
        ("nft", _) => "nftables",
        ("ping", Family::Debian) => "iputils-ping",
        ("ping", _) => "iputils",
        ("flock", Family::Fedora) => "util-linux-core",
        ("flock", _) => "util-linux",
        ("find", _) => "findutils",
        ("head" | "tail" | "tr" | "mv" | "df" | "stat" | "sha256sum", _) => "coreutils",
        ("qemu-img", Family::Debian) => "qemu-utils",
        ("qemu-img", Family::Suse) => "qemu-tools",
        ("qemu-system-x86_64", Family::Debian) => "qemu-system-x86",
        ("qemu-system-x86_64", Family::Fedora) => "qemu-kvm",
        ("qemu-system-x86_64", _) => "qemu-x86",
        // The package has the name of the command.
        _ => command,
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Remedy;
    use super::super::fixture::World;
    use super::*;

    #[test]
    fn a_missing_command_names_its_package_and_is_never_installed_by_us() {
        let mut world = World::new(2, 2);
        let machine = world.hosts[1].machine.as_mut().unwrap();
        machine.missing = vec!["ping".into(), "sha256sum".into(), "nft".into()];
        let findings = check(&world.evidence());
        assert_eq!(findings[0].severity, Severity::Ok);
        assert_eq!(findings[1].what, "not installed: sha256sum, ping");
        assert_eq!(
            findings[1].remedy,
            Some(Remedy::There {
                command: "apt-get install -y coreutils iputils-ping".into(),
                safe: false
            })
        );
        world.topology.network.nat = true;
        assert!(check(&world.evidence())[1].what.contains("nft"));
    }

    #[test]
    fn one_host_needs_neither_bridge_nor_ping() {
        let mut world = World::new(1, 1);
        world.hosts[0].machine.as_mut().unwrap().missing = vec!["ping".into(), "bridge".into()];
        assert_eq!(check(&world.evidence())[0].severity, Severity::Ok);
    }

    #[test]
    fn without_an_emulator_nothing_runs() {
        let mut world = World::new(1, 1);
        world.hosts[0].machine.as_mut().unwrap().emulator = false;
        assert!(check(&world.evidence())[0].what.contains("qemu-system-x86_64"));
    }
}
