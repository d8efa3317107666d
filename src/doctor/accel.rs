//! Whether guests run with KVM, by proof where there is something to prove it with.

use super::evidence::{Evidence, HostEvidence};
use super::finding::{Finding, Severity};
use super::machine::Machine;
use crate::topology::Accel;

/// The check.
pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (host, machine) in evidence.machines() {
        findings.push(match (host.config.accel, host.kvm) {
            (Accel::Tcg, _) => Finding::host(
                Severity::Info,
                "kvm",
                host.name(),
                "software emulation, as the topology has it",
            )
            .because("emulated nodes are many times slower than real ones: compare results with care"),
            (_, Some(true)) => Finding::host(Severity::Ok, "kvm", host.name(), "a guest boots under KVM"),
            (accel, Some(false)) => broken(host, machine, accel),
            (accel, None) => unproved(host, machine, accel),
        });
        if machine.is_guest {
            findings.push(
                Finding::host(
                    Severity::Info,
                    "nested",
                    host.name(),
                    "is a virtual machine itself",
                )
                .because(
                    "its own neighbours take CPU from it (steal), which is seen in what the nodes measure",
                ),
            );
        }
    }
    findings
}

fn broken(host: &HostEvidence, machine: &Machine, accel: Accel) -> Finding {
    let (severity, why) = if accel == Accel::Kvm {
        (
            Severity::Error,
            "the topology asks for `accel: kvm` on this host, so `up` fails",
        )
    } else {
        (
            Severity::Warning,
            "its nodes run with software emulation: many times slower, and what they measure says little of real servers",
        )
    };
    let finding = |what: &str| Finding::host(severity, "kvm", host.name(), what).because(why);
    match (machine.kvm_device, machine.cpu_flag.as_deref()) {
        (true, _) => finding("/dev/kvm is there, but a guest under KVM does not run").advised(
            "see `dmesg` there for what KVM says; where the host is a virtual machine, its own host has to let it nest; \
             `accel: tcg` in the topology takes note of it",
        ),
        (false, Some(flag)) => {
            let module = if flag == "svm" { "kvm_amd" } else { "kvm_intel" };
            finding("the CPU can virtualise, but KVM is not loaded").fixed_by(format!("modprobe {module}"))
        }
        (false, None) if machine.is_guest => finding("a virtual machine without nested virtualisation").advised(
            "on the machine below it: load kvm_intel or kvm_amd with `nested=1` and give the guest the CPU mode \
             `host-passthrough`; or `accel: tcg` in the topology",
        ),
        (false, None) => finding("the CPU shows no virtualisation")
            .advised("switch VT-x or AMD-V on in the firmware, or write `accel: tcg` in the topology"),
    }
}

fn unproved(host: &HostEvidence, machine: &Machine, accel: Accel) -> Finding {
    if !machine.kvm_device {
        return broken(host, machine, accel);
    }
    let flag = machine.cpu_flag.as_deref().unwrap_or("no vmx or svm");
    Finding::host(
        Severity::Info,
        "kvm",
        host.name(),
        format!("/dev/kvm is there, the CPU has {flag}; not proved"),
    )
    .because("doctor starts no guest; `up` proves it with one before the first node")
}

#[cfg(test)]
mod tests {
    use super::super::finding::Mend;
    use super::super::fixture::World;
    use super::*;

    fn found(change: impl Fn(&mut HostEvidence)) -> Finding {
        let mut world = World::new(1, 1);
        change(&mut world.hosts[0]);
        check(&world.evidence()).remove(0)
    }

    #[test]
    fn only_a_booted_guest_counts_as_proof() {
        assert_eq!(found(|host| host.kvm = Some(true)).severity, Severity::Ok);
        let unproved = found(|host| host.kvm = None);
        assert_eq!(unproved.severity, Severity::Info);
        assert!(unproved.what.contains("vmx; not proved"), "{}", unproved.what);
    }

    #[test]
    fn without_kvm_it_is_an_error_only_where_the_topology_insists() {
        assert_eq!(found(|host| host.kvm = Some(false)).severity, Severity::Warning);
        let insisted = found(|host| {
            host.kvm = Some(false);
            host.config.accel = Accel::Kvm;
        });
        assert_eq!(insisted.severity, Severity::Error);
        let emulated = found(|host| {
            host.kvm = Some(false);
            host.config.accel = Accel::Tcg;
        });
        assert_eq!(emulated.severity, Severity::Info);
    }

    #[test]
    fn a_module_that_is_not_loaded_is_told_from_a_cpu_that_cannot() {
        let none = |flag: Option<&str>, guest: bool| {
            found(|host| {
                host.kvm = Some(false);
                let machine = host.machine.as_mut().unwrap();
                machine.kvm_device = false;
                machine.cpu_flag = flag.map(str::to_owned);
                machine.is_guest = guest;
            })
        };
        let loadable = Mend::There {
            command: "modprobe kvm_amd".into(),
            safe: true,
        };
        assert_eq!(none(Some("svm"), false).mend, Some(loadable));
        assert!(none(None, true).what.contains("nested"));
        assert!(matches!(none(None, false).mend, Some(Mend::Advice { text }) if text.contains("firmware")));
    }
}
