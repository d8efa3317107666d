//! A cluster that was raised from here: its record, plan and keys, its nodes by node set, sessions to them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use anyhow::Context as _;
use futures::StreamExt;
use indexmap::IndexMap;

use super::Context;
use super::common::{FANOUT, cluster_name};
use super::holds::Holds;
use crate::engine::{Deaths, EngineError, Failure, Fleet, explain};
use crate::exit::ExitCode;
use crate::host::{ConnectOptions, Hold};
use crate::name::{ClusterName, HostName, ImageName, NodeName};
use crate::plan::Plan;
use crate::report;
use crate::report::error::Failure as Misuse;
use crate::ssh::{HostWay, NodeTarget, Nodes, Reach, Session, Via};
use crate::state::{
    ClusterDir, ClusterKeys, ClusterRecord, Held as LocallyHeld, HostRecord, StateError, StateRoot,
};
use crate::topology::Topology;

/// [`Lock::take`](crate::state::Lock::take) or [`Lock::share`](crate::state::Lock::share).
type LockFn = fn(&ClusterDir, &ClusterName, &str) -> Result<LocallyHeld, StateError>;

/// A cluster that was raised from here.
pub struct Cluster {
    /// Its directory.
    pub dir: ClusterDir,
    /// Its record.
    pub record: ClusterRecord,
    /// The plan it was last raised by.
    pub plan: Plan,
    /// Its keys.
    pub keys: ClusterKeys,
}

impl Cluster {
    /// Finds and reads it.
    pub fn open(argument: Option<&str>, context: &Context) -> anyhow::Result<Self> {
        let root = StateRoot::from_env()?;
        let name = cluster_name(argument, &root, context)?;
        Self::read(&root, &name)
    }

    /// Takes its lock for a verb, and then reads it: what was read stays true.
    pub fn hold(
        argument: Option<&str>,
        context: &Context,
        verb: &str,
        lock: LockFn,
    ) -> anyhow::Result<(Self, LocallyHeld)> {
        let root = StateRoot::from_env()?;
        let name = cluster_name(argument, &root, context)?;
        let dir = root.cluster(&name);
        // Asked first, because taking a lock makes the directory.
        if !dir.exists() {
            return Err(root.unknown(&name)?.into());
        }
        let held = lock(&dir, &name, verb)?;
        Ok((Self::read(&root, &name)?, held))
    }

    /// Reads it by name.
    pub fn read(root: &StateRoot, name: &ClusterName) -> anyhow::Result<Self> {
        let dir = root.cluster(name);
        let Some(record) = ClusterRecord::load(&dir)? else {
            return Err(root.unknown(name)?.into());
        };
        let (Some(plan), Some(keys)) = (ClusterRecord::load_plan(&dir)?, ClusterKeys::load(&dir)?) else {
            return Err(StateError::Damaged {
                path: dir.path().to_owned(),
                cause: "its plan or keys are missing".into(),
            }
            .into());
        };
        Ok(Self {
            dir,
            record,
            plan,
            keys,
        })
    }

    /// The topology as it is now: the file it came from, or the copy kept when that is gone.
    pub fn topology(&self) -> anyhow::Result<Topology> {
        if let Some(file) = self.record.topology.as_ref().filter(|file| file.exists()) {
            let topology = Topology::load(&file.to_string_lossy())?;
            if topology.name == self.record.name {
                return Ok(topology);
            }
        }
        let text = self
            .dir
            .read("topology.yaml")?
            .context("the copy of the topology is missing")?;
        let text = String::from_utf8(text).context("the copy of the topology is damaged")?;
        let name = self.dir.join("topology.yaml").display().to_string();
        Ok(Topology::parse(&text, &name, &self.record.base_dir)?)
    }

