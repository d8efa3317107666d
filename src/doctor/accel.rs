//! Whether guests run with KVM: proven by a test boot if the host has a kernel for it.

use super::evidence::{Evidence, HostEvidence};
use super::finding::{Finding, Severity};
use super::machine::Machine;
use crate::topology::Accel;

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (host, machine) in evidence.machines() {
        findings.push(match (host.config.accel, host.kvm) {
            (Accel::Tcg, _) => Finding::host(
                Severity::Info,
                "kvm",
                host.name(),
                "software emulation, as set in the topology",
            )
            .because("emulated nodes are many times slower than real servers: interpret results with care"),
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
                    "other guests of its own host take CPU time from it (steal), which distorts measurements",
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
            "its nodes run with software emulation: many times slower, so measurements say little about real servers",
        )
    };
    let finding = |what: &str| Finding::host(severity, "kvm", host.name(), what).because(why);
    match (machine.kvm_device, machine.cpu_flag.as_deref()) {
        (true, _) => finding("/dev/kvm exists, but a guest does not run with KVM").advised(
            "check `dmesg` on the host for KVM errors; if the host is a virtual machine, enable nested virtualisation \
             on the machine below it; or set `accel: tcg` in the topology",
        ),
        (false, Some(flag)) => {
            let module = if flag == "svm" { "kvm_amd" } else { "kvm_intel" };
            finding("the CPU supports KVM, but its module is not loaded").fixed_by(format!("modprobe {module}"))
        }
        (false, None) if machine.is_guest => finding("a virtual machine without nested virtualisation").advised(
            "on the machine below it: load kvm_intel or kvm_amd with `nested=1` and give the guest the CPU mode \
             `host-passthrough`; or set `accel: tcg` in the topology",
        ),
        (false, None) => finding("the CPU reports no virtualisation")
            .advised("enable VT-x or AMD-V in the firmware, or set `accel: tcg` in the topology"),
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
        format!("/dev/kvm exists, the CPU has {flag}; not proven"),
    )
    .because("`up` proves it with a test guest before it starts the first node")
}

#[cfg(test)]
mod tests {
    use super::super::finding::Remedy;
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
        assert!(unproved.what.contains("vmx; not proven"), "{}", unproved.what);
    }

    #[test]
    fn without_kvm_it_is_an_error_only_if_the_topology_requires_it() {
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
    fn an_unloaded_module_is_distinguished_from_a_cpu_without_virtualisation() {
        let none = |flag: Option<&str>, guest: bool| {
            found(|host| {
                host.kvm = Some(false);
                let machine = host.machine.as_mut().unwrap();
                machine.kvm_device = false;
                machine.cpu_flag = flag.map(str::to_owned);
                machine.is_guest = guest;
            })
        };
        let loadable = Remedy::There {
            command: "modprobe kvm_amd".into(),
            safe: true,
        };
        assert_eq!(none(Some("svm"), false).remedy, Some(loadable));
        assert!(none(None, true).what.contains("nested"));
        assert!(
            matches!(none(None, false).remedy, Some(Remedy::Advice { text }) if text.contains("firmware"))
        );
    }
}
