//! One node, from nothing to a login: disk, define, start, boot, login.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::boot_slots::BootSlots;
use super::cloud_init::{self, CloudInit};
use super::fleet::Member;
use super::stage;
use super::watch::{BootSignal, HostWatch};
use crate::base::event::{ActionKind, Events, NodeStage};
use crate::base::failure::{Failure, explain, with_console};
use crate::base::name::{HostName, ImageName};
use crate::host::{Definition, HostImage};
use crate::image::BuiltImage;
use crate::plan::{Acceleration, NodePlan, Plan};
use crate::ssh::{ExecRequest, Nodes, Session, SshError};

/// Lines of the console shown when a guest dies or hangs.
const TAIL: usize = 15;

/// What all nodes share while they are raised.
pub(super) struct Raise<'a> {
    pub(super) plan: &'a Plan,
    pub(super) seeds: &'a (dyn Fn(&NodePlan) -> Result<Vec<u8>, String> + Sync),
    pub(super) images: &'a HashMap<ImageName, BuiltImage>,
    pub(super) host_images: &'a HashMap<(HostName, ImageName), HostImage>,
    pub(super) acceleration: &'a HashMap<HostName, Acceleration>,
    pub(super) watches: &'a HashMap<HostName, HostWatch>,
    pub(super) slots: &'a BootSlots,
    pub(super) nodes: &'a Nodes,
    pub(super) events: &'a Events,
    pub(super) cancel: &'a CancellationToken,
    pub(super) boot_timeout: Duration,
}

/// Why a node was not raised, for people.
struct Fault {
    error: String,
    hint: Option<String>,
    /// The last lines of the guest's console.
    console: Option<String>,
}

impl Fault {
    fn text(&self) -> String {
        with_console(&self.error, self.console.as_deref())
    }
}

impl From<crate::host::HostError> for Fault {
    fn from(error: crate::host::HostError) -> Self {
        Self {
            error: explain(&error),
            hint: error.hint(),
            console: None,
        }
    }
}

impl From<String> for Fault {
    fn from(error: String) -> Self {
        Self {
            error,
            hint: None,
            console: None,
        }
    }
}

