//! Whether a node accepts a login and answers.

use std::time::Duration;

use crate::base::failure::explain;
use crate::base::name::NodeName;
use crate::base::patience::patience;
use crate::ssh::{ExecRequest, Load, Nodes};

/// Response timeout of a node whose host is not busy, and of one whose host is.
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

/// Waits for the timeout of a node, and returns the reason to show.
async fn silent(node: &NodeName, nodes: &Nodes, allowed: Option<Duration>) -> String {
    if let Some(allowed) = allowed {
        tokio::time::sleep(allowed).await;
        return "no answer".into();
    }
    loop {
        tokio::time::sleep(patience(LOOK)).await;
        // The timeout does not run while the node waits for its turn.
        let Some((waited, load)) = nodes.waited_for(node).await else {
            continue;
        };
        let busy = load.as_ref().is_some_and(Load::is_busy);
        if waited >= patience(if busy { SLOW_ANSWER } else { ANSWER }) {
            let waited = humantime::format_duration(Duration::from_secs(waited.as_secs()));
            return match load {
                Some(load) => format!(
                    "no answer for {waited} (load {:.1} on {} CPUs)",
                    load.average, load.cpus
                ),
                None => format!("no answer for {waited} (nor from its host)"),
            };
        }
    }
}
