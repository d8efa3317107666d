//! A cluster without virtual machines, for configuration and workload: its nodes are OpenSSH servers on this machine,
//! which share its files.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;
use vcluster::base::event::{Event, Events, Progress};
use vcluster::base::failure::Failure;
use vcluster::base::name::NodeName;
use vcluster::cluster::transfer::{self, TransferOptions};
use vcluster::configure::{Configuration, DoneCommands, NodeFault};
use vcluster::ssh::transfer::Archive;
use vcluster::ssh::{HostWay, Nodes, Reach, Via};
use vcluster::template::{Data, Place, Shared};
use vcluster::topology::Topology;
use vcluster::workload::{Journal, Results, StepReport, Workload};

use crate::server::Server;

/// Nodes `n001`, `n002`, ... and what a command on them needs.
pub(crate) struct Cluster {
    /// One per node.
    pub(crate) servers: Vec<Server>,
    pub(crate) topology: Topology,
    pub(crate) nodes: Nodes,
    renderer: Shared,
    events: Events,
    received: Mutex<UnboundedReceiver<Event>>,
    pub(crate) cancel: CancellationToken,
    /// Time for the nodes to arrive at a barrier.
    pub(crate) barrier_timeout: Duration,
}

impl Cluster {
    /// A cluster with these steps, in YAML; `DIR` in them is the directory of the test.
    pub(crate) fn new(count: usize, steps: &str) -> Self {
        Self::of(Server::nodes(count), steps)
    }

    /// One node with the programs of the micro image.
    pub(crate) fn dropbear(steps: &str) -> Self {
        Self::of(vec![Server::dropbear()], steps)
    }

    fn of(servers: Vec<Server>, steps: &str) -> Self {
        let topology = topology(&servers, steps);
        let names: Vec<NodeName> = topology.nodes.iter().map(|node| node.name.clone()).collect();
        let (events, received) = Events::channel();
        Self {
            nodes: connect(&servers, &names, &Via::Direct),
            renderer: renderer(&names),
            topology,
            servers,
            events,
            received: Mutex::new(received),
            cancel: CancellationToken::new(),
            barrier_timeout: Duration::from_mins(1),
        }
    }

    /// Other steps on the same nodes.
    pub(crate) fn set_steps(&mut self, steps: &str) {
        self.topology = topology(&self.servers, steps);
    }

    /// New connections, as another command would open them.
    pub(crate) fn reconnect(&mut self) {
        self.nodes = connect(&self.servers, &self.names(), &Via::Direct);
    }

    /// New connections through a host, with all nodes logged in to.
    pub(crate) async fn reconnect_through(&mut self, host: &Server) {
        let way = HostWay::fixed(Arc::new(host.host_session().await));
        self.nodes = connect(&self.servers, &self.names(), &Via::Host(way));
        for name in self.names() {
            self.nodes.session(&name).await.unwrap();
        }
    }

    /// Sends a file to the login directories of all nodes.
    pub(crate) async fn push(&self, file: &Path, fanout: Option<usize>) -> Vec<String> {
        let archive = Arc::new(Archive::pack(&[file.to_owned()], "pushed/").unwrap());
        let options = TransferOptions {
            fanout,
            timeout: None,
        };
        let failures = transfer::push(&self.nodes, &self.names(), &archive, options, &self.events).await;
        failures.iter().map(Failure::text).collect()
    }

    pub(crate) fn names(&self) -> Vec<NodeName> {
        self.topology.nodes.iter().map(|node| node.name.clone()).collect()
    }