    /// Nodes by node set, `@group` and `@all`; all of them when nothing is asked for. In plan order.
    pub fn select(&self, wanted: Option<&str>, excluded: Option<&str>) -> anyhow::Result<Vec<NodeName>> {
        let names = |text: &str| -> anyhow::Result<BTreeSet<NodeName>> {
            let set = crate::nodeset::NodeSet::parse(text, |group: &str| self.group(group))
                .with_context(|| format!("failed to read the node set `{}`", report::sanitize(text)))?;
            let mut nodes = BTreeSet::new();
            for name in set.iter() {
                let node = self
                    .plan
                    .nodes
                    .iter()
                    .find(|node| node.name.as_str() == name)
                    .ok_or_else(|| {
                        let mut missing = self.plan.missing.iter();
                        if let Some(missing) = missing.find(|missing| missing.node.as_str() == name) {
                            let text = format!("`{}` is missing: {}", missing.node, missing.reason);
                            let hint = "`vcluster up` tries again to make it";
                            return Misuse::new(ExitCode::Usage, text).with_hint(hint);
                        }
                        let all = crate::nodeset::fold(self.plan.nodes.iter().map(|node| node.name.as_str()));
                        let text = format!(
                            "cluster `{}` has no node `{}` (it has {all})",
                            self.plan.cluster,
                            report::sanitize(&name)
                        );
                        Misuse::new(ExitCode::Usage, text)
                    })?;
                nodes.insert(node.name.clone());
            }
            Ok(nodes)
        };
        let wanted = wanted.map(names).transpose()?;
        let excluded = excluded.map(names).transpose()?.unwrap_or_default();
        let chosen: Vec<NodeName> = self
            .plan
            .nodes
            .iter()
            .map(|node| &node.name)
            .filter(|node| {
                wanted.as_ref().is_none_or(|wanted| wanted.contains(*node)) && !excluded.contains(*node)
            })
            .cloned()
            .collect();
        if chosen.is_empty() {
            return Err(Misuse::new(ExitCode::Usage, "no node is left to work on").into());
        }
        Ok(chosen)
    }

    /// How many hosts hold these nodes.
    pub fn hosts_of(&self, chosen: &[NodeName]) -> usize {
        let nodes = self.plan.nodes.iter().filter(|node| chosen.contains(&node.name));
        nodes.map(|node| &node.host).collect::<BTreeSet<_>>().len()
    }

    fn group(&self, group: &str) -> Option<Vec<String>> {
        let members = self
            .plan
            .nodes
            .iter()
            .filter(|node| matches!(group, "all" | "*") || node.group.as_str() == group);
        let names: Vec<String> = members.map(|node| node.name.to_string()).collect();
        (!names.is_empty()).then_some(names)
    }

    /// Sessions of the given nodes, through the hosts that hold them: only these hosts are connected to.
    /// Nodes of a host that cannot be reached fail by themselves, unless there is no other host.
    pub async fn nodes(&self, chosen: &[NodeName], options: &ConnectOptions) -> anyhow::Result<Nodes> {
        let wanted: BTreeSet<&NodeName> = chosen.iter().collect();
        let hosts: BTreeSet<_> = self
            .plan
            .nodes
            .iter()
            .filter(|node| wanted.contains(&node.name))
            .map(|node| node.host.clone())
            .collect();
        let records = self.record.hosts.iter().filter(|host| hosts.contains(&host.name));
        let ways = ways(records.map(HostRecord::to_host), options).await?;
        self.nodes_over(&ways, options)
    }

    /// As [`Self::nodes`], and holds the cluster on these hosts: nobody removes it there meanwhile. A host that
    /// cannot say whether it is held is passed over; one where somebody else works on the cluster is an error.
    pub async fn nodes_held(
        &self,
        chosen: &[NodeName],
        options: &ConnectOptions,
        verb: &str,
        how: Hold,
    ) -> anyhow::Result<(Nodes, Holds)> {
        let wanted: BTreeSet<&NodeName> = chosen.iter().collect();
        let nodes = self.plan.nodes.iter().filter(|node| wanted.contains(&node.name));
        let hosts: BTreeSet<_> = nodes.map(|node| node.host.clone()).collect();
        let records = self.record.hosts.iter().filter(|host| hosts.contains(&host.name));
        let ways = ways(records.map(HostRecord::to_host), options).await?;
        let holds = Holds::take(&ways, &self.plan, options, verb, how).await?;
        Ok((self.nodes_over(&ways, options)?, holds))
    }

