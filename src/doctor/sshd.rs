//! What sshd on the hosts allows. One connection carries everything, so only forwarding matters.

use super::evidence::Evidence;
use super::finding::{Finding, Severity};
use super::machine::Machine;

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (host, machine) in evidence.machines().filter(|(host, _)| !host.local) {
        if machine.sshd.is_empty() {
            findings.push(
                Finding::host(Severity::Info, "sshd", host.name(), "`sshd -T` prints nothing")
                    .because("another SSH server, or an old one: it allows forwarding if libvirt answers"),
            );
            continue;
        }
        let mut good = true;
        for (what, line, why) in faults(machine) {
            good = false;
            findings.push(
                Finding::host(Severity::Error, "sshd", host.name(), what)
                    .because(why)
                    // sshd uses the first value that it reads: so at the top, before any Match block.
                    .left_to_owner(format!(
                        "sed -i '1i {line}' /etc/ssh/sshd_config && sshd -t && {{ systemctl reload ssh || systemctl reload sshd; }}"
                    )),
            );
        }
        if good {
            let starts = setting(machine, "maxstartups").unwrap_or("unknown");
            findings.push(Finding::host(
                Severity::Ok,
                "sshd",
                host.name(),
                format!("forwarding is allowed; MaxStartups {starts} is enough for one connection"),
            ));
        }
    }
    findings
}

/// Whether the settings of sshd block something that vcluster needs.
pub(super) fn refuses(machine: &Machine) -> bool {
    faults(machine).next().is_some()
}

fn setting<'a>(machine: &'a Machine, key: &str) -> Option<&'a str> {
    machine.sshd.get(key).map(String::as_str)
}

/// Wrong settings: the setting, the line that fixes it, why it matters.
fn faults(machine: &Machine) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let local = |key| matches!(setting(machine, key), Some("yes" | "all" | "local") | None);
    let all = [
        (
            setting(machine, "disableforwarding") == Some("yes"),
            "DisableForwarding yes",
            "DisableForwarding no",
            "neither libvirt nor the nodes can be reached",
        ),
        (
            !local("allowtcpforwarding"),
            "AllowTcpForwarding does not allow `local`",
            "AllowTcpForwarding local",
            "the nodes are reached through it, and without it sshd refuses libvirt's socket too",
        ),
        (
            !local("allowstreamlocalforwarding"),
            "AllowStreamLocalForwarding does not allow `local`",
            "AllowStreamLocalForwarding local",
            "libvirt's socket is reached through it",
        ),
        (
            !matches!(setting(machine, "permitopen"), Some("any") | None),
            "PermitOpen restricts the destinations of forwarded connections",
            "PermitOpen any",
            "the nodes are reached through it; a node that it does not list cannot be reached",
        ),
    ];
    all.into_iter()
        .filter_map(|(bad, what, line, why)| bad.then_some((what, line, why)))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::World;
    use super::*;

    fn found(key: &str, value: &str) -> Vec<Severity> {
        let mut world = World::new(1, 150);
        let machine = world.hosts[0].machine.as_mut().unwrap();
        machine.sshd.insert(key.into(), value.into());
        check(&world.evidence())
            .iter()
            .map(|found| found.severity)
            .collect()
    }

    #[test]
    fn a_server_that_does_not_forward_is_an_error() {
        for (key, value) in [
            ("disableforwarding", "yes"),
            ("allowtcpforwarding", "no"),
            ("allowtcpforwarding", "remote"),
            ("allowstreamlocalforwarding", "no"),
            ("permitopen", "none"),
        ] {
            assert_eq!(found(key, value), [Severity::Error], "{key} {value}");
        }
        assert_eq!(found("allowtcpforwarding", "local"), [Severity::Ok]);
    }

    #[test]
    fn few_startups_are_enough_for_150_nodes() {
        assert_eq!(found("maxstartups", "1:30:2"), [Severity::Ok]);
    }
}
