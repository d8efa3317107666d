//! How long the lease of a cluster is while an experiment runs on it: long enough for one run, and short enough that
//! nothing stays for hours if the controller is killed. Pure.

use std::time::Duration;

use crate::base::units::Moment;
use crate::runs::Between;
use crate::topology::Topology;

/// What a lease has beyond the timeouts.
const MARGIN: Duration = Duration::from_mins(15);

/// The timeouts of the command.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    /// For one guest to boot.
    pub(super) boot: Duration,
    /// For all nodes to reach a barrier.
    pub(super) barrier: Duration,
}

/// The lease that one run needs, with what is done before it: at most the one that the topology allows.
pub(super) fn needed(topology: &Topology, between: Between, timeouts: Timeouts) -> Duration {
    let workload = topology.workload.iter().map(|step| {
        let barrier = if step.barrier {
            timeouts.barrier
        } else {
            Duration::ZERO
        };
        rounds(step.timeout, step.on.len(), step.fanout).saturating_add(barrier)
    });
    let configure = topology.configure.iter().map(|step| match between {
        Between::Keep => Duration::ZERO,
        _ => rounds(step.timeout, step.on.len(), step.fanout),
    });
    let whole = workload
        .chain(configure)
        .fold(timeouts.boot.saturating_add(MARGIN), Duration::saturating_add);
    topology.ttl.map_or(whole, |ttl| whole.min(ttl))
}

/// The time that a step may take: its nodes take turns if not all of them run at once.
fn rounds(timeout: Duration, nodes: usize, fanout: Option<usize>) -> Duration {
    let rounds = fanout.map_or(1, |fanout| nodes.div_ceil(fanout.max(1)));
    timeout.saturating_mul(u32::try_from(rounds).unwrap_or(u32::MAX))
}

/// The new end of a lease; `None`: it stays as it is. The lease of a cluster that was there before the experiment is
/// never shortened.
pub(super) fn renewed(
    current: Option<Moment>,
    is_ours: bool,
    needed: Duration,
    now: Moment,
) -> Option<Moment> {
    let wanted = now.after(needed);
    match current {
        None if !is_ours => None,
        Some(end) if !is_ours && end >= wanted => None,
        Some(end) if end == wanted => None,
        _ => Some(wanted),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const TIMEOUTS: Timeouts = Timeouts {
        boot: Duration::from_mins(10),
        barrier: Duration::from_mins(5),
    };

    fn topology(ttl: &str) -> Topology {
        let text = format!(
            "name: demo\nttl: {ttl}\ngroups: {{ n: {{ count: 5 }} }}\n\
             configure: [{{ on: \"@all\", run: \"true\", timeout: 2m }}]\nworkload:\n\
             - {{ run: \"true\", timeout: 20m, barrier: true }}\n- {{ run: \"true\", timeout: 1m, fanout: 2 }}\n"
        );
        let topology = Topology::parse(&text, "t.yaml", Path::new("."));
        topology.unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn a_lease_is_the_timeouts_of_one_run_and_a_quarter_of_an_hour() {
        // 10 to boot, 15 as margin, 20 and 5 for the first step, 3 x 1 for the second.
        let minutes = |between| needed(&topology("4h"), between, TIMEOUTS).as_secs() / 60;
        assert_eq!(minutes(Between::Keep), 53);
        assert_eq!(minutes(Between::Configure), 55);
        assert_eq!(minutes(Between::Recreate), 55);
    }

    #[test]
    fn a_lease_is_never_longer_than_the_topology_allows() {
        let needed = |ttl| needed(&topology(ttl), Between::Keep, TIMEOUTS);
        assert_eq!(needed("30m"), Duration::from_mins(30));
        assert_eq!(needed("never"), Duration::from_mins(53));
    }

    #[test]
    fn the_lease_of_a_cluster_of_the_user_is_never_shortened() {
        let now: Moment = "2026-01-31T12:00:00Z".parse().unwrap();
        let hour = Duration::from_hours(1);
        let (soon, late) = (
            now.after(Duration::from_mins(5)),
            now.after(Duration::from_hours(9)),
        );
        let end = now.after(hour);
        for (current, is_ours, wanted) in [
            (Some(soon), true, Some(end)),
            (Some(late), true, Some(end)),
            (None, true, Some(end)),
            (Some(end), true, None),
            (Some(soon), false, Some(end)),
            (Some(late), false, None),
            (None, false, None),
        ] {
            assert_eq!(
                renewed(current, is_ours, hour, now),
                wanted,
                "{current:?} {is_ours}"
            );
        }
    }
}
