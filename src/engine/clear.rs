//! What must go before anything new is made: nodes, and the rest of the cluster on hosts without nodes.

use futures::StreamExt;

use super::apply::Round;
use super::event::{HostStage, NodeStage, Progress};
use super::failure::{EngineError, Failure, explain};
use super::fleet::{Member, split};
use super::raise::emit;
use super::remove::{Target, found};
use crate::host::ObservedNode;
use crate::name::HostName;
use crate::plan::{Action, ActionKind, Plan};

impl Round<'_> {
    /// A node that would not go has failed: what comes in its place would have its name and addresses.
    pub(super) async fn remove(&self) -> Result<(), EngineError> {
        let short_id = Plan::short_id(self.plan.cluster_id);
        let gone = self
            .plan
            .actions
            .iter()
            .filter(|action| matches!(action.kind, ActionKind::Remove | ActionKind::Recreate));
        let work: Vec<(&Action, &Member, &ObservedNode)> = gone
            .filter_map(|action| {
                let member = self.fleet.get(&action.host)?;
                let seen = self.observed.iter().find(|host| host.name == action.host)?;
                let node = seen.nodes.iter().find(|node| {
                    node.mark.node == action.node && node.mark.cluster_id == self.plan.cluster_id
                })?;
                Some((action, member, node))
            })
            .collect();
        let failures: Vec<Option<Failure>> = futures::stream::iter(work)
            .map(|(action, member, node)| {
                let short_id = &short_id;
                async move {
                    let say = |progress| {
                        emit(
                            self.events,
                            &action.node,
                            &action.host,
                            NodeStage::Remove,
                            progress,
                        );
                    };
                    if self.cancel.is_cancelled() {
                        return None;
                    }
                    say(Progress::Begun);
                    let began = std::time::Instant::now();
                    match member.host.remove_node(&self.plan.cluster, short_id, node).await {
                        Ok(changed) => {
                            say(Progress::Done {
                                changed,
                                took: began.elapsed(),
                            });
                            None
                        }
                        Err(error) => {
                            say(Progress::Failed {
                                error: explain(&error),
                            });
                            Some(Failure::of_node(
                                action.node.clone(),
                                action.host.clone(),
                                explain(&error),
                                error.hint(),
                            ))
                        }
                    }
                }
            })
            .buffer_unordered(256)
            .collect()
            .await;
        self.losses.nodes(failures.into_iter().flatten());
        self.go_on()
    }

    /// Hosts that lost their last node keep nothing of the cluster.
    pub(super) async fn leave_emptied_hosts(&self) -> Result<(), EngineError> {
        let short_id = &Plan::short_id(self.plan.cluster_id);
        let target = Target {
            cluster: self.plan.cluster.clone(),
            short_id: Some(short_id.clone()),
        };
        let held = |name: &HostName| {
            let seen = self.observed.iter().find(|host| host.name == *name);
            seen.is_some_and(|seen| found(&target, std::slice::from_ref(seen)) != (0, 0))
        };
        let emptied = self.fleet.only(|name| !self.has_nodes(name) && held(name));
        let done = emptied
            .stage(HostStage::Clean, self.events, |member| async move {
                let removed = member.host.remove_cluster(&self.plan.cluster, short_id).await?;
                for error in &removed.errors {
                    self.events
                        .warn(format!("{}: {}", member.config.name, explain(error)));
                }
                Ok((removed.objects > 0, ()))
            })
            .await;
        // No node needs them, and the record keeps them in mind for `down`.
        for failure in split(done).1 {
            self.events.warn(format!(
                "{}; `vcluster down` will look there again",
                failure.error
            ));
        }
        self.go_on()
    }
}