    fn nodes_over(&self, ways: &HashMap<HostName, Via>, options: &ConnectOptions) -> anyhow::Result<Nodes> {
        let nodes = nodes_with(&self.plan, &self.record.users, &self.keys, |host| {
            let way = ways.get(host).cloned();
            way.unwrap_or_else(|| Via::Lost("no chosen node is there".to_owned()))
        })?;
        let hosts = self
            .record
            .hosts
            .iter()
            .filter(|host| ways.contains_key(&host.name));
        let deaths = Deaths::by_need(hosts.map(HostRecord::to_host), options, &self.plan);
        Ok(nodes.with_evidence(deaths))
    }
}

/// The ways to the nodes through these hosts. libvirt is not asked.
async fn ways(
    hosts: impl Iterator<Item = crate::topology::Host>,
    options: &ConnectOptions,
) -> anyhow::Result<HashMap<HostName, Via>> {
    let mut ways = HashMap::new();
    let mut failures = Vec::new();
    let mut connected = futures::stream::iter(hosts)
        .map(|host| async move {
            let way = match crate::host::ssh_target(&host) {
                Ok(None) => Ok(Via::Direct),
                Ok(Some(mut target)) => {
                    target.timeout = options.timeout;
                    let session = Session::connect_host(&target).await;
                    session
                        .map(|session| Via::Host(HostWay::new(Arc::new(session), target)))
                        .map_err(|error| (explain(&error), error.hint()))
                }
                Err(error) => Err((error, None)),
            };
            (host.name, way)
        })
        .buffer_unordered(FANOUT);
    while let Some((host, way)) = connected.next().await {
        let way = way.unwrap_or_else(|(error, hint)| {
            failures.push(Failure {
                host: Some(host.clone()),
                node: None,
                error: error.clone(),
                hint,
            });
            Via::Lost(error)
        });
        ways.insert(host, way);
    }
    // One host that is off takes its own nodes with it; without any there is nothing to do.
    if failures.len() == ways.len() {
        EngineError::from_failures("failed to reach the hosts", failures)?;
    }
    Ok(ways)
}

/// Sessions of a plan's nodes over a connected fleet; nothing is opened yet.
pub fn nodes_of(
    plan: &Plan,
    users: &IndexMap<ImageName, String>,
    keys: &ClusterKeys,
    fleet: &Fleet,
) -> anyhow::Result<Nodes> {
    let nodes = nodes_with(plan, users, keys, |host| match fleet.get(host) {
        Some(member) => member.way(),
        None => Via::Lost("it takes no part".to_owned()),
    })?;
    Ok(nodes.with_evidence(Deaths::over(fleet, plan)))
}

fn nodes_with(
    plan: &Plan,
    users: &IndexMap<ImageName, String>,
    keys: &ClusterKeys,
    via: impl Fn(&HostName) -> Via,
) -> anyhow::Result<Nodes> {
    let mut reaches = Vec::with_capacity(plan.nodes.len());
    for node in &plan.nodes {
        let user = users
            .get(&node.spec.image)
            .with_context(|| format!("no login user is known for image `{}`", node.spec.image))?;
        let target = NodeTarget {
            name: node.name.to_string(),
            address: (node.spec.address, 22).into(),
            user: user.clone(),
            key: keys.client(),
            host_key: keys.host_public_key(&node.name),
            timeout: None,
        };
        reaches.push(Reach {
            target,
            via: via(&node.host),
            host: node.host.to_string(),
        });
    }
    Ok(Nodes::new(reaches))
}
