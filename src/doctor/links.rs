//! Links of others that have names like ours.

use super::evidence::Evidence;
use super::finding::{Finding, Severity};

/// The check.
pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let ours: Vec<&str> = evidence
        .good_plan()
        .map(|plan| {
            let vxlan = plan.network.vxlan.as_ref().map(|vxlan| vxlan.device.as_str());
            std::iter::once(plan.network.bridge.as_str())
                .chain(vxlan)
                .collect()
        })
        .unwrap_or_default();
    let mut findings = Vec::new();
    for (host, machine) in evidence.machines() {
        for link in &machine.foreign_links {
            let taken = ours.contains(&link.as_str());
            let (severity, why) = if taken {
                (
                    Severity::Error,
                    "this cluster's own link has that name, and what does not carry our mark is never touched: `up` fails",
                )
            } else {
                (
                    Severity::Warning,
                    "a cluster with that id cannot be raised there; it may be what somebody made by hand",
                )
            };
            findings.push(
                Finding::host(
                    severity,
                    "links",
                    host.name(),
                    format!("a link `{link}` does not carry our mark"),
                )
                .because(why)
                .mended_by(format!("ip link del dev {link}")),
            );
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::fixture::World;
    use super::*;

    #[test]
    fn a_foreign_link_is_an_error_where_it_has_the_name_that_we_need() {
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
