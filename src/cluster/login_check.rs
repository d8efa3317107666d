//! Whether a node accepts a login and answers.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::base::failure::explain;
use crate::base::name::NodeName;
use crate::base::patience::patience;
use crate::ssh::{ExecRequest, Load, Nodes};

/// Time to answer for a node whose host reports that it is not busy, and for all others.
const ANSWER: Duration = Duration::from_secs(30);
const SLOW_ANSWER: Duration = Duration::from_mins(5);

/// Interval between checks of these timeouts.
const LOOK: Duration = Duration::from_secs(5);

/// Logs in to a node and returns its uptime in seconds, if it reports one; or why it did not answer. `allowed` replaces
/// the timeouts.
pub(super) async fn uptime(
    node: &NodeName,
    nodes: &Nodes,
    allowed: Option<Duration>,
) -> Result<Option<f64>, String> {
    let look = async {
        let session = nodes.session(node).await.map_err(|error| explain(&error))?;
        let request = ExecRequest {
            command: "cat /proc/uptime".into(),
            limit: 256,
            ..ExecRequest::default()
        };
        let _waits = nodes.waits(node);
        let output = session.exec(&request).await.map_err(|error| explain(&error))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(text
            .split_whitespace()
            .next()
            .and_then(|seconds| seconds.parse().ok()))
    };
    tokio::select! {
        answer = look => answer,
        why = silent(node, nodes, allowed) => Err(why),
    }
}

/// Waits until the time of a node is over, and returns what to show of it.
async fn silent(node: &NodeName, nodes: &Nodes, allowed: Option<Duration>) -> String {
    if let Some(allowed) = allowed {
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
        // The timeout does not run while the node waits for its turn.
        let Some((waited, load)) = nodes.waited_for(node, patience(ANSWER)).await else {
            continue;
        };
        if waited >= patience(time_to_answer(load.as_ref())) {
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
