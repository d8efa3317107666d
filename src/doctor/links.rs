//! Network links that have names like ours but not our mark.

use super::evidence::Evidence;
use super::finding::{Finding, Severity};
use crate::plan::NetworkPlan;

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let ours: Vec<&str> = evidence
        .good_plan()
        .map(|plan| plan.all_networks().flat_map(links).collect())
        .unwrap_or_default();
    let mut findings = Vec::new();
    for (host, machine) in evidence.machines() {
        for link in &machine.foreign_links {
            let taken = ours.contains(&link.as_str());
            let (severity, why) = if taken {
                (
                    Severity::Error,
                    "this cluster needs a link of that name, and vcluster never touches a link without its mark: `up` fails",
                )
            } else {
                (
                    Severity::Warning,
                    "a cluster with that ID cannot be created there; the link may have been made by hand",
                )
            };
            findings.push(
                Finding::host(
                    severity,
                    "links",
                    host.name(),
                    format!("the link `{link}` does not carry vcluster's mark"),
                )
                .because(why)
                .left_to_owner(format!("ip link del dev {link}")),
            );
        }
    }
    findings
}

/// The links of a network on a host.
fn links(network: &NetworkPlan) -> impl Iterator<Item = &str> {
    let vxlan = network.vxlan.as_ref().map(|vxlan| vxlan.device.as_str());
    std::iter::once(network.bridge.as_str()).chain(vxlan)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::World;
    use super::*;

    #[test]
    fn a_foreign_link_is_an_error_if_it_has_the_name_that_we_need() {
        let mut world = World::new(1, 1);
        let bridge = world.evidence().good_plan().unwrap().network.bridge.clone();
        let machine = world.hosts[0].machine.as_mut().unwrap();
        machine.foreign_links = vec!["vcb0000000a".into(), bridge];
        let severities: Vec<Severity> = check(&world.evidence())
            .iter()
            .map(|found| found.severity)
            .collect();
        assert_eq!(severities, [Severity::Warning, Severity::Error]);
    }
}
