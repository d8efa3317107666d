//! Kernel modules that the network of a cluster and its guests need.

use super::evidence::Evidence;
use super::finding::{Finding, Severity};
use super::machine::Module;

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let own = evidence.own_bridge();
    let needed = [
        ("tun", true, "every guest has a tap device"),
        ("bridge", own, "a bridge connects the nodes of a host"),
        (
            "vxlan",
            evidence.spans(),
            "VXLAN connects the bridges of the hosts",
        ),
        ("nf_tables", evidence.nat(), "`nat` of the topology uses nftables"),
    ];
    let mut findings = Vec::new();
    for (host, machine) in evidence.machines() {
        let mut good = true;
        for (name, _, why) in needed.iter().filter(|(_, needed, _)| *needed) {
            let state = machine.modules.get(*name).copied().unwrap_or(Module::Unknown);
            let finding = match state {
                Module::Loaded | Module::Loadable => continue,
                Module::Absent => Finding::host(
                    Severity::Error,
                    "modules",
                    host.name(),
                    format!("the kernel has no module `{name}`"),
                )
                .advised("install all modules of the kernel there, or boot a kernel that has this one"),
                Module::Unknown => Finding::host(
                    Severity::Warning,
                    "modules",
                    host.name(),
                    format!("cannot determine whether the kernel can load `{name}`"),
                )
                .fixed_by(format!("modprobe {name}")),
            };
            good = false;
            let why = match state {
                Module::Unknown => {
                    format!(
                        "{why}; the modules of the running kernel are not on disk (upgraded without a reboot?)"
                    )
                }
                _ => (*why).to_owned(),
            };
            findings.push(finding.because(why));
        }
        if good {
            findings.push(Finding::host(
                Severity::Ok,
                "modules",
                host.name(),
                "the kernel has all required modules",
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::fixture::World;
    use super::*;
    use crate::topology::Network;

    #[test]
    fn a_module_matters_only_if_it_is_used() {
        let mut world = World::new(2, 2);
        let modules = &mut world.hosts[0].machine.as_mut().unwrap().modules;
        modules.insert("vxlan".into(), Module::Absent);
        modules.insert("nf_tables".into(), Module::Absent);
        let findings = check(&world.evidence());
        assert_eq!(findings[0].severity, Severity::Error);
        assert!(
            findings[0].what.contains("vxlan") && findings.len() == 2,
            "{findings:?}"
        );
        world.topology.network.nat = true;
        assert_eq!(check(&world.evidence()).len(), 3);
        let further = Network {
            name: "storage".parse().unwrap(),
            ..world.topology.network.clone()
        };
        world.topology.network.nat = false;
        world.topology.networks.push(further);
        assert_eq!(check(&world.evidence()).len(), 3, "`nat` of any network counts");
    }

    #[test]
    fn an_unknown_module_is_a_warning_whose_fix_tries_to_load_it() {
        let mut world = World::new(1, 1);
        world.hosts[0].machine.as_mut().unwrap().modules.clear();
        let findings = check(&world.evidence());
        assert!(
            findings
                .iter()
                .all(|found| found.severity == Severity::Warning && found.remedy.is_some())
        );
        assert_eq!(findings.len(), 2, "tun and bridge");
    }
}
