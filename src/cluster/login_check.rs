//! Whether a node accepts a login and answers, and in which boot it is.

use std::fmt;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::base::failure::explain;
use crate::base::name::NodeName;
use crate::base::patience::patience;
use crate::engine::{BOOT_ID, boot_in};
use crate::ssh::{ExecRequest, Load, Nodes, SshError};

/// Time to answer for a node whose host reports that it is not busy, and for all others.
const ANSWER: Duration = Duration::from_secs(30);
const SLOW_ANSWER: Duration = Duration::from_mins(5);

/// Interval between checks of these timeouts.
const LOOK: Duration = Duration::from_secs(5);

/// What a node reports of itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Answer {
    /// Seconds since it booted.
    pub(super) uptime: Option<f64>,
    /// The ID of its boot.
    pub(super) boot: Option<Uuid>,
}

/// Why a node did not answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// The login or the command failed.
    Failed(SshError),
    /// The time is over: it is slow, or its state is unknown.
    Silent(String),
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => f.write_str(&explain(error)),
            Self::Silent(text) => f.write_str(text),
        }
    }
}

/// How long an answer is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Allowed {
    /// As long as the load of the node's host suggests, without the time in which the node waits for its turn.
    ByLoad,
    /// This long, also without that time.
    Answer(Duration),
    /// This long in total.
    Total(Duration),
}

/// Logs in to a node and returns what it reports of itself, or why it did not answer.
pub(super) async fn answer(node: &NodeName, nodes: &Nodes, allowed: Allowed) -> Result<Answer, NoAnswer> {
    let look = async {
        let session = nodes.session(node).await.map_err(NoAnswer::Failed)?;
        // One process for both.
        let request = ExecRequest {
            command: format!("cat /proc/uptime {BOOT_ID}"),
            // The login shell may print something first.
            limit: 64 << 10,
            ..ExecRequest::default()
        };
        let _waits = nodes.waits(node);
        let output = session.exec(&request).await.map_err(NoAnswer::Failed)?;
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(Answer {
            uptime: uptime_in(&text),
            boot: boot_in(&text),
        })
    };
    tokio::select! {
        answer = look => answer,
        why = silent(node, nodes, allowed) => Err(NoAnswer::Silent(why)),
    }
}

/// The first of the two numbers in `/proc/uptime`, after whatever the login shell has printed.
fn uptime_in(text: &str) -> Option<f64> {
    text.lines().rev().find_map(|line| {
        let (uptime, idle) = line.split_once(' ')?;
        idle.trim().parse::<f64>().ok()?;
        uptime.parse().ok()
    })
}

/// Waits until the time of a node is over, and returns what to show of it.
async fn silent(node: &NodeName, nodes: &Nodes, allowed: Allowed) -> String {
    if let Allowed::Total(allowed) = allowed {
        let half = allowed / 2;
        let rest = allowed.saturating_sub(half);
        sleep(half).await;
        // Within the user's time, so there may be no answer to this either.
        let asked = timeout(rest, nodes.waited_for(node, Duration::ZERO));
        let ((), waited) = tokio::join!(sleep(rest), asked);
        let load = waited.ok().flatten().and_then(|(_, load)| load);
        return unanswered(allowed, load.as_ref());
    }
    loop {
        sleep(patience(LOOK)).await;
        let least = match allowed {
            Allowed::Answer(allowed) => allowed,
            Allowed::ByLoad | Allowed::Total(_) => patience(ANSWER),
        };
        // The timeout does not run while the node waits for its turn.
        let Some((waited, load)) = nodes.waited_for(node, least).await else {
            continue;
        };
        let limit = match allowed {
            Allowed::Answer(allowed) => allowed,
            Allowed::ByLoad | Allowed::Total(_) => patience(time_to_answer(load.as_ref())),
        };
        if waited >= limit {
            return unanswered(Duration::from_secs(waited.as_secs()), load.as_ref());
        }
    }
}

/// How long a node may take to answer. A host that does not report its load may be too busy for that.
fn time_to_answer(load: Option<&Load>) -> Duration {
    match load {
        Some(load) if !load.is_busy() => ANSWER,
        _ => SLOW_ANSWER,
    }
}

/// What is shown of a node that has not answered. It runs, as its host reports, so it is slow or its state is unknown.
fn unanswered(waited: Duration, load: Option<&Load>) -> String {
    let waited = humantime::format_duration(waited);
    match load {
        Some(load) => format!(
            "{}: no answer for {waited} (host: load {:.1} on {} CPUs)",
            if load.is_busy() { "slow" } else { "unknown" },
            load.average,
            load.cpus
        ),
        None => format!("unknown: no answer for {waited} (host: load unknown)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uptime_is_found_after_what_a_login_shell_prints() {
        let answer = "12.30 4.56\n0f8fad5b-d9cb-469f-a165-70867728950e\n";
        for before in ["", "Welcome to this machine\n", "1 2\n"] {
            assert_eq!(uptime_in(&format!("{before}{answer}")), Some(12.3), "{before}");
        }
        assert_eq!(uptime_in("Welcome to this machine\n"), None);
    }

    #[test]
    fn a_node_that_does_not_answer_is_slow_or_unknown_and_has_more_time_unless_its_host_is_at_ease() {
        let load = |average| Load {
            average,
            cpus: 2,
            ..Load::default()
        };
        let (busy, idle) = (load(276.1), load(0.3));
        let minute = Duration::from_mins(1);
        assert_eq!(time_to_answer(Some(&idle)), ANSWER);
        assert_eq!(time_to_answer(Some(&busy)), SLOW_ANSWER);
        assert_eq!(time_to_answer(None), SLOW_ANSWER);
        assert_eq!(
            unanswered(minute, Some(&busy)),
            "slow: no answer for 1m (host: load 276.1 on 2 CPUs)"
        );
        assert_eq!(
            unanswered(minute, Some(&idle)),
            "unknown: no answer for 1m (host: load 0.3 on 2 CPUs)"
        );
        assert_eq!(
            unanswered(minute, None),
            "unknown: no answer for 1m (host: load unknown)"
        );
    }
}
