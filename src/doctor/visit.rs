//! Logs in to one host, and gathers what it reports. Changes nothing there.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::evidence::{Clock, HostEvidence, ProbeError, Stage};
use super::machine::{self, Machine};
use crate::base::failure::{UserFacing, explain};
use crate::base::failure_kind::FailureKind;
use crate::host::{Cause, ConnectOptions, Host, HostError, HostLogin, Observation};
use crate::topology;

/// How often a host's clock is read; the fastest answer counts.
const CLOCKS: usize = 3;

/// A host under examination.
pub(super) struct Visit {
    pub(super) evidence: HostEvidence,
    pub(super) login: Option<HostLogin>,
    pub(super) host: Option<Host>,
}

/// Examines a host as far as it can be reached.
pub(super) async fn visit(config: &topology::Host, options: &ConnectOptions) -> Visit {
    let mut visit = Visit {
        evidence: HostEvidence {
            config: config.clone(),
            failures: Vec::new(),
            local: false,
            machine: None,
            seen: None,
            kvm: None,
            clock: None,
        },
        login: None,
        host: None,
    };
    let login = match HostLogin::open(&config.endpoint(), options).await {
        Ok(login) => login,
        Err(error) => {
            visit.failed(Stage::Login, &error);
            return visit;
        }
    };
    visit.evidence.local = login.is_local();
    visit.login = Some(login.clone());
    match login.script("examine the machine", &machine::script()).await {
        Ok(output) => {
            visit.evidence.machine = Machine::read(&output);
            if visit.evidence.machine.is_none() {
                visit.evidence.failures.push(ProbeError {
                    stage: Stage::Examine,
                    error: "cannot parse the output of the examination".into(),
                    hint: None,
                    denied: false,
                });
            }
        }
        Err(error) => {
            visit.failed(Stage::Examine, &error);
            return visit;
        }
    }
    visit.evidence.clock = clock(&login).await;
    let host = match login.libvirt().await {
        Ok(host) => host,
        Err(error) => {
            visit.failed(Stage::Libvirt, &error);
            return visit;
        }
    };
    match host.observe().await {
        Ok(seen) => {
            visit.evidence.kvm = seen.facts.kvm;
            visit.evidence.seen = Some(seen);
        }
        Err(error) => visit.failed(Stage::Libvirt, &error),
    }
    visit.host = Some(host);
    visit
}

impl Visit {
    pub(super) fn failed(&mut self, stage: Stage, error: &HostError) {
        let cause = match &error.cause {
            // Its own text names the host as in the URI, which is what the user needs.
            Cause::Ssh(error) => explain(error.as_ref()),
            cause => cause.to_string(),
        };
        self.evidence.failures.push(ProbeError {
            stage,
            error: format!("cannot {}: {cause}", error.doing),
            hint: error.hint(),
            denied: error.kind() == FailureKind::NotAllowed,
        });
    }
}

/// Reads the host's clock and compares it with the middle of the round trip.
async fn clock(login: &HostLogin) -> Option<Clock> {
    let mut best: Option<Clock> = None;
    for _ in 0..CLOCKS {
        let (before, began) = (SystemTime::now(), Instant::now());
        let output = login.script("read the clock", "date +%s.%N\n").await.ok()?;
        let bound = began.elapsed() / 2;
        let middle = before.duration_since(UNIX_EPOCH).ok()? + bound;
        let apart = read_time(&output)?.abs_diff(middle);
        if best.is_none_or(|best| bound < best.bound) {
            best = Some(Clock { apart, bound });
        }
    }
    best
}

/// `1763844000.123456789`.
fn read_time(text: &str) -> Option<Duration> {
    let (seconds, nanos) = text.trim().split_once('.')?;
    let nanos = nanos.parse().ok().filter(|nanos| *nanos < 1_000_000_000)?;
    Some(Duration::new(seconds.parse().ok()?, nanos))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::Topology;

    #[test]
    fn the_time_of_a_host_is_parsed_or_rejected() {
        assert_eq!(read_time("12.000000005\n"), Some(Duration::new(12, 5)));
        for bad in ["", "12", "12.%N", "-1.5", "1.9999999999", "x.y"] {
            assert_eq!(read_time(bad), None, "{bad}");
        }
    }

    #[tokio::test]
    async fn the_clock_of_this_machine_is_its_own() {
        let text = "name: x\ngroups: { n: { count: 1 } }\n";
        let topology = Topology::parse(text, "t.yaml", std::path::Path::new("/")).unwrap();
        let login = HostLogin::open(&topology.hosts[0].endpoint(), &ConnectOptions::default())
            .await
            .unwrap();
        // Without root no script runs, so there is no result.
        if let Some(clock) = clock(&login).await {
            assert!(
                clock.apart <= clock.bound + Duration::from_millis(50),
                "{clock:?}"
            );
        }
    }
}
