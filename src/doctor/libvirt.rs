//! Whether libvirt answers, and the limits that its daemon sets.

use super::evidence::{Evidence, HostEvidence, ProbeError, Stage};
use super::finding::{Finding, Severity};
use super::machine::{Family, Machine};
use super::sshd;

/// Calls that vcluster has in flight on one connection, and the keepalive.
const REQUESTS: u64 = 5;
/// Connections: ours, and a few of people and other tools.
const CLIENTS: u64 = 10;

/// Whether libvirt answers.
pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for host in &evidence.hosts {
        if let Some(failure) = host.failure(Stage::Libvirt) {
            findings.push(silent(host, failure));
        }
    }
    findings
}

fn silent(host: &HostEvidence, failure: &ProbeError) -> Finding {
    let finding = Finding::host(Severity::Error, "libvirt", host.name(), &failure.error)
        .because("no node can start there, and `up` needs every host of the topology");
    let hint = failure.hint.as_deref();
    if let Some(hint) = hint.filter(|_| failure.denied) {
        return finding.advised(hint);
    }
    let Some(machine) = &host.machine else {
        return finding.advised(hint.unwrap_or("find out why libvirt does not answer there"));
    };
    let runs = |name: &str| machine.daemons.iter().any(|daemon| daemon.name == name);
    if machine.lacks("libvirtd") && machine.lacks("virtqemud") {
        return finding.left_to_owner(install(machine));
    }
    if runs("libvirtd") || runs("virtqemud") {
        if sshd::refuses(machine) {
            return finding.advised(
                "the daemon runs, but sshd blocks access to it: fix the `sshd` findings of this host",
            );
        }
        let restart = if runs("libvirtd") { "libvirtd" } else { "virtqemud" };
        return match hint {
            Some(hint) => finding.advised(hint),
            None => finding.left_to_owner(format!("systemctl restart {restart}")),
        };
    }
    finding.fixed_by(start(machine))
}

/// The command that starts the installed daemon.
fn start(machine: &Machine) -> String {
    match (machine.systemd, machine.lacks("libvirtd")) {
        (true, false) => "systemctl start libvirtd.socket".into(),
        (true, true) => "systemctl start virtqemud.socket virtstoraged.socket".into(),
        (false, false) => "libvirtd --daemon".into(),
        (false, true) => "virtqemud --daemon && virtstoraged --daemon".into(),
    }
}

fn install(machine: &Machine) -> String {
    match machine.family {
        // In two steps: a newer qemu-utils that is already installed may conflict with the release's QEMU.
        Family::Debian => "apt-get install -y libvirt-daemon-system qemu-system-x86 && apt-get install -y qemu-utils",
        Family::Fedora => "dnf install -y libvirt-daemon-kvm && systemctl enable --now virtqemud.socket virtstoraged.socket",
        Family::Suse => "zypper install -y libvirt-daemon-qemu qemu-x86 qemu-tools && systemctl enable --now libvirtd.socket",
        Family::Other => "install libvirt and QEMU with the host's package manager",
    }
    .into()
}

/// The limits of the daemon, if its file sets them lower than we need.
pub(super) fn limits(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (host, machine) in evidence.machines() {
        let modular = machine.daemons.iter().any(|daemon| daemon.name == "virtqemud");
        let daemon = if modular { "virtqemud" } else { "libvirtd" };
        let mut good = true;
        for (key, least, why) in [
            (
                "max_client_requests",
                REQUESTS,
                "vcluster has 4 calls and a keepalive in flight on its connection; the daemon reads no more than \
                 this limit, and a delayed keepalive closes the connection",
            ),
            (
                "max_workers",
                REQUESTS,
                "calls wait for a free worker, so nodes start one after another",
            ),
            (
                "max_clients",
                CLIENTS,
                "every controller, `virsh` and monitoring tool needs its own connection",
            ),
        ] {
            let Some(set) = machine.limits.get(&format!("{daemon}.{key}")).copied() else {
                continue;
            };
            if set >= least {
                continue;
            }
            good = false;
            findings.push(
                Finding::host(
                    Severity::Warning,
                    "libvirt-limits",
                    host.name(),
                    format!("{key} is {set} in {daemon}.conf; {least} are needed"),
                )
                .because(why)
                .left_to_owner(format!(
                    "sed -i 's/^[[:space:]]*{key}[[:space:]]*=.*/#&/' /etc/libvirt/{daemon}.conf && systemctl restart {daemon}"
                )),
            );
        }
        if good && host.seen.is_some() {
            findings.push(Finding::host(
                Severity::Ok,
                "libvirt-limits",
                host.name(),
                "the daemon's limits allow one connection with 4 calls in flight",
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

    fn silent_world(change: impl Fn(&mut Machine)) -> Finding {
        let mut world = World::new(1, 2);
        world.hosts[0].failures.push(ProbeError {
            stage: Stage::Libvirt,
            error: "cannot open libvirt".into(),
            hint: None,
            denied: false,
        });
        change(world.hosts[0].machine.as_mut().unwrap());
        check(&world.evidence()).remove(0)
    }

    #[test]
    fn a_stopped_daemon_is_started_the_way_the_host_starts_it() {
        let stopped = silent_world(|machine| machine.daemons.clear());
        let safe = |command: &str| {
            Some(Remedy::There {
                command: command.into(),
                safe: true,
            })
        };
        assert_eq!(stopped.remedy, safe("systemctl start libvirtd.socket"));
        let stopped = silent_world(|machine| {
            machine.daemons.clear();
            machine.systemd = false;
        });
        assert_eq!(stopped.remedy, safe("libvirtd --daemon"));
    }

    #[test]
    fn packages_and_restarts_are_left_to_the_owner_of_the_host() {
        for finding in [
            silent_world(|machine| machine.missing = vec!["libvirtd".into(), "virtqemud".into()]),
            silent_world(|_| ()),
        ] {
            assert!(
                matches!(finding.remedy, Some(Remedy::There { safe: false, .. })),
                "{finding:?}"
            );
        }
    }

    #[test]
    fn a_daemon_behind_a_closed_sshd_is_not_restarted() {
        let finding = silent_world(|machine| {
            machine.sshd.insert("allowtcpforwarding".into(), "no".into());
        });
        assert!(matches!(finding.remedy, Some(Remedy::Advice { text }) if text.contains("sshd")));
    }

    #[test]
    fn a_user_who_may_not_use_libvirt_is_not_told_to_start_it() {
        let mut world = World::new(1, 2);
        world.hosts[0].machine.as_mut().unwrap().daemons.clear();
        world.hosts[0].failures.push(ProbeError {
            stage: Stage::Libvirt,
            error: "cannot connect to libvirt".into(),
            hint: Some("run `sudo usermod -aG libvirt admin` on bm1".into()),
            denied: true,
        });
        let finding = check(&world.evidence()).remove(0);
        assert!(matches!(finding.remedy, Some(Remedy::Advice { text }) if text.contains("usermod")));
    }

    #[test]
    fn a_limit_below_what_is_in_flight_is_a_warning() {
        let mut world = World::new(1, 2);
        let machine = world.hosts[0].machine.as_mut().unwrap();
        machine.limits.insert("libvirtd.max_client_requests".into(), 2);
        machine.limits.insert("virtqemud.max_clients".into(), 1);
        let findings = limits(&world.evidence());
        assert_eq!(findings.len(), 1, "a file that no daemon reads does not count");
        assert_eq!(findings[0].severity, Severity::Warning);
        assert!(findings[0].what.contains("max_client_requests is 2"));
    }
}
