//! What several verbs share: finding the cluster, reaching its hosts and nodes, talking while it lasts.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::StreamExt;
use indexmap::IndexMap;
use tokio::task::JoinHandle;

use super::{Context, Format};
use crate::engine::{EngineError, Events, Failure, Fleet, explain};
use crate::exit::ExitCode;
use crate::host::ConnectOptions;
use crate::name::{ClusterName, HostName, ImageName, NodeName};
use crate::plan::Plan;
use crate::report::error::Failure as Misuse;
use crate::report::{self, ReportOptions, Summary};
use crate::ssh::{Nodes, Reach, Session};
use crate::state::{ClusterDir, ClusterKeys, ClusterRecord, HostRecord, StateError, StateRoot};
use crate::topology::Topology;

/// Nodes that are worked on at once over SSH.
pub const FANOUT: usize = 64;

/// For counts of which 0 makes no sense.
pub fn at_least_one() -> clap::builder::RangedU64ValueParser<usize> {
    clap::builder::RangedU64ValueParser::new().range(1..)
}

/// Options for reaching the hosts.
#[derive(Clone, Debug, clap::Args)]
pub struct HostArgs {
    /// Time to connect to a host and log in
    #[arg(long, env = "VCLUSTER_CONNECT_TIMEOUT", value_name = "TIME", default_value = "20s", value_parser = humantime::parse_duration)]
    pub connect_timeout: Duration,
    /// Time for one call to libvirt on a host
    #[arg(long, env = "VCLUSTER_CALL_TIMEOUT", value_name = "TIME", default_value = "120s", value_parser = humantime::parse_duration)]
    pub call_timeout: Duration,
}

impl HostArgs {
    /// As the host module wants them.
    pub fn options(&self) -> ConnectOptions {
        ConnectOptions {
            timeout: self.connect_timeout,
            call_timeout: self.call_timeout,
        }
    }
}

/// Which cluster a verb is about.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ClusterArg {
    /// The cluster: its name or its topology file [default: the only one there is]
    #[arg(
        short = 'c',
        long = "cluster",
        env = "VCLUSTER_NAME",
        value_name = "NAME|FILE"
    )]
    pub cluster: Option<String>,
}

/// The name that an argument stands for: a name, or a topology file that holds one.
pub fn cluster_name(
    argument: Option<&str>,
    root: &StateRoot,
    context: &Context,
) -> anyhow::Result<ClusterName> {
    match argument {
        None => Ok(root.only()?),
        Some(text) if text == "-" || text.contains('/') || has_yaml_ending(text) => {
            Ok(load_topology(text, context)?.name)
        }
        Some(text) => Ok(text.parse::<ClusterName>()?),
    }
}

fn has_yaml_ending(text: &str) -> bool {
    let extension = std::path::Path::new(text).extension();
    extension.is_some_and(|end| end.eq_ignore_ascii_case("yaml") || end.eq_ignore_ascii_case("yml"))
}

/// Loads a topology; its mistakes become the error.
pub fn load_topology(file: &str, _context: &Context) -> anyhow::Result<Topology> {
    Ok(Topology::load(file)?)
}

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

    /// Reads it by name.
    pub fn read(root: &StateRoot, name: &ClusterName) -> anyhow::Result<Self> {
        let dir = root.cluster(name);
        let unknown = || -> anyhow::Result<StateError> {
            let names: Vec<String> = root.clusters()?.into_iter().map(String::from).collect();
            let others = if names.is_empty() {
                String::new()
            } else {
                format!(" (there are: {})", names.join(", "))
            };
            Ok(StateError::Unknown {
                cluster: name.clone(),
                others,
            })
        };
        let Some(record) = ClusterRecord::load(&dir)? else {
            return Err(unknown()?.into());
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
        let hosts = jump_hosts(records.map(HostRecord::to_host), options).await?;
        nodes_with(&self.plan, &self.record.users, &self.keys, |host| {
            hosts.get(host).cloned().flatten()
        })
    }
}

/// Connects to the hosts that nodes are reached through; `None` is a local host. libvirt is not asked.
async fn jump_hosts(
    hosts: impl Iterator<Item = crate::topology::Host>,
    options: &ConnectOptions,
) -> anyhow::Result<HashMap<HostName, Option<Arc<Session>>>> {
    let connected: Vec<_> = futures::stream::iter(hosts)
        .map(|host| async move {
            let session = match crate::host::ssh_target(&host) {
                Ok(None) => Ok(None),
                Ok(Some(mut target)) => {
                    target.timeout = options.timeout;
                    let session = Session::connect_host(&target).await;
                    session
                        .map(|session| Some(Arc::new(session)))
                        .map_err(|error| (explain(&error), error.hint()))
                }
                Err(error) => Err((error, None)),
            };
            (host.name, session)
        })
        .buffer_unordered(FANOUT)
        .collect()
        .await;
    let mut sessions = HashMap::new();
    let mut failures = Vec::new();
    for (name, session) in connected {
        match session {
            Ok(session) => {
                sessions.insert(name, session);
            }
            Err((error, hint)) => failures.push(Failure {
                host: Some(name),
                node: None,
                error,
                hint,
            }),
        }
    }
    EngineError::from_failures("failed to reach the hosts", failures)?;
    Ok(sessions)
}

