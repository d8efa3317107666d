//! `up`: applies a plan. Removals, hosts, nodes, configuration, in this order; makes no choices.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use super::boot_slots::{BootHost, BootSlots};
use super::boots::SeenBoots;
use super::failure::EngineError;
use super::fleet::{Fleet, HOSTS_AT_ONCE};
use super::losses::Losses;
use super::pending::Pending;
use super::raise::Raise;
use super::watch::HostWatch;
use crate::base::event::{ActionKind, Event, Events, NodeStage};
use crate::base::failure::Failure;
use crate::base::name::{HostName, ImageName, NodeName};
use crate::host::HostImage;
use crate::image::BuiltImage;
use crate::inventory::ObservedHost;
use crate::plan::{Acceleration, NodePlan, Plan, boot_limits};
use crate::ssh::Nodes;
use crate::state::{Intent, Journal};

/// The input of `up`.
pub struct Apply<'a> {
    /// The plan to apply.
    pub plan: &'a Plan,
    /// The hosts that take part, connected.
    pub fleet: &'a Fleet,
    /// Their observed state when the plan was made.
    pub observed: &'a [ObservedHost],
    /// The images of the nodes, built.
    pub images: &'a HashMap<ImageName, BuiltImage>,
    /// The seed volume of a node.
    pub seeds: &'a (dyn Fn(&NodePlan) -> Result<Vec<u8>, String> + Sync),
    /// Sessions to the nodes.
    pub nodes: &'a Nodes,
    /// Where intents are written.
    pub journal: &'a Journal,
    /// Where events go.
    pub events: &'a Events,
    /// Set when the user interrupts.
    pub cancel: &'a CancellationToken,
    /// Time for one guest to boot and accept the login.
    pub boot_timeout: Duration,
    /// Boots at once on one machine; chosen by its CPUs if absent.
    pub boots: Option<usize>,
    /// Nodes that run but were never configured, because an earlier `up` did not finish.
    pub unfinished: &'a BTreeSet<NodeName>,
    /// Where the boots of the nodes are recorded.
    pub seen_boots: &'a SeenBoots,
}

impl Apply<'_> {
    /// Applies the plan to hosts and nodes. A failed host or node does not affect the others; all failures are
    /// returned. A failure of a host stands for all its nodes.
    pub async fn run(self) -> Result<Vec<Failure>, EngineError> {
        let round = Round {
            apply: self,
            losses: Losses::default(),
        };
        round.run().await?;
        Ok(round.losses.take())
    }
}

/// One application of a plan, with the failures so far.
pub(super) struct Round<'a> {
    pub(super) apply: Apply<'a>,
    pub(super) losses: Losses,
}

impl<'a> std::ops::Deref for Round<'a> {
    type Target = Apply<'a>;

    fn deref(&self) -> &Apply<'a> {
        &self.apply
    }
}

