//! What prevents a topology from running on its hosts. [`examine`] gathers [`Evidence`]; the checks, one per
//! file, are pure: evidence in, [`Finding`]s out; [`fix`] runs the commands that are safe.
//! Creates nothing of a cluster, and uses the same planner as `up`.

mod accel;
mod arp;
mod clock;
mod commands;
mod controller;
mod evidence;
mod examine;
mod files;
mod finding;
mod firewall;
mod fix;
mod libvirt;
mod links;
mod machine;
mod memory;
mod modules;
mod mtu;
mod overlay;
mod pings;
mod reach;
mod room;
mod security;
mod sshd;
mod stale;
mod versions;
mod visit;

#[cfg(test)]
mod fixture;

pub use evidence::{Clock, Controller, Evidence, HostEvidence, OverlayPath, Path, ProbeError, Stage};
pub use examine::{Examination, examine};
pub use finding::{Finding, Remedy, Severity, Subject};
pub use fix::{Fix, Outcome, fix, fixes};
pub use machine::{Daemon, Family, Machine, Module};

/// A check: evidence in, findings out.
type Check = fn(&Evidence<'_>) -> Vec<Finding>;

/// All checks, in the order of their findings.
const CHECKS: [Check; 21] = [
    reach::check,
    libvirt::check,
    libvirt::limits,
    versions::check,
    commands::check,
    accel::check,
    room::check,
    memory::check,
    files::check,
    controller::client,
    controller::check,
    sshd::check,
    modules::check,
    mtu::check,
    overlay::check,
    arp::check,
    firewall::check,
    links::check,
    clock::check,
    security::check,
    stale::check,
];

/// The findings of all checks.
pub fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    CHECKS.iter().flat_map(|check| check(evidence)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_healthy_world_has_no_warnings() {
        let world = fixture::World::new(3, 6);
        let evidence = world.evidence();
        let bad: Vec<Finding> = check(&evidence)
            .into_iter()
            .filter(|finding| finding.severity > Severity::Info)
            .collect();
        assert_eq!(bad, Vec::<Finding>::new());
    }

    #[test]
    fn every_warning_and_error_has_a_reason_and_a_fix() {
        let mut world = fixture::World::new(3, 6);
        for host in &mut world.hosts {
            host.machine = Some(Machine::default());
            host.seen = None;
        }
        world.hosts[0].machine = None;
        let findings = check(&world.evidence());
        let bad = findings
            .iter()
            .filter(|finding| finding.severity > Severity::Info);
        for finding in bad {
            assert!(!finding.why.is_empty() && finding.remedy.is_some(), "{finding:?}");
        }
    }
}
