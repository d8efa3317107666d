//! One node, from nothing to a login: disk, define, start, boot, login.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::boot_slots::BootSlots;
use super::boots::{BOOT_ID, SeenBoots, boot_in};
use super::cloud_init::{self, CloudInit};
use super::early::{Early, verdict};
use super::fleet::Member;
use super::node_error::NodeError;
use super::stage;
use super::watch::{BootSignal, HostWatch};
use crate::base::event::{ActionKind, Events, NodeStage, Progress, Stage};
use crate::base::failure::Failure;
use crate::base::name::{HostName, ImageName};
use crate::base::patience::patience;
use crate::host::{Definition, HostError, HostImage};
use crate::image::BuiltImage;
use crate::plan::{Acceleration, NodePlan, Plan};
use crate::ssh::{ExecRequest, Nodes, Session, SshError};
use crate::topology::CloudInitPolicy;

/// Lines of the console shown when a guest dies or hangs.
const TAIL: usize = 15;

/// How long a node may refuse the login after its cloud-init is done.
const SETTLED: Duration = Duration::from_secs(10);

/// What all nodes share while they are raised.
pub(super) struct Raise<'a> {
    pub(super) plan: &'a Plan,
    pub(super) seeds: &'a (dyn Fn(&NodePlan) -> Result<Vec<u8>, String> + Sync),
    pub(super) images: &'a HashMap<ImageName, BuiltImage>,
    pub(super) host_images: &'a HashMap<(HostName, ImageName), HostImage>,
    pub(super) acceleration: &'a HashMap<HostName, Acceleration>,
    pub(super) watches: &'a HashMap<HostName, HostWatch>,
    pub(super) slots: &'a BootSlots,
    pub(super) seen_boots: &'a SeenBoots,
    pub(super) nodes: &'a Nodes,
    pub(super) events: &'a Events,
    pub(super) cancel: &'a CancellationToken,
    pub(super) boot_timeout: Duration,
}

/// Why a node was not raised, and where.
struct Fault {
    error: NodeError,
    stage: Option<NodeStage>,
    /// The last lines of the guest's console.
    console: Option<String>,
}

impl Fault {
    fn progress(&self) -> Progress {
        stage::failed(&self.error, self.console.as_deref())
    }
}

impl From<NodeError> for Fault {
    fn from(error: NodeError) -> Self {
        Self {
            error,
            stage: None,
            console: None,
        }
    }
}

impl From<HostError> for Fault {
    fn from(error: HostError) -> Self {
        NodeError::from(error).into()
    }
}

