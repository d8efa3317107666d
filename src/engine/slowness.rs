//! Reports periodically which nodes are slow to respond, for how long, and how busy their hosts are.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::base::event::{Event, Events};
use crate::base::patience::patience;
use crate::base::waiting::FIRST;
use crate::ssh::{Nodes, SlowNodes};

/// Interval between checks.
const LOOK: Duration = Duration::from_secs(5);

/// Interval between checks for a first login that takes long.
const FIRST_LOOK: Duration = Duration::from_millis(500);

/// Minimum time between two reports.
const AGAIN: Duration = Duration::from_secs(30);

/// Maximum number of machines to list.
const NAMED: usize = 5;

/// Reports slow nodes until the guard is dropped.
#[must_use]
pub fn report_slow_nodes(nodes: &Nodes, events: &Events) -> DropGuard {
    watch(nodes, events, None)
}

/// As [`report_slow_nodes`], for commands that show no steps: also reports the first login that takes longer than two
/// seconds.
#[must_use]
pub fn report_slow_logins(nodes: &Nodes, events: &Events) -> DropGuard {
    watch(nodes, events, Some(FIRST))
}

fn watch(nodes: &Nodes, events: &Events, login: Option<Duration>) -> DropGuard {
    let stop = CancellationToken::new();
    let guard = stop.clone().drop_guard();
    let (nodes, events) = (nodes.clone(), events.clone());
    let report = move |text| events.emit(Event::Slow { text });
    tokio::spawn(stop.run_until_cancelled_owned(async move {
        let mut login = login;
        while let Some(long) = login {
            sleep(patience(FIRST_LOOK)).await;
            let logins = nodes.logins(patience(long));
            if !logins.is_empty() {
                let (names, waited) = folded(&logins);
                report(format!("logging in to {names} ({waited})"));
                login = None;
            }
        }
        let mut reported: Option<Instant> = None;
        loop {
            sleep(patience(LOOK)).await;
            if reported.is_some_and(|at| at.elapsed() < patience(AGAIN)) {
                continue;
            }
            if let Some(slow) = nodes.slow().await {
                report(describe(&slow));
                reported = Some(Instant::now());
            }
        }
    }));
    guard
}

/// The nodes and their longest waiting time.
fn folded(nodes: &[(String, Duration)]) -> (String, humantime::FormattedDuration) {
    let names = crate::nodeset::fold(nodes.iter().map(|(node, _)| node.as_str()));
    let longest = nodes.iter().map(|(_, waited)| *waited).max();
    let seconds = longest.unwrap_or_default().as_secs().max(1);
    (names, humantime::format_duration(Duration::from_secs(seconds)))
}

fn describe(slow: &SlowNodes) -> String {
    let (names, waited) = folded(&slow.nodes);
    // Hosts of one machine report the same load.
    let mut machines: BTreeMap<(&str, String), Vec<&str>> = BTreeMap::new();
    for (host, load) in &slow.hosts {
        let (machine, answer) = match load {
            Some(load) => (
                load.boot_id.as_str(),
                format!("load {:.1} on {} CPUs", load.average, load.cpus),
            ),
            None => ("", "no answer".to_owned()),
        };
        machines.entry((machine, answer)).or_default().push(host);
    }
    let hosts: Vec<String> = machines
        .iter()
        .take(NAMED)
        .map(|((_, answer), hosts)| format!("{}: {answer}", crate::nodeset::fold(hosts)))
        .collect();
    let more = machines.len().saturating_sub(NAMED);
    let more = if more > 0 {
        format!("; {more} more")
    } else {
        String::new()
    };
    format!(
        "no answer for up to {waited} from {names} ({}{more})",
        hosts.join("; ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ssh::Load;

    #[test]
    fn slow_nodes_are_folded_with_the_longest_wait_and_the_load_of_each_machine() {
        let load = |average| {
            Some(Load {
                boot_id: "one".into(),
                average,
                cpus: 2,
                ..Load::default()
            })
        };
        let slow = SlowNodes {
            nodes: vec![
                ("n001".into(), Duration::from_millis(11_200)),
                ("n002".into(), Duration::from_secs(70)),
            ],
            hosts: vec![
                ("bm01".into(), load(276.1)),
                ("bm02".into(), load(276.1)),
                ("bm03".into(), None),
            ],
        };
        assert_eq!(
            describe(&slow),
            "no answer for up to 1m 10s from n[001-002] (bm03: no answer; bm[01-02]: load 276.1 on 2 CPUs)"
        );
    }
}
