//! Firewalls of the hosts: what blocks the nodes' frames, the VXLAN between hosts, or `nat`.

use super::evidence::Evidence;
use super::finding::{Finding, Severity};

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    if !evidence.own_bridge() {
        return Vec::new();
    }
    let nat = evidence.nat();
    let mut findings = Vec::new();
    for (host, machine) in evidence.machines() {
        let filtered = machine.setting("net/bridge/bridge-nf-call-iptables") == Some(1);
        let mut good = true;
        if machine.forward_drop && (filtered || nat) {
            good = false;
            let why = if filtered {
                "it also filters frames between nodes (bridge-nf-call-iptables is 1), and drops them"
            } else {
                "it drops the nodes' packets to the outside, but the topology asks for `nat`"
            };
            findings.push(
                Finding::host(
                    Severity::Warning,
                    "firewall",
                    host.name(),
                    "drops forwarded packets by default (docker and ufw set this)",
                )
                .because(why)
                .left_to_owner(
                    "iptables -I FORWARD -i vcb+ -j ACCEPT && iptables -I FORWARD -o vcb+ -j ACCEPT",
                ),
            );
        }
        if machine.input_drop && evidence.spans() {
            good = false;
            findings.push(
                Finding::host(
                    Severity::Info,
                    "firewall",
                    host.name(),
                    "drops incoming packets by default; make sure that it accepts UDP port 4789",
                )
                .because("packets from nodes on other hosts arrive by VXLAN on that port")
                .left_to_owner("iptables -I INPUT -p udp --dport 4789 -j ACCEPT"),
            );
        }
        if let Some(rule) = machine.vxlan_drop.as_ref().filter(|_| evidence.spans()) {
            good = false;
            findings.push(
                Finding::host(
                    Severity::Warning,
                    "firewall",
                    host.name(),
                    format!("has a firewall rule that drops UDP port 4789: `{rule}`"),
                )
                .because("packets between nodes on different hosts travel by VXLAN on that port; if the rule drops them, `up` fails")
                .advised("remove the rule, or make an exception for the addresses of the other hosts"),
            );
        }
        if nat && machine.setting("net/ipv4/ip_forward") == Some(0) {
            good = false;
            findings.push(
                Finding::host(
                    Severity::Info,
                    "firewall",
                    host.name(),
                    "does not forward IPv4 yet",
                )
                .because("`nat` needs it; `up` enables it, and it stays enabled"),
            );
        }
        if good {
            findings.push(Finding::host(
                Severity::Ok,
                "firewall",
                host.name(),
                "no default policy blocks the nodes",
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::fixture::World;
    use super::*;

    #[test]
    fn a_forward_policy_matters_if_frames_or_nat_pass_it() {
        let mut world = World::new(1, 1);
        world.hosts[0].machine.as_mut().unwrap().forward_drop = true;
        assert_eq!(check(&world.evidence())[0].severity, Severity::Ok);
        world.topology.network.nat = true;
        let findings = check(&world.evidence());
        assert_eq!(findings[0].severity, Severity::Warning);
        assert!(
            findings[1].what.contains("does not forward"),
            "up does that, so it is only reported"
        );
        assert_eq!(findings[1].severity, Severity::Info);
        world.topology.network.nat = false;
        let machine = world.hosts[0].machine.as_mut().unwrap();
        machine
            .settings
            .insert("net/bridge/bridge-nf-call-iptables".into(), 1);
        assert_eq!(check(&world.evidence())[0].severity, Severity::Warning);
    }

    #[test]
    fn a_rule_against_the_vxlan_is_shown() {
        let mut world = World::new(2, 2);
        world.hosts[1].machine.as_mut().unwrap().vxlan_drop = Some("udp dport 4789 drop".into());
        let findings = check(&world.evidence());
        let warned: Vec<&Finding> = findings
            .iter()
            .filter(|finding| finding.severity == Severity::Warning)
            .collect();
        assert_eq!(warned.len(), 1);
        assert!(
            warned[0].what.contains("4789: `udp dport 4789 drop`"),
            "{}",
            warned[0].what
        );
    }

    #[test]
    fn a_closed_port_matters_only_with_a_vxlan() {
        for (hosts, severity) in [(1, Severity::Ok), (2, Severity::Info)] {
            let mut world = World::new(hosts, 2);
            world.hosts[0].machine.as_mut().unwrap().input_drop = true;
            assert_eq!(check(&world.evidence())[0].severity, severity);
        }
    }
}