/// Sessions of a plan's nodes over a connected fleet; nothing is opened yet.
pub fn nodes_of(
    plan: &Plan,
    users: &IndexMap<ImageName, String>,
    keys: &ClusterKeys,
    fleet: &Fleet,
) -> anyhow::Result<Nodes> {
    nodes_with(plan, users, keys, |host| {
        fleet.get(host).and_then(|member| member.host.session())
    })
}

fn nodes_with(
    plan: &Plan,
    users: &IndexMap<ImageName, String>,
    keys: &ClusterKeys,
    via: impl Fn(&crate::name::HostName) -> Option<Arc<crate::ssh::Session>>,
) -> anyhow::Result<Nodes> {
    let mut reaches = Vec::with_capacity(plan.nodes.len());
    for node in &plan.nodes {
        let user = users
            .get(&node.spec.image)
            .with_context(|| format!("no login user is known for image `{}`", node.spec.image))?;
        let target = crate::ssh::NodeTarget {
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

/// `/etc/hosts` of all nodes.
pub fn hosts_file(plan: &Plan) -> String {
    let mut text = String::from("127.0.0.1 localhost\n");
    for node in &plan.nodes {
        text.push_str(&format!("{} {}\n", node.spec.address, node.name));
    }
    text
}

/// The nodes' host keys, for stock OpenSSH.
pub fn known_hosts(plan: &Plan, keys: &ClusterKeys) -> String {
    plan.nodes
        .iter()
        .map(|node| {
            let key = keys.host_public_key(&node.name).to_openssh().unwrap_or_default();
            let key: Vec<&str> = key.split(' ').take(2).collect();
            format!("{},{} {}\n", node.name, node.spec.address, key.join(" "))
        })
        .collect()
}

/// Nodes whose configuration was finished. The file may be lost: then they are configured once more.
pub fn configured(dir: &ClusterDir) -> anyhow::Result<BTreeSet<NodeName>> {
    let bytes = dir.read("configured.json")?.unwrap_or_else(|| b"[]".to_vec());
    Ok(serde_json::from_slice(&bytes).unwrap_or_default())
}

/// Notes that all nodes of the plan are configured.
pub fn mark_configured(dir: &ClusterDir, plan: &Plan) -> anyhow::Result<()> {
    let names: Vec<&NodeName> = plan.nodes.iter().map(|node| &node.name).collect();
    Ok(dir.write("configured.json", &serde_json::to_vec(&names)?)?)
}

/// Notes that the nodes which are about to be made or started are not configured.
pub fn forget_configured(dir: &ClusterDir, plan: &Plan) -> anyhow::Result<()> {
    let mut done = configured(dir)?;
    for action in plan
        .actions
        .iter()
        .filter(|action| action.kind != crate::plan::ActionKind::Keep)
    {
        done.remove(&action.node);
    }
    Ok(dir.write("configured.json", &serde_json::to_vec(&done)?)?)
}

/// What is said while a command works: events and the reporter that renders them.
pub struct Talk {
    /// Where events go.
    pub events: Events,
    reporter: JoinHandle<Summary>,
    format: Format,
}

impl Talk {
    /// Begins to render events.
    pub fn begin(context: &Context, results: Option<PathBuf>) -> Self {
        Self::with(context, |options| options.results = results)
    }

    /// Begins to render events with other options.
    pub fn with(context: &Context, change: impl FnOnce(&mut ReportOptions)) -> Self {
        let (events, receiver) = Events::channel();
        let mut options = ReportOptions::new(context.format, context.quiet, context.verbose);
        change(&mut options);
        Self {
            events,
            reporter: report::spawn(receiver, options),
            format: context.format,
        }
    }

    /// Waits until all is rendered, then says the closing line or passes the error on.
    pub async fn finish(self, result: anyhow::Result<Option<String>>) -> anyhow::Result<ExitCode> {
        let Self {
            events,
            reporter,
            format,
        } = self;
        drop(events);
        reporter.await.context("the reporter ended early")?;
        if let (Some(line), Format::Human) = (result?, format) {
            report::talk(&line);
        }
        Ok(ExitCode::Ok)
    }
}
