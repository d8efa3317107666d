//! What the hosts' sshd lets a login do. One connection carries everything, so only forwarding matters.

use super::evidence::Evidence;
use super::finding::{Finding, Severity};
use super::machine::Machine;

/// The check.
pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (host, machine) in evidence.machines().filter(|(host, _)| !host.local) {
        if machine.sshd.is_empty() {
            findings.push(
                Finding::host(Severity::Info, "sshd", host.name(), "`sshd -T` says nothing").because(
                    "another SSH server, or an old one: that it forwards is seen when libvirt answers",
                ),
            );
            continue;
        }
        let mut good = true;
        for (what, line, why) in faults(machine) {
            good = false;
            findings.push(
                Finding::host(Severity::Error, "sshd", host.name(), what)
                    .because(why)
                    // sshd takes the first value that it reads, so it goes to the top; in front of any Match block.
                    .mended_by(format!(
                        "sed -i '1i {line}' /etc/ssh/sshd_config && sshd -t && {{ systemctl reload ssh || systemctl reload sshd; }}"
                    )),
            );
        }
        if good {
            let starts = said(machine, "maxstartups").unwrap_or("unknown");
            findings.push(Finding::host(
                Severity::Ok,
                "sshd",
                host.name(),
                format!("forwards; MaxStartups {starts} suffices for one connection"),
            ));
        }
    }
    findings
}

/// Whether sshd is set so that something of ours cannot get through.
pub(super) fn refuses(machine: &Machine) -> bool {
    faults(machine).next().is_some()
}

fn said<'a>(machine: &'a Machine, key: &str) -> Option<&'a str> {
    machine.sshd.get(key).map(String::as_str)
}

/// What is set wrong: the setting, the line that mends it, why it matters.
fn faults(machine: &Machine) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let local = |key| matches!(said(machine, key), Some("yes" | "all" | "local") | None);
    let all = [
        (
            said(machine, "disableforwarding") == Some("yes"),
            "DisableForwarding yes",
            "DisableForwarding no",
            "neither libvirt nor the nodes can be reached",
        ),
        (
            !local("allowtcpforwarding"),
            "AllowTcpForwarding does not allow `local`",
            "AllowTcpForwarding local",
            "the nodes are reached through it, and sshd then refuses libvirt's socket too",
        ),
        (
            !local("allowstreamlocalforwarding"),
            "AllowStreamLocalForwarding does not allow `local`",
            "AllowStreamLocalForwarding local",
            "libvirt's socket is reached through it",
        ),
        (
            !matches!(said(machine, "permitopen"), Some("any") | None),
            "PermitOpen restricts where connections may lead",
            "PermitOpen any",
            "the nodes are reached through it; those that it does not name cannot be logged in to",
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
    fn few_startups_suffice_for_150_nodes() {
        assert_eq!(found("maxstartups", "1:30:2"), [Severity::Ok]);
    }
}
