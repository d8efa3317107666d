//! AppArmor and SELinux: whether guests that libvirt confines can still read our files.

use super::evidence::{Evidence, HostEvidence};
use super::finding::{Finding, Severity};
use super::machine::Machine;

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let findings = evidence
        .machines()
        .map(|(host, machine)| check_host(host, machine));
    findings.collect()
}

fn check_host(host: &HostEvidence, machine: &Machine) -> Finding {
    let finding = |severity, what: &str| Finding::host(severity, "security", host.name(), what);
    if machine.security_driver.as_deref() == Some("none") {
        return finding(
            Severity::Info,
            "libvirt does not confine guests (security_driver is none in qemu.conf)",
        )
        .because("a guest that breaks out of QEMU has the rights of QEMU's user");
    }
    if machine.selinux == Some(true) {
        return if machine.selinux_label {
            finding(
                Severity::Ok,
                "SELinux is enforcing; libvirt's images have the label that guests may read",
            )
        } else {
            finding(
                Severity::Warning,
                "SELinux is enforcing, and /var/lib/libvirt/images does not have the label virt_image_t",
            )
            .because("QEMU is denied access to the nodes' disks and kernels, which are below it")
            .left_to_owner("restorecon -R /var/lib/libvirt/images")
        };
    }
    if machine.apparmor {
        return match (machine.apparmor_profile, machine.apparmor_helper) {
            (true, true) => finding(
                Severity::Ok,
                "AppArmor is on; libvirt gives each guest a profile that allows its files",
            ),
            (true, false) => finding(
                Severity::Warning,
                "AppArmor is on and libvirt's profile is loaded, but virt-aa-helper is missing",
            )
            .because("libvirt uses it to write each guest's profile, and starts no guest without one")
            .left_to_owner("apt-get install -y libvirt-daemon-system"),
            (false, _) => finding(Severity::Info, "AppArmor is on, but has no profile of libvirt")
                .because("libvirt then does not use it to confine guests"),
        };
    }
    match machine.selinux {
        Some(_) => finding(Severity::Ok, "SELinux is permissive: it logs, but denies nothing"),
        None => finding(Severity::Ok, "neither AppArmor nor SELinux is on"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::World;
    use super::*;

    fn found(change: impl Fn(&mut Machine)) -> Severity {
        let mut world = World::new(1, 1);
        let machine = world.hosts[0].machine.as_mut().unwrap();
        machine.security_driver = None;
        change(machine);
        check(&world.evidence())[0].severity
    }

    #[test]
    fn what_denies_guests_their_files_is_a_warning() {
        assert_eq!(found(|_| ()), Severity::Ok);
        assert_eq!(
            found(|machine| machine.apparmor_helper = false),
            Severity::Warning
        );
        assert_eq!(found(|machine| machine.selinux = Some(true)), Severity::Warning);
        assert_eq!(
            found(|machine| {
                machine.selinux = Some(true);
                machine.selinux_label = true;
            }),
            Severity::Ok
        );
        assert_eq!(
            found(|machine| machine.security_driver = Some("none".into())),
            Severity::Info
        );
    }
}
