//! Versions of libvirt, QEMU and the kernel against the oldest that vcluster can use.

use super::evidence::Evidence;
use super::finding::{Finding, Severity};

/// libvirt 5.6.0: the first with `VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA`, which `down` passes.
const LIBVIRT: u32 = 5_006_000;
/// QEMU 4.2: older ones were never tested, and current libvirt refuses them.
const QEMU: u32 = 4_002_000;
/// Linux 4.15: `neigh_suppress` of bridge ports, with which a bridge answers ARP for remote nodes.
const KERNEL_VXLAN: (u32, u32) = (4, 15);
/// Linux 5.10: comments of nft tables, which carry our mark.
const KERNEL_NAT: (u32, u32) = (5, 10);

/// `9.0.0` for 9,000,000.
fn shown(version: u32) -> String {
    format!(
        "{}.{}.{}",
        version / 1_000_000,
        version / 1_000 % 1_000,
        version % 1_000
    )
}

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for host in &evidence.hosts {
        let Some(seen) = &host.seen else { continue };
        let (libvirt, qemu) = (seen.facts.libvirt_version, seen.facts.qemu_version);
        let both = format!("libvirt {}, QEMU {}", shown(libvirt), shown(qemu));
        let finding = if libvirt < LIBVIRT {
            Finding::host(
                Severity::Error,
                "versions",
                host.name(),
                format!("{both}: libvirt is older than {}", shown(LIBVIRT)),
            )
            .because("`down` removes domains with a flag that this libvirt does not support")
        } else if qemu < QEMU {
            Finding::host(
                Severity::Warning,
                "versions",
                host.name(),
                format!("{both}: QEMU is older than {}", shown(QEMU)),
            )
            .because("vcluster was never tested with it")
        } else {
            findings.push(Finding::host(Severity::Ok, "versions", host.name(), both));
            continue;
        };
        findings.push(finding.advised("upgrade the host to a current release of its distribution"));
    }
    for (host, machine) in evidence.machines() {
        let Some(kernel) = machine.kernel else { continue };
        let needs = [
            (
                evidence.spans(),
                KERNEL_VXLAN,
                "its bridge cannot answer ARP for the nodes of other hosts",
            ),
            (
                evidence.nat(),
                KERNEL_NAT,
                "`nat` marks its firewall table with a comment, which this kernel does not support",
            ),
        ];
        let lacking = needs.iter().find(|(wanted, least, _)| *wanted && kernel < *least);
        if let Some((_, (major, minor), why)) = lacking {
            findings.push(
                Finding::host(
                    Severity::Error,
                    "kernel",
                    host.name(),
                    format!("Linux {}.{} is older than {major}.{minor}", kernel.0, kernel.1),
                )
                .because(*why)
                .advised("boot a newer kernel there"),
            );
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::fixture::World;
    use super::*;

    #[test]
    fn versions_are_compared_with_what_is_used() {
        let mut world = World::new(3, 3);
        world.hosts[0].seen.as_mut().unwrap().facts.libvirt_version = 5_005_009;
        world.hosts[1].seen.as_mut().unwrap().facts.qemu_version = 3_001_000;
        let findings = check(&world.evidence());
        let severities: Vec<Severity> = findings.iter().map(|finding| finding.severity).collect();
        assert_eq!(severities, [Severity::Error, Severity::Warning, Severity::Ok]);
        assert!(findings[0].what.contains("libvirt 5.5.9"), "{}", findings[0].what);
    }

    #[test]
    fn an_old_kernel_matters_only_if_a_missing_feature_is_used() {
        let mut world = World::new(1, 1);
        world.hosts[0].machine.as_mut().unwrap().kernel = Some((4, 14));
        assert!(
            check(&world.evidence())
                .iter()
                .all(|finding| finding.check != "kernel")
        );
        world.topology.network.nat = true;
        assert!(
            check(&world.evidence())
                .iter()
                .any(|finding| finding.check == "kernel")
        );
    }
}
