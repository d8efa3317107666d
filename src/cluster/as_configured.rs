//! Whether nodes are as they were configured, before a workload is started on them.

use super::configured::{Configured, INCOMPLETE, REBOOTED};
use super::login_check::{Allowed, NoAnswer, answer};
use super::open::Cluster;
use super::transfer::NODES_AT_ONCE;
use crate::base::event::Events;
use crate::base::exit::ExitCode;
use crate::base::failure::UserError;
use crate::base::group::grouped;
use crate::base::name::NodeName;
use crate::engine::Pending;
use crate::ssh::{Nodes, SshError};

/// An error if one of these nodes is known not to be as it was configured. A node that only does not answer in time
/// counts as slow: its steps have timeouts of their own.
pub(super) async fn check(
    cluster: &Cluster,
    nodes: &Nodes,
    chosen: &[NodeName],
    events: &Events,
) -> anyhow::Result<()> {
    let configured = &Configured::load(&cluster.dir)?;
    let found = Pending::each(
        events,
        "an answer from",
        NODES_AT_ONCE,
        chosen,
        |node| *node,
        |node| async move { Some((why_not(node, nodes, configured).await?, node)) },
    )
    .await;
    let found = grouped(found.into_iter().flatten());
    if found.is_empty() {
        return Ok(());
    }
    let reasons: Vec<String> = found
        .iter()
        .map(|(why, nodes)| format!("{} ({why})", crate::nodeset::fold(nodes)))
        .collect();
    let text = format!("nodes are not as they were configured: {}", reasons.join("; "));
    let hint = "`vcluster up` configures them again; `vcluster run --anyway` uses them as they are";
    Err(UserError::new(ExitCode::ApplyFailed, text).with_hint(hint).into())
}

/// Why a node is not as it was configured; `None` if nothing says so.
async fn why_not(node: &NodeName, nodes: &Nodes, configured: &Configured) -> Option<String> {
    match answer(node, nodes, Allowed::ByLoad).await {
        // One that answers runs, even if it was to be stopped.
        Err(_) if configured.stopped.contains(node) => Some("stopped by you".to_owned()),
        Ok(answer) if configured.has_rebooted(node, answer.boot) => Some(REBOOTED.to_owned()),
        Err(NoAnswer::Failed(SshError::NotRunning(why))) => Some(why.reason),
        Err(NoAnswer::Failed(error)) if error.is_no_server() => Some("accepts no SSH connection".to_owned()),
        _ => configured.is_incomplete(node).then(|| INCOMPLETE.to_owned()),
    }
}
