//! Whether the VXLAN of a cluster that is up carries full packets between its hosts. Before the first `up` there is no
//! VXLAN to try; `firewall` then looks for rules that drop it.

use std::collections::BTreeMap;

use super::evidence::{Evidence, Stage};
use super::finding::{Finding, Severity};
use crate::base::name::HostName;
use crate::base::text::plural;
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
    let Some(vxlan) = evidence.good_plan().and_then(|plan| plan.network.vxlan.as_ref()) else {
        return findings;
    };
    let mtu = evidence.good_plan().map_or(0, |plan| plan.network.mtu);
    let (port, vni) = (vxlan.port, vxlan.vni);
    let mut failed: BTreeMap<(&HostName, bool), Vec<&HostName>> = BTreeMap::new();
    for (from, failure) in &evidence.overlays {
        failed
            .entry((from, failure.silent))
            .or_default()
            .push(&failure.peer);
    }
    for ((from, silent), peers) in failed {
        let peers = fold(peers);
        let passes = if silent {
            "no packets pass"
        } else {
            "only small packets pass"
        };
        let what = format!("{passes} the VXLAN to {peers} (UDP port {port}, VNI {vni}, MTU {mtu})");
        let finding = Finding::host(Severity::Error, "overlay", from, what)
            .because("nodes of these hosts do not reach each other");
        findings.push(if silent {
            finding.advised(format!(
                "allow UDP port {port} between these hosts in their firewalls, in both directions"
            ))
        } else {
            finding.advised(format!("set `mtu` in `network` to less than {mtu}"))
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
    use super::super::fixture::World;
    use super::*;
    use crate::network::OverlayFailure;

    #[test]
    fn a_pair_without_a_path_is_named_with_port_and_identifier() {
        let mut world = World::new(3, 30);
        assert!(check(&world.evidence()).is_empty(), "nothing was tried");
        world.overlay_pairs = 3;
        assert_eq!(check(&world.evidence())[0].severity, Severity::Ok);
        let failure = |peer: &str, silent| OverlayFailure {
            peer: peer.parse().unwrap(),
            silent,
        };
        let from: HostName = "bm1".parse().unwrap();
        world.overlays = vec![(from.clone(), failure("bm2", true)), (from, failure("bm3", true))];
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
