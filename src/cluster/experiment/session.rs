//! The cluster of an experiment: raised, changed between runs, kept alive by its lease, and removed at the end.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context as _;

use super::lease::{self, Timeouts};
use super::plan::{Before, Planned, Preparation, Variant, preparation};
use super::progress::Show;
use super::setup::Setup;
use super::topologies::has_same_machines;
use crate::base::event::{ActionKind, Event, Events};
use crate::base::name::NodeName;
use crate::base::text::sanitize;
use crate::base::units::Moment;
use crate::cluster::configure::{ConfigureOptions, configure};
use crate::cluster::down::Down;
use crate::cluster::leases::{Extension, extend};
use crate::cluster::{Cluster, UpOptions, up};
use crate::engine::EngineError;
use crate::plan::Scope;
use crate::state::{ClusterRecord, Intent, read_intents};
use crate::topology::Topology;

/// The cluster of an experiment.
pub(super) struct Session<'a, S> {
    pub(super) setup: &'a Setup<'a>,
    pub(super) show: &'a mut S,
    /// The name of the experiment.
    experiment: String,
    cluster: Option<Cluster>,
    /// The topology of the run before.
    last: Option<Topology>,
    /// Whether the cluster was there before the experiment: then it stays.
    pub(super) existed: bool,
    /// Whether this experiment began to raise it.
    pub(super) has_raised: bool,
}

impl<'a, S: Show> Session<'a, S> {
    pub(super) fn new(setup: &'a Setup<'a>, show: &'a mut S, experiment: &str) -> Self {
        Self {
            existed: false,
            has_raised: false,
            experiment: experiment.to_owned(),
            setup,
            show,
            cluster: None,
            last: None,
        }
    }

    /// Finds out whether the cluster is there already. One that an experiment left behind is removed: nothing else would
    /// remove it before its lease ends, and its nodes are in an unknown state.
    pub(super) async fn find_existing(&mut self) -> anyhow::Result<()> {
        let dir = self.setup.dir();
        // Until it is known whose the cluster is, it is the user's.
        self.existed = dir.exists();
        let Some(record) = ClusterRecord::load(&dir)? else {
            // A removal deletes the record once the hosts are clean, and the journal last.
            if self.existed && read_intents(&dir)?.last() == Some(&Intent::Down) {
                dir.remove()?;
                self.existed = false;
            }
            return Ok(());
        };
        let Some(experiment) = &record.experiment else {
            return Ok(());
        };
        self.check_interrupt()?;
        self.show.note(&format!(
            "cluster `{}` was left behind by experiment `{}`: it is removed first",
            record.name,
            sanitize(experiment)
        ));
        self.existed = false;
        self.down().await
    }

    /// The cluster, once it is up.
    pub(super) fn cluster(&self) -> anyhow::Result<&Cluster> {
        self.cluster.as_ref().context("the cluster is not up")
    }

    /// Brings the cluster to the state that a run needs. Returns its topology and whether nodes may have booted.
    pub(super) async fn prepare(&mut self, planned: &Planned) -> anyhow::Result<(Topology, bool)> {
        self.check_interrupt()?;
        let variant = &planned.variant;
        let topology = self.setup.topologies.of(variant)?;
        let before = match &self.last {
            None if self.existed => Before::Unknown,
            None => Before::Nothing,
            Some(last) if has_same_machines(last, &topology) => Before::SameMachines,
            Some(_) => Before::OtherMachines,
        };
        let what = preparation(before, self.setup.design.between);
        match what {
            Preparation::Nothing => self.remember(variant)?,
            Preparation::Raise => self.raise(variant, &topology, None).await?,
            Preparation::RaiseAndConfigure => {
                self.raise(variant, &topology, None).await?;
                self.configure(&topology).await?;
            }
            Preparation::Configure => {
                self.remember(variant)?;
                self.configure(&topology).await?;
            }
            Preparation::Recreate => {
                let scope = self.everything(&topology)?;
                self.raise(variant, &topology, scope).await?;
            }
        }
        self.last = Some(topology.clone());
        self.renew(&topology).await?;
        self.check_interrupt()?;
        let boots = !matches!(what, Preparation::Nothing | Preparation::Configure);
        Ok((topology, boots))
    }

    fn check_interrupt(&self) -> anyhow::Result<()> {
        if self.setup.options.cancel.is_cancelled() {
            return Err(EngineError::Interrupted.into());
        }
        Ok(())
    }

    /// All nodes that the cluster has or will have, to be created again. `None` if it has none yet.
    fn everything(&self, topology: &Topology) -> anyhow::Result<Option<Scope>> {
        let Some(plan) = ClusterRecord::load_plan(&self.setup.dir())? else {
            return Ok(None);
        };
        let planned = plan.nodes.iter().map(|node| &node.name);
        let missing = plan.missing.iter().map(|missing| &missing.node);
        let wanted = topology.nodes.iter().map(|node| &node.name);
        let nodes: BTreeSet<NodeName> = planned.chain(missing).chain(wanted).cloned().collect();
        Ok(Some(Scope {
            nodes,
            kind: ActionKind::Recreate,
        }))
    }

