//! The application against hosts in memory: what it claims, creates, rolls back and removes.

mod claims;
mod garbage;
mod guests;
mod plans;
mod power;
mod removal;
mod rounds;
mod status;
mod undone;

use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::options::UpOptions;
use super::situation::{self, Situation};
use super::store::store;
use crate::base::event::{ActionKind, Events};
use crate::host::fake::FakeHosts;
use crate::plan::Plan;
use crate::state::{ClusterDir, StateRoot};
use crate::topology::{Overrides, Topology};

/// Three hosts, a controller's directory, and a topology on them.
struct World {
    hosts: FakeHosts,
    temp: tempfile::TempDir,
    root: StateRoot,
    events: Events,
    options: UpOptions,
}

const HOSTS: [&str; 3] = ["bm1", "bm2", "bm3"];

impl World {
    fn new() -> Self {
        Self::on(FakeHosts::new(&HOSTS))
    }

    fn on(hosts: FakeHosts) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let options = UpOptions {
            topology_file: None,
            overrides: Overrides::default(),
            experiment: None,
            keep: false,
            adopt: false,
            configure: true,
            scope: None,
            boot_timeout: Duration::from_mins(1),
            boots: None,
            connect: hosts.access(),
            cancel: CancellationToken::new(),
        };
        Self {
            root: StateRoot::at(temp.path().join("vcluster")),
            hosts,
            temp,
            events: Events::channel().0,
            options,
        }
    }

    /// A topology of `nodes` nodes, at most four per host.
    fn topology(&self, name: &str, nodes: usize) -> Topology {
        self.topology_with(name, nodes, "micro", "")
    }

    /// As [`Self::topology`], with this image and further keys.
    fn topology_with(&self, name: &str, nodes: usize, image: &str, rest: &str) -> Topology {
        // A subnet for each name: clusters that share hosts must not share one.
        let subnet = name.bytes().map(u32::from).sum::<u32>() % 200;
        let text = format!(
            "name: {name}\nnetwork: {{ subnet: 10.{subnet}.0.0/16 }}\nhosts:\n  bm[1-3]: {{ uri: \"qemu+ssh://root@{{{{name}}}}/system\", max_nodes: 4 }}\n\
             groups:\n  n: {{ count: {nodes}, place: spread, image: {image} }}\n{rest}"
        );
        Topology::parse(&text, "t.yaml", self.temp.path()).unwrap_or_else(|error| panic!("{error}"))
    }

    fn dir(&self, name: &str) -> ClusterDir {
        self.root.cluster(&name.parse().unwrap())
    }

    /// What an `up` of this cluster would find and do.
    async fn observe(&self, name: &str, nodes: usize) -> Situation {
        self.observe_topology(self.topology(name, nodes)).await
    }

    async fn observe_topology(&self, topology: Topology) -> Situation {
        let dir = self.dir(topology.name.as_str());
        situation::observe(&self.options.plan(), topology, &dir, &self.events)
            .await
            .unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// Raises a cluster, as far as hosts without guests go: record, claims, objects, nodes.
    async fn raise(&self, name: &str, nodes: usize) -> Situation {
        let mut situation = self.observe(name, nodes).await;
        store(&self.options, &situation).unwrap();
        situation.begin_round();
        situation.claim(&self.events).await.unwrap();
        self.hosts.apply(&situation.plan, |_| true);
        store(&self.options, &situation).unwrap();
        situation.fleet.close().await;
        situation
    }
}

fn keeps_all(plan: &Plan) -> bool {
    plan.actions.iter().all(|action| action.kind == ActionKind::Keep)
}

/// Whether a directory is missing or empty.
fn is_gone(path: &Path) -> bool {
    !path.exists() || std::fs::read_dir(path).unwrap().next().is_none()
}
