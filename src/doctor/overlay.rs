//! Whether the VXLANs of a cluster that is up carry full packets between its hosts. Before the first `up` there is no
//! VXLAN to try; `firewall` then looks for rules that drop it.

use std::collections::BTreeMap;

use super::evidence::{Evidence, Stage};
use super::finding::{Finding, Severity};
use crate::base::name::{HostName, NetworkName};
use crate::base::text::plural;
use crate::network;
use crate::nodeset::fold;

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for host in &evidence.hosts {
        if let Some(failure) = host.failure(Stage::Overlay) {
            findings.push(
                Finding::host(Severity::Warning, "overlay", host.name(), &failure.error)
                    .because("cannot determine whether the nodes of this host reach those of the others")
                    .advised(
                        failure
                            .hint
                            .as_deref()
                            .unwrap_or("make sure that `ping` works there for root"),
                    ),
            );
        }
    }
    let Some(plan) = evidence.good_plan() else {
        return findings;
    };
    let mut failed: BTreeMap<(&NetworkName, &HostName, bool), Vec<&HostName>> = BTreeMap::new();
    for path in &evidence.overlays {
        let failure = &path.failure;
        failed
            .entry((&path.network, &path.from, failure.silent))
            .or_default()
            .push(&failure.peer);
    }
    for ((name, from, silent), peers) in failed {
        let Some(planned) = plan.network(name) else {
            continue;
        };
        let Some(vxlan) = &planned.vxlan else { continue };
        let (port, vni, mtu) = (vxlan.port, vxlan.vni, planned.mtu);
        let of_network = network::of_network(name);
        let peers = fold(peers);
        let passes = if silent {
            "no packets pass"
        } else {
            "only small packets pass"
        };
        let what =
            format!("{passes} the VXLAN{of_network} to {peers} (UDP port {port}, VNI {vni}, MTU {mtu})");
        let finding = Finding::host(Severity::Error, "overlay", from, what)
            .because("nodes of these hosts do not reach each other");
        findings.push(if silent {
            finding.advised(format!(
                "allow UDP port {port} between these hosts in their firewalls, in both directions, and ICMP on their \
                 bridges"
            ))
        } else {
            finding.advised(format!("set {} to less than {mtu}", network::mtu_key(name)))
        });
    }
    if evidence.overlays.is_empty() && evidence.overlay_pairs > 0 {
        let pairs = plural(evidence.overlay_pairs, "pair");
        findings.push(Finding::topology(
            Severity::Ok,
            "overlay",
            format!("full packets pass the VXLAN between all {pairs} of hosts"),
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::evidence::OverlayPath;
    use super::super::fixture::World;
    use super::*;
    use crate::network::OverlayFailure;

    #[test]
    fn a_pair_without_a_path_is_named_with_port_and_identifier() {
        let mut world = World::new(3, 30);
        assert!(check(&world.evidence()).is_empty(), "nothing was tried");
        world.overlay_pairs = 3;
        assert_eq!(check(&world.evidence())[0].severity, Severity::Ok);
        let failure = |peer: &str, silent| OverlayPath {
            network: NetworkName::cluster(),
            from: "bm1".parse().unwrap(),
            failure: OverlayFailure {
                peer: peer.parse().unwrap(),
                silent,
            },
        };
        world.overlays = vec![failure("bm2", true), failure("bm3", true)];
        let findings = check(&world.evidence());
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].severity, Severity::Error);
        let what = &findings[0].what;
        assert!(
            what.starts_with("no packets pass the VXLAN to bm[2-3] (UDP port 4789, VNI "),
            "{what}"
        );
    }
}