impl Round<'_> {
    async fn run(&self) -> Result<(), EngineError> {
        self.write_intents()?;
        let work = self.work();
        self.expect(&work);
        self.remove().await?;
        // Even without other work: an earlier `up` may have been killed before these steps.
        self.clear_emptied_hosts().await?;
        self.networks().await?;
        if work.is_empty()
            && !self
                .plan
                .actions
                .iter()
                .any(|action| action.kind != ActionKind::Keep)
        {
            return Ok(());
        }
        // Before images are uploaded: what it finds, no retry solves.
        self.overlay().await?;
        // Hosts where no guest is started need no image and no KVM check.
        let starting: BTreeSet<(&HostName, &ImageName)> = work
            .iter()
            .filter(|(_, kind)| kind.boots())
            .map(|(node, _)| (&node.host, &node.spec.image))
            .collect();
        let host_images = self.host_images(&starting).await?;
        let acceleration = self.accelerations(&host_images).await?;
        self.raise(&work, &host_images, &acceleration).await
    }

    /// The nodes to work on, with their actions, in plan order.
    fn work(&self) -> Vec<(&NodePlan, ActionKind)> {
        let kinds: HashMap<&NodeName, ActionKind> = self
            .plan
            .actions
            .iter()
            .filter(|action| action.kind != ActionKind::Remove)
            .map(|action| (&action.node, action.kind))
            .collect();
        self.plan
            .nodes
            .iter()
            .filter_map(|node| {
                let kind = *kinds.get(&node.name)?;
                (kind != ActionKind::Keep || self.unfinished.contains(&node.name)).then_some((node, kind))
            })
            .collect()
    }

    /// Emits the number of nodes per stage, so that reporters can detect the end of a stage.
    fn expect(&self, work: &[(&NodePlan, ActionKind)]) {
        let count = |wanted: &dyn Fn(&NodePlan, ActionKind) -> bool| {
            work.iter().filter(|(node, kind)| wanted(node, *kind)).count()
        };
        let boots = |node: &NodePlan, kind: ActionKind| {
            let image = self.images.get(&node.spec.image);
            kind.boots() && image.is_some_and(BuiltImage::has_ready_marker)
        };
        for (stage, nodes) in [(NodeStage::Boot, count(&boots)), (NodeStage::Login, work.len())] {
            self.events.emit(Event::Expected { stage, nodes });
        }
    }

    fn write_intents(&self) -> Result<(), EngineError> {
        let hosts = self.fleet.members().iter().map(|member| Intent::Host {
            host: member.endpoint.clone(),
        });
        let nodes = self.plan.actions.iter().filter_map(|action| {
            let (node, host) = (action.node.clone(), action.host.clone());
            match action.kind {
                ActionKind::Keep | ActionKind::Configure | ActionKind::Start | ActionKind::Restart => None,
                ActionKind::Create | ActionKind::Recreate => Some(Intent::Node { node, host }),
                ActionKind::Remove => Some(Intent::RemoveNode { node, host }),
            }
        });
        let intents: Vec<Intent> = hosts.chain(nodes).collect();
        self.journal.write(&intents).map_err(|error| EngineError::Failed {
            what: "failed to write the journal".into(),
            failures: vec![Failure::new(Arc::new(error))],
        })
    }

    /// The hosts that will have nodes, without those that dropped out.
    pub(super) fn used(&self) -> Fleet {
        self.fleet
            .only(|name| self.has_nodes(name) && !self.losses.has_host(name))
    }

    pub(super) fn has_nodes(&self, name: &HostName) -> bool {
        self.plan
            .hosts
            .iter()
            .any(|host| host.name == *name && !host.nodes.is_empty())
    }

    async fn raise(
        &self,
        work: &[(&NodePlan, ActionKind)],
        host_images: &HashMap<(HostName, ImageName), HostImage>,
        acceleration: &HashMap<HostName, Acceleration>,
    ) -> Result<(), EngineError> {
        let slots = BootSlots::new(&self.boot_hosts(acceleration));
        // What could not be removed may still have the node's name and addresses.
        let work: Vec<(&NodePlan, ActionKind)> = work
            .iter()
            .filter(|(node, _)| !self.losses.has_host(&node.host) && !self.losses.has_node(&node.name))
            .copied()
            .collect();
        let starting: BTreeSet<&HostName> = work
            .iter()
            .filter(|(_, kind)| kind.boots())
            .map(|(node, _)| &node.host)
            .collect();
        let mut watches = HashMap::new();
        let members = starting.into_iter().filter_map(|host| self.fleet.get(host));
        let begun = Pending::each(
            self.events,
            "the consoles of",
            HOSTS_AT_ONCE,
            members,
            |member| &member.endpoint.name,
            |member| {
                let watch = HostWatch::begin(member, self.plan, &slots);
                async move { (member.endpoint.name.clone(), watch.await) }
            },
        )
        .await;
        for (host, watch) in begun {
            match watch {
                Ok(watch) => {
                    watches.insert(host, watch);
                }
                Err(error) => self.losses.hosts([Failure::of_host(host, error)]),
            }
        }
        let raise = Raise {
            plan: self.plan,
            seeds: self.seeds,
            images: self.images,
            host_images,
            acceleration,
            watches: &watches,
            slots: &slots,
            seen_boots: self.seen_boots,
            nodes: self.nodes,
            events: self.events,
            cancel: self.cancel,
            boot_timeout: self.boot_timeout,
        };
        let work = work.iter().filter(|(node, _)| !self.losses.has_host(&node.host));
        let failures: Vec<Option<Failure>> = futures::stream::iter(work)
            .map(|(node, kind)| {
                let raise = &raise;
                async move { raise.node(self.fleet.get(&node.host)?, node, *kind).await }
            })
            .buffer_unordered(self.plan.nodes.len().max(1))
            .collect()
            .await;
        self.check_interrupt()?;
        self.losses.nodes(failures.into_iter().flatten());
        Ok(())
    }

    /// The hosts that start guests.
    fn boot_hosts(&self, acceleration: &HashMap<HostName, Acceleration>) -> Vec<BootHost> {
        self.observed
            .iter()
            .filter_map(|host| {
                let acceleration = *acceleration.get(&host.name)?;
                let machine = host.facts.boot_id.clone();
                Some(BootHost {
                    name: host.name.clone(),
                    machine: machine.unwrap_or_else(|| host.name.to_string()),
                    limits: boot_limits(host.facts.cpus, acceleration, self.boots),
                })
            })
            .collect()
    }

    pub(super) fn check_interrupt(&self) -> Result<(), EngineError> {
        if self.cancel.is_cancelled() {
            Err(EngineError::Interrupted)
        } else {
            Ok(())
        }
    }
}
