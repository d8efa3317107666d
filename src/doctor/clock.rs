//! Whether the clocks of the hosts and the controller agree.

use std::time::Duration;

use super::evidence::Evidence;
use super::finding::{Finding, Severity};

/// A difference that shows in logs and in what nodes measure of each other.
const SEEN: Duration = Duration::from_secs(1);
/// A difference at which certificates, leases and tickets begin to fail (RFC 4120: five minutes).
const FAILS: Duration = Duration::from_mins(5);

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (host, machine) in evidence.machines() {
        let Some(clock) = host.clock else { continue };
        let synchronised = machine.synchronised;
        // The round trip may account for a part of the difference.
        let surely = clock.apart.saturating_sub(clock.bound);
        if surely < SEEN {
            let asleep = synchronised == Some(false);
            let what = format!(
                "within {} of the controller's clock{}",
                round(clock.apart + clock.bound),
                if asleep {
                    ", but no time service keeps it in sync"
                } else {
                    ""
                }
            );
            let severity = if asleep { Severity::Info } else { Severity::Ok };
            let finding = Finding::host(severity, "clock", host.name(), what);
            findings.push(if asleep {
                finding
                    .because("it drifts over days")
                    .left_to_owner("timedatectl set-ntp true")
            } else {
                finding
            });
            continue;
        }
        let severity = if surely < FAILS {
            Severity::Warning
        } else {
            Severity::Error
        };
        let command = if machine.systemd {
            "timedatectl set-ntp true"
        } else {
            "chronyd -q 'pool pool.ntp.org iburst'"
        };
        findings.push(
            Finding::host(
                severity,
                "clock",
                host.name(),
                format!("{} off the controller's clock", round(surely)),
            )
            .because(
                "nodes get their host's time: logs and latencies of nodes on different hosts cannot be compared, and \
                 leases and certificates expire early or late",
            )
            .left_to_owner(command),
        );
    }
    findings
}

/// Coarse on purpose, so that similar hosts fold to one line.
fn round(duration: Duration) -> String {
    match duration.as_millis() {
        0..=100 => "100 ms".into(),
        101..1000 => "1 s".into(),
        millis => format!("{} s", (millis + 500) / 1000),
    }
}

#[cfg(test)]
mod tests {
    use super::super::evidence::Clock;
    use super::super::fixture::World;
    use super::*;

    fn found(apart: u64, bound: u64) -> Finding {
        let mut world = World::new(1, 1);
        world.hosts[0].clock = Some(Clock {
            apart: Duration::from_millis(apart),
            bound: Duration::from_millis(bound),
        });
        check(&world.evidence()).remove(0)
    }

    #[test]
    fn a_slow_answer_is_not_taken_for_a_wrong_clock() {
        assert_eq!(found(1500, 800).severity, Severity::Ok);
        assert_eq!(found(1500, 100).severity, Severity::Warning);
        assert_eq!(found(3_600_000, 100).severity, Severity::Error);
        assert_eq!(found(3_600_000, 100).what, "3600 s off the controller's clock");
    }

    #[test]
    fn a_clock_without_a_time_service_is_reported() {
        let mut world = World::new(1, 1);
        world.hosts[0].machine.as_mut().unwrap().synchronised = Some(false);
        let finding = check(&world.evidence()).remove(0);
        assert_eq!(finding.severity, Severity::Info);
        assert!(finding.what.contains("no time service"));
    }
}
