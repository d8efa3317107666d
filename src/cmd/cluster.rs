//! A cluster that was raised from here: its record, plan and keys, its nodes by node set, sessions to them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::StreamExt;
use indexmap::IndexMap;

use super::Context;
use super::common::{FANOUT, cluster_name};
use crate::engine::{EngineError, Failure, Fleet, explain};
use crate::exit::ExitCode;
use crate::host::{ConnectOptions, Held, Hold, HoldRequest, Standing};
use crate::name::{ClusterName, HostName, ImageName, NodeName};
use crate::plan::Plan;
use crate::report;
use crate::report::error::Failure as Misuse;
use crate::ssh::{NodeTarget, Nodes, Reach, Session, Via};
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
        self.nodes_over(&ways)
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
        let short_id = Plan::short_id(self.plan.cluster_id);
        let request = HoldRequest {
            cluster: &self.plan.cluster,
            short_id: &short_id,
            verb,
            how,
            claim: None,
        };
        let mut holds = Holds::default();
        let sessions = ways.iter().filter_map(|(host, way)| match way {
            Via::Direct => Some((host, None)),
            Via::Host(session) => Some((host, Some(session.clone()))),
            Via::Lost(_) => None,
        });
        let answers: Vec<_> = futures::stream::iter(sessions)
            .map(|(host, session)| {
                let request = &request;
                async move {
                    let answer = crate::host::hold_by_session(host, session, options, request).await;
                    (host, answer)
                }
            })
            .buffer_unordered(FANOUT)
            .collect()
            .await;
        for (host, answer) in answers {
            match answer {
                Ok((Standing::Busy { holder }, _)) => {
                    return Err(crate::engine::ClaimError::Busy {
                        cluster: self.plan.cluster.clone(),
                        hosts: host.to_string(),
                        holder,
                    }
                    .into());
                }
                Ok((_, held)) => holds.0.extend(held),
                Err(error) => tracing::debug!("{error}"),
            }
        }
        Ok((self.nodes_over(&ways)?, holds))
    }

    fn nodes_over(&self, ways: &HashMap<HostName, Via>) -> anyhow::Result<Nodes> {
        nodes_with(&self.plan, &self.record.users, &self.keys, |host| {
            let way = ways.get(host).cloned();
            way.unwrap_or_else(|| Via::Lost("no chosen node is there".to_owned()))
        })
    }
}

/// What a verb holds on hosts over their sessions; free again when this is dropped.
#[derive(Debug, Default)]
pub struct Holds(Vec<Held>);

impl Holds {
    /// Frees them and waits until they are free.
    pub async fn release(self) {
        futures::future::join_all(self.0.into_iter().map(Held::release)).await;
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
                        .map(|session| Via::Host(Arc::new(session)))
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
    nodes_with(plan, users, keys, |host| match fleet.get(host) {
        Some(member) => member.host.session().map_or(Via::Direct, Via::Host),
        None => Via::Lost("it takes no part".to_owned()),
    })
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
            timeout: Duration::from_secs(30),
        };
        reaches.push(Reach {
            target,
            via: via(&node.host),
            host: node.host.to_string(),
        });
    }
    Ok(Nodes::new(reaches))
}