impl Raise<'_> {
    /// Raises one node. `None`: it is up and has accepted a login.
    pub(super) async fn node(&self, member: &Member, node: &NodePlan, kind: ActionKind) -> Option<Failure> {
        let result = self.stages(member, node, kind).await;
        result.err().map(|fault| Failure {
            console: fault.console,
            ..Failure::of_node(node.name.clone(), node.host.clone(), fault.error, fault.hint)
        })
    }

    async fn stages(&self, member: &Member, node: &NodePlan, kind: ActionKind) -> Result<(), Fault> {
        let host = &member.host;
        if matches!(kind, ActionKind::Create | ActionKind::Recreate) {
            let image = self
                .host_images
                .get(&(node.host.clone(), node.spec.image.clone()))
                .ok_or_else(|| format!("image `{}` is not on `{}`", node.spec.image, node.host))?;
            self.stage(node, NodeStage::Disk, async {
                let seed = (self.seeds)(node)?;
                Ok(host
                    .ensure_disk(&self.plan.cluster_ref(), node, image, seed)
                    .await?)
            })
            .await?;
            let acceleration = *self
                .acceleration
                .get(&node.host)
                .ok_or_else(|| format!("the acceleration of guests on `{}` was not determined", node.host))?;
            self.stage(node, NodeStage::Define, async {
                let definition = Definition {
                    mark: &self.plan.mark(node),
                    node,
                    image,
                    acceleration,
                    bridge: &self.plan.network.bridge,
                };
                Ok(host.define(&definition).await?)
            })
            .await?;
        }
        if kind == ActionKind::Keep {
            // It already runs, but had no login yet, because an earlier `up` did not finish.
            return match self.stage(node, NodeStage::Login, self.login(node, None)).await {
                Err(fault) => Err(self.with_console(member, node, fault).await),
                Ok(()) => Ok(()),
            };
        }
        let watch = self.watches.get(&node.host);
        let sign = watch.map(|watch| watch.follow(&node.name));
        let mut slot = None;
        self.stage(node, NodeStage::Start, async {
            slot = Some(tokio::select! {
                slot = self.slots.slot(&node.host) => slot
                    .ok_or_else(|| format!("the boot limits of `{}` were not determined", node.host))?,
                () = self.cancel.cancelled() => return Err(interrupted()),
            });
            if let Some(watch) = watch {
                watch.starting(&node.name);
            }
            let changed = host.start(&node.domain).await?;
            if let Some(watch) = watch {
                watch.started(&node.name);
            }
            Ok(changed)
        })
        .await?;
        let has_ready_marker = self
            .images
            .get(&node.spec.image)
            .is_some_and(BuiltImage::has_ready_marker);
        if let (true, Some(sign)) = (has_ready_marker, sign.clone()) {
            self.stage(node, NodeStage::Boot, self.boot(member, node, sign))
                .await?;
        }
        let logged_in = self.stage(node, NodeStage::Login, self.login(node, sign)).await;
        drop(slot);
        match logged_in {
            Err(fault) => Err(self.with_console(member, node, fault).await),
            Ok(()) => Ok(()),
        }
    }

    /// Waits for the ready line of the image on the console.
    async fn boot(
        &self,
        member: &Member,
        node: &NodePlan,
        mut sign: tokio::sync::watch::Receiver<BootSignal>,
    ) -> Result<bool, Fault> {
        let deadline = tokio::time::sleep(self.boot_timeout);
        tokio::pin!(deadline);
        loop {
            {
                let now = sign.borrow_and_update().clone();
                if now.ready.is_some() {
                    return Ok(true);
                }
                // Without its console there is nothing to wait for here; the login waits as well.
                if now.console_lost && now.lost.is_none() {
                    return Ok(false);
                }
                if let Some(fault) = verdict(&now) {
                    return Err(self.with_console(member, node, fault).await);
                }
            }
            let fault = tokio::select! {
                changed = sign.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => Fault::from("the watch of its console ended".to_owned()),
                },
                () = &mut deadline => Fault {
                    error: format!(
                        "did not become ready within {}",
                        humantime::format_duration(self.boot_timeout)
                    ),
                    hint: Some("raise `--boot-timeout`, or watch the boot with `vcluster console NODE`".into()),
                    console: None,
                },
                () = self.cancel.cancelled() => return Err(interrupted()),
            };
            return Err(self.with_console(member, node, fault).await);
        }
    }

    /// A real login, with retries while the guest runs; on a cloud image, also waits for cloud-init.
    async fn login(
        &self,
        node: &NodePlan,
        sign: Option<tokio::sync::watch::Receiver<BootSignal>>,
    ) -> Result<bool, Fault> {
        let stop = || {
            if self.cancel.is_cancelled() {
                return Some("interrupted".to_owned());
            }
            sign.as_ref()
                .and_then(|sign| verdict(&sign.borrow()).map(|fault| fault.error))
        };
        let session = self
            .nodes
            .await_login(&node.name, self.boot_timeout, &stop)
            .await
            .map_err(|error| Fault {
                error: explain(&error),
                hint: error.hint(),
                console: None,
            })?;
        if self
            .images
            .get(&node.spec.image)
            .is_some_and(BuiltImage::has_cloud_init)
        {
            self.cloud_init(node, session, &stop).await?;
        }
        Ok(true)
    }

    /// Waits until cloud-init has ended: done, done with recoverable errors, or failed. A connection that is lost
    /// meanwhile is re-established, because cloud-init may restart the SSH server.
    async fn cloud_init(
        &self,
        node: &NodePlan,
        mut session: Arc<Session>,
        stop: &(dyn Fn() -> Option<String> + Sync),
    ) -> Result<(), Fault> {
        let deadline = Instant::now() + self.boot_timeout;
        let output = loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let request = ExecRequest {
                command: self.nodes.as_root(&node.name, &cloud_init::command()),
                timeout: Some(left),
                ..ExecRequest::default()
            };
            let output = match session.exec(&request).await {
                Err(SshError::Lost { .. }) => {
                    self.nodes.await_login(&node.name, left, stop).await.map(|again| {
                        session = again;
                        None
                    })
                }
                other => other.map(Some),
            };
            let output = output.map_err(|error| Fault {
                error: format!("waiting for cloud-init: {}", explain(&error)),
                hint: error.hint(),
                console: None,
            })?;
            if let Some(output) = output {
                break output;
            }
        };
        match cloud_init::read(output.code(), &output.stdout, &output.stderr) {
            CloudInit::Done => Ok(()),
            CloudInit::Degraded(said) => {
                self.events.warn(format!(
                    "{}: cloud-init ended with recoverable errors: {said}",
                    node.name
                ));
                Ok(())
            }
            CloudInit::Failed(said) => Err(Fault {
                error: format!("cloud-init failed: {said}"),
                hint: Some(format!(
                    "see /var/log/cloud-init-output.log with `vcluster ssh {}`",
                    node.name
                )),
                console: None,
            }),
        }
    }

    async fn with_console(&self, member: &Member, node: &NodePlan, mut fault: Fault) -> Fault {
        if self.cancel.is_cancelled() {
            return fault;
        }
        if let Ok(tail) = member
            .host
            .console_tail(&self.plan.cluster_ref(), &node.name, TAIL)
            .await
            && !tail.trim().is_empty()
        {
            fault.console = Some(tail);
        }
        fault
    }

    async fn stage(
        &self,
        node: &NodePlan,
        stage: NodeStage,
        work: impl Future<Output = Result<bool, Fault>>,
    ) -> Result<(), Fault> {
        if self.cancel.is_cancelled() {
            return Err(interrupted());
        }
        let emit = stage::of_node(self.events, &node.name, &node.host, stage);
        // Boxed: it is part of the future of each node.
        let work = Box::pin(async { Ok((work.await?, ())) });
        stage::run(emit, Fault::text, work).await
    }
}

fn verdict(sign: &BootSignal) -> Option<Fault> {
    if let Some(reason) = &sign.failed {
        return Some(Fault::from(format!(
            "the guest reported a boot failure: {reason}"
        )));
    }
    if let Some(why) = &sign.lost {
        return Some(Fault::from(format!("host unreachable: {why}")));
    }
    sign.dead
        .then(|| Fault::from("the guest stopped while it was booting".to_owned()))
}

fn interrupted() -> Fault {
    Fault::from("interrupted".to_owned())
}