    async fn raise(
        &mut self,
        variant: &Variant,
        topology: &Topology,
        scope: Option<Scope>,
    ) -> anyhow::Result<()> {
        let given = self.setup.options;
        let options = UpOptions {
            topology_file: given.topology_file.clone(),
            overrides: variant.overrides(),
            experiment: (!self.existed).then(|| self.experiment.clone()),
            keep: given.keep,
            adopt: false,
            configure: true,
            scope,
            boot_timeout: given.boot_timeout,
            boots: given.boots,
            connect: given.access.clone(),
            cancel: given.cancel.clone(),
        };
        let mut topology = topology.clone();
        if !self.existed {
            topology.ttl = Some(self.lease(&topology));
        }
        let started = Event::Started {
            verb: "up",
            cluster: topology.name.clone(),
            hosts: topology.hosts.len(),
            nodes: Some(topology.nodes.len()),
        };
        let name = topology.name.clone();
        let dir = self.setup.dir();
        self.has_raised = true;
        let events = self.show.begin(started);
        let raised = up::up(&options, topology, &dir, &events).await;
        drop(events);
        self.show.end().await;
        raised?;
        self.cluster = Some(Cluster::read(self.setup.root, &name)?);
        Ok(())
    }

    /// Records what is varied, where `up` does not do so.
    fn remember(&mut self, variant: &Variant) -> anyhow::Result<()> {
        let cluster = self.cluster.as_mut().context("the cluster is not up")?;
        let record = &mut cluster.record;
        if record.vars != variant.vars || record.counts != variant.counts {
            record.vars.clone_from(&variant.vars);
            record.counts.clone_from(&variant.counts);
            record.store(&cluster.dir)?;
        }
        Ok(())
    }

    async fn configure(&mut self, topology: &Topology) -> anyhow::Result<()> {
        let events = self.begin("configure")?;
        let given = self.setup.options;
        let options = ConfigureOptions {
            fanout: None,
            access: given.access.clone(),
            cancel: given.cancel.clone(),
        };
        let cluster = self.cluster()?;
        let chosen = cluster.select(None, None)?;
        let result = configure(cluster, topology, &chosen, &options, &events).await;
        drop(events);
        self.show.end().await;
        result
    }

    /// Begins to show a part of the experiment that works on all nodes.
    pub(super) fn begin(&mut self, verb: &'static str) -> anyhow::Result<Events> {
        let cluster = self.cluster()?;
        let chosen = cluster.select(None, None)?;
        let started = Event::Started {
            verb,
            cluster: cluster.record.name.clone(),
            hosts: cluster.hosts_of(&chosen),
            nodes: Some(chosen.len()),
        };
        Ok(self.show.begin(started))
    }

    fn lease(&self, topology: &Topology) -> Duration {
        let options = self.setup.options;
        let timeouts = Timeouts {
            boot: options.boot_timeout,
            barrier: options.barrier_timeout,
        };
        lease::needed(topology, self.setup.design.between, timeouts)
    }

    /// Renews the lease for one run.
    async fn renew(&mut self, topology: &Topology) -> anyhow::Result<()> {
        let current = self.cluster()?.record.expires;
        let end = lease::renewed(current, !self.existed, self.lease(topology), Moment::now());
        match end {
            Some(end) => self.extend(Extension::To(end)).await,
            None => Ok(()),
        }
    }

    async fn extend(&mut self, extension: Extension) -> anyhow::Result<()> {
        let events = self.show.waits();
        let options = self.setup.options;
        let cluster = self.cluster.as_mut().context("the cluster is not up")?;
        let extended = extend(cluster, extension, &options.access, &events);
        cluster.record.expires = extended.await?;
        Ok(())
    }

    /// Leaves the cluster to the user, with the lease of its topology.
    pub(super) async fn keep(&mut self) -> anyhow::Result<()> {
        if self.existed {
            return Ok(());
        }
        self.hand_over()?;
        let Some(topology) = &self.last else {
            return Ok(());
        };
        let extension = match topology.ttl {
            Some(ttl) => Extension::To(Moment::now().after(ttl)),
            None => Extension::Never,
        };
        self.extend(extension).await
    }

    /// From here on the cluster is the user's: no later experiment removes it.
    fn hand_over(&mut self) -> anyhow::Result<()> {
        let dir = self.setup.dir();
        if let Some(mut record) = ClusterRecord::load(&dir)?
            && record.experiment.take().is_some()
        {
            record.store(&dir)?;
        }
        if let Some(cluster) = &mut self.cluster {
            cluster.record.experiment = None;
        }
        Ok(())
    }

    /// Whether there is anything of a cluster to remove.
    pub(super) fn is_there(&self) -> bool {
        self.setup.dir().exists()
    }

    /// Removes the cluster. An interrupt does not stop that.
    pub(super) async fn down(&mut self) -> anyhow::Result<()> {
        let name = self.setup.topologies.name().clone();
        let dir = self.setup.dir();
        let down = Down::open(&name, &dir, &[])?;
        let access = &self.setup.options.access;
        let events = self.show.begin(Event::Started {
            verb: "down",
            cluster: name,
            hosts: down.hosts.len(),
            nodes: None,
        });
        let holdings = down.observe(access, &events).await;
        let removed = down.remove(&holdings, &events).await;
        holdings.reached.close().await;
        drop(events);
        self.show.end().await;
        self.cluster = None;
        removed
    }
}