    /// A path in the directory of the test.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.servers[0].path(name)
    }

    /// The text of a file in the directory of the test, empty if it does not exist.
    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Waits until a file exists in the directory of the test.
    pub(crate) async fn exists(&self, name: &str) {
        let began = Instant::now();
        while !self.path(name).exists() {
            assert!(began.elapsed() < Duration::from_secs(30), "{name} never appeared");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Runs the configuration steps: files on all nodes, commands on these.
    pub(crate) async fn configure(&self, commands_on: &[NodeName], may_lose: usize) -> Vec<NodeFault> {
        self.configure_rest(commands_on, may_lose, &mut DoneCommands::default())
            .await
    }

    /// As [`Self::configure`], without the commands that are done already.
    pub(crate) async fn configure_rest(
        &self,
        commands_on: &[NodeName],
        may_lose: usize,
        done: &mut DoneCommands,
    ) -> Vec<NodeFault> {
        let files_on: BTreeSet<NodeName> = self.names().into_iter().collect();
        let commands_on: BTreeSet<NodeName> = commands_on.iter().cloned().collect();
        Configuration {
            renderer: &self.renderer,
            nodes: &self.nodes,
            events: &self.events,
            cancel: &self.cancel,
            fanout: None,
            owner: "test",
            may_lose,
        }
        .run(&self.topology.configure, &files_on, &commands_on, done)
        .await
    }

    /// A directory for the results of a run.
    pub(crate) fn results(&self) -> Results {
        Results::create(&self.path("results"), std::time::SystemTime::UNIX_EPOCH).unwrap()
    }

    /// Starts or resumes the workload.
    pub(crate) async fn run(&self, results: &Results) -> Vec<StepReport> {
        let journal = Journal::open(results).unwrap();
        let workload = self.workload(results, &journal);
        workload.run(&self.topology.workload).await.unwrap()
    }

    /// Stops the workload.
    pub(crate) async fn stop(&self, results: &Results) -> Vec<StepReport> {
        let journal = Journal::open(results).unwrap();
        self.workload(results, &journal)
            .stop(&self.topology.workload)
            .await
    }

    fn workload<'a>(&'a self, results: &'a Results, journal: &'a Journal) -> Workload<'a> {
        Workload {
            renderer: &self.renderer,
            nodes: &self.nodes,
            events: &self.events,
            cancel: &self.cancel,
            // Distinguishes the steps of this test from those of others on this machine.
            run: self.servers[0].directory.path().to_str().unwrap(),
            results,
            journal,
            live: false,
            fanout: None,
            barrier_timeout: self.barrier_timeout,
            starts: true,
            watcher: None,
        }
    }

    /// The steps that ended since the last call: name, nodes where it succeeded, changed something, failed.
    /// Panics unless each node's step that began also ended, before its step did.
    pub(crate) fn ended_steps(&self) -> Vec<(String, usize, usize, usize)> {
        let mut received = self.received.lock().unwrap();
        let mut running: HashMap<String, BTreeSet<NodeName>> = HashMap::new();
        let mut ended = Vec::new();
        while let Ok(event) = received.try_recv() {
            match event {
                Event::StepNode { name, node, progress } => {
                    let nodes = running.entry(name).or_default();
                    match progress {
                        Progress::Begun => assert!(nodes.insert(node.clone()), "{node} began twice"),
                        Progress::Done { .. } | Progress::Failed { .. } => _ = nodes.remove(&node),
                    }
                }
                Event::Step {
                    name,
                    ok,
                    changed,
                    failed,
                    ..
                } => {
                    assert!(running.remove(&name).unwrap_or_default().is_empty(), "{name}");
                    ended.push((name, ok, changed, failed));
                }
                _ => {}
            }
        }
        assert!(running.values().all(BTreeSet::is_empty), "{running:?}");
        ended
    }
}

fn topology(servers: &[Server], steps: &str) -> Topology {
    let directory = servers[0].directory.path();
    let steps = steps.replace("DIR", directory.to_str().unwrap());
    let text = format!(
        "name: demo\ngroups: {{ n: {{ count: {} }} }}\n{steps}",
        servers.len()
    );
    Topology::parse(&text, "topology.yaml", directory).unwrap_or_else(|error| panic!("{error}"))
}

fn connect(servers: &[Server], names: &[NodeName], via: &Via) -> Nodes {
    Nodes::new(servers.iter().zip(names).map(|(server, name)| Reach {
        target: server.node(name.as_str()),
        via: via.clone(),
        host: "host".into(),
    }))
}

fn renderer(names: &[NodeName]) -> Shared {
    let places = names.iter().enumerate();
    Shared::new(Data {
        context: json!({ "node": null, "vars": null, "group": null }),
        nodes: names.iter().map(|name| json!({ "name": name })).collect(),
        vars: vec![json!({}); names.len()],
        groups: vec![json!({ "name": "n" })],
        places: places
            .map(|(node, name)| (name.clone(), Place { node, group: 0 }))
            .collect(),
    })
}