impl Raise<'_> {
    /// Raises one node. `None`: it is up and has accepted a login.
    pub(super) async fn node(&self, member: &Member, node: &NodePlan, kind: ActionKind) -> Option<Failure> {
        let result = self.stages(member, node, kind).await;
        result.err().map(|fault| Failure {
            stage: fault.stage.map(Stage::Node),
            console: fault.console,
            ..Failure::of_node(node.name.clone(), node.host.clone(), fault.error)
        })
    }

    async fn stages(&self, member: &Member, node: &NodePlan, kind: ActionKind) -> Result<(), Fault> {
        let host = &member.host;
        if matches!(kind, ActionKind::Create | ActionKind::Recreate) {
            let image = self
                .host_images
                .get(&(node.host.clone(), node.spec.image.clone()))
                .ok_or_else(|| NodeError::NoImage {
                    image: node.spec.image.clone(),
                    host: node.host.clone(),
                })?;
            self.stage(node, NodeStage::Disk, async {
                let seed = (self.seeds)(node).map_err(NodeError::Seed)?;
                Ok(host
                    .ensure_disk(&self.plan.cluster_ref(), node, image, seed)
                    .await?)
            })
            .await?;
            let acceleration = *self
                .acceleration
                .get(&node.host)
                .ok_or_else(|| NodeError::NoAcceleration(node.host.clone()))?;
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
        if !kind.boots() {
            // It already runs, but was not configured, or no longer is.
            return match self.stage(node, NodeStage::Login, self.login(node, None)).await {
                Err(fault) => Err(self.with_console(member, node, fault).await),
                Ok(()) => Ok(()),
            };
        }
        let watch = self.watches.get(&node.host);
        let signal = watch.map(|watch| watch.follow(&node.name));
        let mut slot = None;
        self.stage(node, NodeStage::Start, async {
            slot = Some(tokio::select! {
                slot = self.slots.slot(&node.host) => slot
                    .ok_or_else(|| Fault::from(NodeError::NoAcceleration(node.host.clone())))?,
                () = self.cancel.cancelled() => return Err(Fault::from(NodeError::Interrupted)),
            });
            if let Some(watch) = watch {
                watch.starting(&node.name);
            }
            self.seen_boots.record(&node.name, None);
            if kind == ActionKind::Restart {
                host.stop(&self.plan.cluster_ref(), node.uuid).await?;
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
        if let (true, Some(signal)) = (has_ready_marker, signal.clone()) {
            self.stage(node, NodeStage::Boot, self.boot(member, node, signal))
                .await?;
            if kind != ActionKind::Create {
                // The line may be that of an earlier boot: `tail` reads a log from its beginning, and may be slow.
                self.seen_boots.record(&node.name, None);
            }
        }
        let logged_in = self.stage(node, NodeStage::Login, self.login(node, signal)).await;
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
        mut signal: tokio::sync::watch::Receiver<BootSignal>,
    ) -> Result<bool, Fault> {
        let deadline = tokio::time::sleep(self.boot_timeout);
        tokio::pin!(deadline);
        loop {
            {
                let now = signal.borrow_and_update().clone();
                if let Some(ready) = &now.ready {
                    self.seen_boots.record(&node.name, boot_in(ready));
                    return Ok(true);
                }
                // Without its console there is nothing to wait for here; the login waits as well.
                if now.console_lost && now.lost.is_none() {
                    return Ok(false);
                }
                if let Some(error) = verdict(&now) {
                    return Err(self.with_console(member, node, error.into()).await);
                }
            }
            let error = tokio::select! {
                changed = signal.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => NodeError::Unwatched,
                },
                () = &mut deadline => NodeError::NotReady(self.boot_timeout),
                () = self.cancel.cancelled() => return Err(NodeError::Interrupted.into()),
            };
            return Err(self.with_console(member, node, error.into()).await);
        }
    }

    /// A real login, with retries while the guest runs; on a cloud image, also waits for cloud-init.
    async fn login(
        &self,
        node: &NodePlan,
        signal: Option<tokio::sync::watch::Receiver<BootSignal>>,
    ) -> Result<bool, Fault> {
        let booted = signal.is_some();
        let early = Early::new(self.cancel, signal);
        let image = self.images.get(&node.spec.image);
        if image.is_some_and(BuiltImage::has_cloud_init) {
            let session = self.login_of_cloud_init(node, &early).await?;
            self.cloud_init(node, session, &early).await?;
        } else {
            let stop = || early.reason();
            let session = self.nodes.await_login(&node.name, self.boot_timeout, &stop);
            session.await.map_err(|error| early.error(error))?;
        }
        // Nodes of the built-in image have reported it on the console: that costs them nothing.
        if !booted || self.seen_boots.get(&node.name).is_none() {
            let boot = self.cancel.run_until_cancelled(self.boot_of(node)).await;
            self.seen_boots.record(&node.name, boot.flatten());
        }
        Ok(true)
    }

    /// The login to a node that cloud-init prepares for it. Once cloud-init reports on the console that it is done, a
    /// refusal is final; silence is not.
    async fn login_of_cloud_init(&self, node: &NodePlan, early: &Early<'_>) -> Result<Arc<Session>, Fault> {
        let deadline = Instant::now() + self.boot_timeout;
        let left = || deadline.saturating_duration_since(Instant::now());
        let stop = || early.reason();
        let stop_or_done = || {
            let done = || early.is_ready().then(|| "cloud-init is done".to_owned());
            early.reason().or_else(done)
        };
        let first = self.nodes.await_login(&node.name, left(), &stop_or_done).await;
        if !matches!(first, Err(SshError::Stopped(_))) || early.is_stopped() {
            return Ok(first.map_err(|error| early.error(error))?);
        }
        let settled = left().min(patience(SETTLED));
        match self.nodes.await_login(&node.name, settled, &stop).await {
            Ok(session) => return Ok(session),
            Err(error @ SshError::Login { .. }) => return Err(NodeError::NoLogin(Box::new(error)).into()),
            Err(error @ (SshError::Stopped(_) | SshError::HostKey(_))) => {
                return Err(early.error(error).into());
            }
            Err(_) => {}
        }
        let session = self.nodes.await_login(&node.name, left(), &stop).await;
        Ok(session.map_err(|error| early.error(error))?)
    }

    /// Waits until cloud-init has ended: done, done with recoverable errors, or failed. A connection that is lost
    /// meanwhile is re-established, because cloud-init may restart the SSH server.
    async fn cloud_init(
        &self,
        node: &NodePlan,
        mut session: Arc<Session>,
        early: &Early<'_>,
    ) -> Result<(), Fault> {
        let deadline = Instant::now() + self.boot_timeout;
        let output = loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let request = ExecRequest {
                command: self.nodes.as_root(&node.name, &cloud_init::command(&node.name)),
                timeout: Some(left),
                ..ExecRequest::default()
            };
            let output = match session.exec(&request).await {
                Err(SshError::Lost { .. }) => {
                    let stop = || early.reason();
                    let again = self.nodes.await_login(&node.name, left, &stop).await;
                    again.map(|again| {
                        session = again;
                        None
                    })
                }
                other => other.map(Some),
            };
            let output = output.map_err(|error| NodeError::Waiting(Box::new(early.error(error))))?;
            if let Some(output) = output {
                break output;
            }
        };
        match cloud_init::read(output.code(), &output.stdout, &output.stderr) {
            CloudInit::Done => Ok(()),
            CloudInit::Degraded(text) => {
                self.events.warn(format!(
                    "{}: cloud-init ended with recoverable errors: {text}",
                    node.name
                ));
                Ok(())
            }
            CloudInit::Failed { text, lacks } => self.judge(node, text, &lacks),
            CloudInit::Unknown(text) => {
                let node = node.name.clone();
                Err(NodeError::CloudInit { node, text }.into())
            }
            CloudInit::NotRoot(text) => {
                let user = node.login_user().unwrap_or("root").to_owned();
                let image = node.spec.image.clone();
                Err(NodeError::NotRoot { image, user, text }.into())
            }
        }
    }

    /// The boot that a node reports. One that reports none is not compared with it later.
    async fn boot_of(&self, node: &NodePlan) -> Option<Uuid> {
        let request = ExecRequest {
            command: format!("cat {BOOT_ID}"),
            // The login shell may print something first.
            limit: 64 << 10,
            timeout: Some(self.boot_timeout),
            ..ExecRequest::default()
        };
        // cloud-init may have restarted the SSH server.
        let session = self.nodes.session(&node.name).await.ok()?;
        let output = session.exec(&request).await.ok()?;
        boot_in(&String::from_utf8_lossy(&output.stdout))
    }

    /// What the failure of one of cloud-init's modules means. The user and the keys are there: the login has shown it.
    fn judge(&self, node: &NodePlan, text: String, lacks: &[String]) -> Result<(), Fault> {
        let image = self.images.get(&node.spec.image);
        let policy = image.map(|image| image.cloud_init).unwrap_or_default();
        let text = match lacks {
            [] if policy == CloudInitPolicy::Tolerant => {
                self.events.warn(format!(
                    "{}: cloud-init failed after it had done what vcluster needs: {text}",
                    node.name
                ));
                return Ok(());
            }
            [] => text,
            lacks => format!("{text}; {} not as asked for", lacks.join(" and ")),
        };
        let node = node.name.clone();
        Err(NodeError::CloudInit { node, text }.into())
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
            return Err(NodeError::Interrupted.into());
        }
        let emit = stage::of_node(self.events, &node.name, &node.host, stage);
        // Boxed: it is part of the future of each node.
        let work = Box::pin(async { Ok((work.await?, ())) });
        let result = stage::run(emit, Fault::progress, work).await;
        result.map_err(|fault| Fault {
            stage: Some(stage),
            ..fault
        })
    }
}
