//! Removes a cluster from all its hosts and verifies that nothing is left.

use super::Reached;
use super::hosts::{add_hosts, known_hosts, parse_hosts};
use crate::base::event::Events;
use crate::base::failure::explain;
use crate::base::name::ClusterName;
use crate::engine::{self, EngineError, Fleet, Target};
use crate::host::{Access, LockMode};
use crate::inventory::{HostEndpoint, ObservedHost, ShortId};
use crate::state::{ClusterDir, ClusterRecord, Intent, Journal, Lock};

/// A cluster to remove.
#[derive(Debug)]
pub struct Down {
    name: ClusterName,
    dir: ClusterDir,
    target: Target,
    recorded: bool,
    /// Why its record cannot be read.
    damaged: Option<String>,
    /// Every host that may have objects of it.
    pub hosts: Vec<HostEndpoint>,
}

/// Its objects on the hosts.
pub struct Holdings {
    /// The hosts.
    pub reached: Reached,
    observed: Vec<ObservedHost>,
    /// Nodes of the cluster.
    pub nodes: usize,
    /// Other objects of the cluster.
    pub objects: usize,
    /// Domains that others made from its nodes, `name on host`. They stay.
    pub copies: Vec<String>,
}

impl Down {
    /// Reads what is known about the cluster. `hosts` are searched in addition to those in the record and the journal.
    pub fn open(name: &ClusterName, dir: &ClusterDir, hosts: &[String]) -> anyhow::Result<Self> {
        // If hosts are given, an unreadable record does not prevent the removal.
        let (record, damaged) = match ClusterRecord::load(dir) {
            Ok(record) => (record, None),
            Err(error) if !hosts.is_empty() => (None, Some(explain(&error))),
            Err(error) => return Err(error.into()),
        };
        let mut all = known_hosts(record.as_ref(), dir)?;
        for text in hosts {
            add_hosts(&mut all, parse_hosts(text)?)?;
        }
        Ok(Self {
            name: name.clone(),
            dir: dir.clone(),
            target: Target {
                cluster: name.clone(),
                short_id: record.as_ref().map(|record| ShortId::of(record.id)),
            },
            recorded: record.is_some(),
            damaged,
            hosts: all,
        })
    }

    /// Connects to the hosts and observes them. Changes nothing.
    pub async fn observe(&self, options: &Access, events: &Events) -> Holdings {
        if let Some(why) = &self.damaged {
            events.warn(format!("{why}; only the given hosts are searched"));
        }
        let (fleet, mut failures) = Fleet::connect(&self.hosts, options, events).await;
        let (observed, unseen) = fleet.observe(events).await;
        failures.extend(unseen);
        let (nodes, objects) = engine::found(&self.target, &observed);
        if nodes + objects == 0 && !self.recorded && failures.is_empty() {
            events.note(format!("no host has objects of cluster `{}`", self.name));
        }
        Holdings {
            reached: Reached { fleet, failures },
            copies: engine::copies(&self.target, &observed),
            observed,
            nodes,
            objects,
        }
    }

    /// Removes it everywhere, and the controller's files last. Hosts that could not be observed are an error.
    pub async fn remove(&self, holdings: &Holdings, events: &Events) -> anyhow::Result<()> {
        let Holdings {
            reached, observed, ..
        } = holdings;
        let fleet = &reached.fleet;
        engine::hold(fleet, observed, &self.target, "down", LockMode::Exclusive, events).await?;
        if self.dir.exists() {
            Journal::open(&self.dir)?.write(&[Intent::Down])?;
        }
        let mut left = match engine::remove(fleet, observed, &self.target, events).await {
            Ok(()) => Vec::new(),
            Err(error @ EngineError::Kept { .. }) if reached.failures.is_empty() => return Err(error.into()),
            Err(error) => error.into_left()?,
        };
        left.extend(engine::unknown(&reached.failures));
        engine::check_leftovers(left)?;
        Ok(self.dir.remove()?)
    }
}

/// Removes the local files of an `up` that was killed before it wrote a record, and so before it created anything.
pub fn clear(dir: &ClusterDir, name: &ClusterName) -> anyhow::Result<()> {
    if !dir.path().is_dir() {
        return Ok(());
    }
    let lock = Lock::take(dir, name, "down")?;
    dir.clear()?;
    drop(lock);
    Ok(())
}
