//! How many files libvirt's daemons and all QEMUs of a host may open.

use super::evidence::Evidence;
use super::finding::{Finding, Severity};

/// Files that a daemon keeps open for a guest: "at least 1 FD per guest, often 2" (libvirt's libvirtd.service).
const PER_GUEST: u64 = 2;
/// Files that a daemon opens briefly: connections, uploads of images, new taps.
const SPARE: u64 = 64;
/// Files that a QEMU opens: disks, tap, event descriptors of its queues and vCPUs.
const PER_QEMU: u64 = 64;
/// libvirt's default limit (libvirtd.service).
const STOCK: u64 = 8192;

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (host, machine) in evidence.machines() {
        let starts = evidence.starts_on(host) as u64;
        let mut good = true;
        for daemon in &machine.daemons {
            let needed = daemon.open + PER_GUEST * starts + SPARE;
            if daemon.files >= needed {
                continue;
            }
            good = false;
            let soft = needed.next_power_of_two().max(STOCK);
            findings.push(
                Finding::host(
                    Severity::Error,
                    "files",
                    host.name(),
                    format!(
                        "{} may open {} files; {needed} are needed ({} are open)",
                        daemon.name, daemon.files, daemon.open
                    ),
                )
                .because(format!(
                    "it keeps {PER_GUEST} files open for each of the {starts} guests to be started"
                ))
                .fixed_by(format!(
                    "prlimit --pid {} --nofile={soft}:{}",
                    daemon.pid,
                    match daemon.files_hard.max(soft) {
                        u64::MAX => "unlimited".to_owned(),
                        hard => hard.to_string(),
                    }
                )),
            );
        }
        if let Some(most) = machine
            .limits
            .get("qemu.max_files")
            .copied()
            .filter(|most| *most < PER_QEMU)
        {
            good = false;
            findings.push(
                Finding::host(
                    Severity::Error,
                    "files",
                    host.name(),
                    format!("max_files is {most} in qemu.conf; a guest needs up to {PER_QEMU}"),
                )
                .because("QEMU exits if it cannot open its disks and network devices")
                .left_to_owner(
                    "sed -i 's/^[[:space:]]*max_files[[:space:]]*=.*/#&/' /etc/libvirt/qemu.conf && systemctl restart libvirtd",
                ),
            );
        }
        if let (Some(most), Some(used)) = (machine.setting("fs/file-max"), machine.setting("fs/file-nr")) {
            let needed = used.saturating_add(PER_QEMU * starts);
            if needed > most {
                good = false;
                findings.push(
                    Finding::host(
                        Severity::Error,
                        "files",
                        host.name(),
                        format!("the kernel allows {most} open files in total; {needed} are needed"),
                    )
                    .because("guests and all other programs on the host fail once the limit is reached")
                    .fixed_by(format!(
                        "echo {} >/proc/sys/fs/file-max",
                        needed.saturating_mul(2)
                    )),
                );
            }
        }
        if good && !machine.daemons.is_empty() {
            findings.push(Finding::host(
                Severity::Ok,
                "files",
                host.name(),
                "libvirt and QEMU may open as many files as they need",
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::finding::Remedy;
    use super::super::fixture::World;
    use super::*;

    #[test]
    fn a_daemon_with_too_few_files_is_given_more_and_never_fewer() {
        let mut world = World::new(1, 10);
        let daemon = &mut world.hosts[0].machine.as_mut().unwrap().daemons[0];
        (daemon.files, daemon.files_hard) = (100, 524_288);
        let finding = check(&world.evidence()).remove(0);
        assert_eq!(finding.severity, Severity::Error);
        // 40 are open, 2 for each of 10 guests, and the spare ones.
        assert!(finding.what.contains("124 are needed"), "{}", finding.what);
        assert_eq!(
            finding.remedy,
            Some(Remedy::There {
                command: "prlimit --pid 812 --nofile=8192:524288".into(),
                safe: true
            })
        );
    }

    #[test]
    fn the_limit_of_the_whole_kernel_is_checked() {
        let mut world = World::new(1, 10);
        let machine = world.hosts[0].machine.as_mut().unwrap();
        machine.settings.insert("fs/file-max".into(), 2100);
        machine.limits.insert("qemu.max_files".into(), 20);
        let findings = check(&world.evidence());
        assert_eq!(findings.len(), 2);
        assert!(
            findings[1].what.contains("2640 are needed"),
            "{}",
            findings[1].what
        );
    }
}
