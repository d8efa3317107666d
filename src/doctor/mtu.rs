//! Whether full packets reach every host from every other.

use std::collections::BTreeMap;

use super::evidence::{Evidence, Stage};
use super::finding::{Finding, Severity};
use crate::base::name::HostName;
use crate::base::text::plural;
use crate::nodeset::fold;

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for host in &evidence.hosts {
        if let Some(failure) = host.failure(Stage::Paths) {
            findings.push(
                Finding::host(Severity::Warning, "mtu", host.name(), &failure.error)
                    .because("cannot determine whether full packets reach the other hosts")
                    .advised(
                        failure
                            .hint
                            .as_deref()
                            .unwrap_or("make sure that `ping` works there for root"),
                    ),
            );
        }
    }
    let Some((largest, ways)) = evidence.tried else {
        return findings;
    };
    let mut failed: BTreeMap<(&HostName, bool, u32, u32, bool), Vec<&HostName>> = BTreeMap::new();
    for path in &evidence.paths {
        let failure = &path.failure;
        // Hosts without nodes do not exchange packets in this cluster.
        let meets = |host: &HostName| {
            evidence.good_plan().is_none() || evidence.part(host).is_some_and(|part| !part.nodes.is_empty())
        };
        let matters = meets(&path.from) && meets(&failure.peer);
        failed
            .entry((&path.from, matters, path.mtu, failure.size, failure.unreachable))
            .or_default()
            .push(&failure.peer);
    }
    let key = if evidence.topology.networks.is_empty() {
        "`mtu` in `network`"
    } else {
        "the largest `mtu` of the networks"
    };
    for ((from, matters, mtu, size, silent), peers) in failed {
        let peers = fold(peers);
        let severity = if matters {
            Severity::Error
        } else {
            Severity::Warning
        };
        let what = if silent {
            format!("no answer to pings from {peers}")
        } else {
            format!("a packet of {size} bytes does not reach {peers} unfragmented")
        };
        let why = if matters {
            format!(
                "nodes on both hosts have an MTU of {mtu} and use VXLAN: `up` fails, or large packets are lost"
            )
        } else {
            "this plan does not place nodes on both hosts; a larger plan may".to_owned()
        };
        let finding = Finding::host(severity, "mtu", from, what).because(why);
        findings.push(if silent {
            finding.advised("allow ICMP echo in the firewalls between them, or set `address` of the hosts to where the others reach them")
        } else {
            finding.advised(format!(
                "raise the MTU of the network between them to {size} bytes, or set {key} to less than {mtu}"
            ))
        });
    }
    if evidence.paths.is_empty() {
        findings.push(Finding::topology(
            Severity::Ok,
            "mtu",
            format!(
                "full packets (MTU {largest}) pass on all {}",
                plural(ways, "path") + " between hosts"
            ),
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::evidence::Path;
    use super::super::fixture::World;
    use super::*;
    use crate::network::MtuFailure;

    fn path(from: &str, to: &str, unreachable: bool) -> Path {
        Path {
            from: from.parse().unwrap(),
            mtu: 1450,
            failure: MtuFailure {
                peer: to.parse().unwrap(),
                address: [192, 0, 2, 1].into(),
                size: 1500,
                unreachable,
            },
        }
    }

    #[test]
    fn failed_paths_are_reported_per_source() {
        let mut world = World::new(3, 30);
        world.tried = Some((1450, 6));
        assert_eq!(check(&world.evidence())[0].severity, Severity::Ok);
        world.paths = vec![
            path("bm1", "bm2", false),
            path("bm1", "bm3", false),
            path("bm2", "bm3", true),
        ];
        let findings = check(&world.evidence());
        assert_eq!(findings.len(), 2);
        assert_eq!(
            findings[0].what,
            "a packet of 1500 bytes does not reach bm[2-3] unfragmented"
        );
        assert_eq!(findings[1].what, "no answer to pings from bm3");
        assert!(findings.iter().all(|found| found.severity == Severity::Error));
    }

    #[test]
    fn a_path_that_no_node_uses_is_a_warning() {
        let mut world = World::new(3, 1);
        world.tried = Some((1450, 6));
        world.paths = vec![path("bm2", "bm3", false)];
        assert_eq!(check(&world.evidence())[0].severity, Severity::Warning);
    }
}
