//! What the engine tells the world. Reporters render events; the engine never prints.

use std::time::Duration;

use serde::Serialize;
use tokio::sync::mpsc;

use crate::name::{ClusterName, HostName, NodeName};
use crate::plan::ActionKind;
pub use crate::ssh::fanout::Stream;

/// Work done once per host, before its nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HostStage {
    /// Open the connections.
    Connect,
    /// See what it is, has and holds.
    Probe,
    /// Bridge, VXLAN, NAT.
    Network,
    /// Prove the path MTU to the other hosts.
    Mtu,
    /// Pools and image upload.
    Image,
    /// Remove what is ours.
    Clean,
    /// Look again for what is left.
    Audit,
}

/// The stages of a node, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeStage {
    /// The old one is removed.
    Remove,
    /// Overlay and seed volume are made.
    Disk,
    /// The domain is defined.
    Define,
    /// The domain is started (waiting for its turn included).
    Start,
    /// Its image says on the console that it is ready.
    Boot,
    /// A real SSH login succeeds.
    Login,
    /// Its configuration steps run.
    Configure,
}

impl HostStage {
    /// Its name, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Probe => "probe",
            Self::Network => "network",
            Self::Mtu => "mtu",
            Self::Image => "image",
            Self::Clean => "clean",
            Self::Audit => "audit",
        }
    }
}

impl NodeStage {
    /// Its name, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Remove => "remove",
            Self::Disk => "disk",
            Self::Define => "define",
            Self::Start => "start",
            Self::Boot => "boot",
            Self::Login => "login",
            Self::Configure => "configure",
        }
    }
}

/// How a stage stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase", tag = "state")]
pub enum Progress {
    /// It has begun.
    Begun,
    /// It is done.
    Done {
        /// Whether anything was changed.
        changed: bool,
        /// Seconds it took.
        #[serde(serialize_with = "crate::units::seconds")]
        took: Duration,
    },
    /// It failed; the text is the whole error with its causes and hint.
    Failed {
        /// The error.
        error: String,
    },
}

/// One thing that happened. The JSON form is versioned: see `report::json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Event {
    /// A verb begins its work.
    Started {
        /// The verb: `up`, `down`, `run`, ...
        verb: &'static str,
        /// The cluster.
        cluster: ClusterName,
        /// Hosts that take part.
        hosts: usize,
        /// Nodes that take part, where that is known already.
        nodes: Option<usize>,
    },
    /// The plan is made: how many nodes each kind of action is for.
    Planned {
        /// Actions by kind.
        actions: Vec<(ActionKind, usize)>,
        /// Hosts that hold nodes, or give some up.
        hosts: usize,
    },
    /// How many nodes a stage is for, where that does not follow from the plan's actions.
    Expected {
        /// The stage.
        stage: NodeStage,
        /// Nodes.
        nodes: usize,
    },
    /// A host's stage.
    Host {
        /// The host.
        host: HostName,
        /// The stage.
        stage: HostStage,
        /// How it stands.
        #[serde(flatten)]
        progress: Progress,
    },
    /// A node's stage.
    Node {
        /// The node.
        node: NodeName,
        /// Its host.
        host: HostName,
        /// The stage.
        stage: NodeStage,
        /// How it stands.
        #[serde(flatten)]
        progress: Progress,
    },
    /// An image is built or uploaded: how far it is.
    Image {
        /// The image.
        image: String,
        /// What is being done: `build`, `upload to bm03`.
        doing: String,
        /// Bytes done, where bytes are counted.
        done: u64,
        /// Bytes in all, 0 where unknown.
        total: u64,
    },
    /// A configuration or workload step begins.
    StepBegun {
        /// Its name.
        name: String,
        /// Nodes that it is for.
        nodes: usize,
    },
    /// A configuration or workload step on one node.
    StepNode {
        /// Name of the step.
        name: String,
        /// The node.
        node: NodeName,
        /// How it stands.
        #[serde(flatten)]
        progress: Progress,
    },
    /// A configuration or workload step is done on all its nodes.
    Step {
        /// Its name.
        name: String,
        /// Nodes where it succeeded.
        ok: usize,
        /// Of these, nodes where it changed something.
        changed: usize,
        /// Nodes where it failed.
        failed: usize,
        /// Seconds it took.
        #[serde(serialize_with = "crate::units::seconds")]
        took: Duration,
    },
    /// A line of output of a command on a node.
    Output {
        /// The node.
        node: NodeName,
        /// Which stream.
        stream: Stream,
        /// The line without its end, control characters replaced.
        line: String,
    },
    /// Nodes that the cluster does without, for one reason.
    Missing {
        /// The nodes.
        nodes: Vec<NodeName>,
        /// Why.
        reason: String,
    },
    /// Nodes that have not answered for a while.
    Slow {
        /// Which, since when, and how busy their hosts are.
        text: String,
    },
    /// Something worth knowing.
    Note {
        /// The text.
        text: String,
    },
    /// Something worth worrying about.
    Warning {
        /// The text.
        text: String,
    },
}

/// Where events go. Cheap to clone; never blocks; events after the receiver is gone are dropped.
#[derive(Clone, Debug)]
pub struct Events(mpsc::UnboundedSender<Event>);

impl Events {
    /// A sender and its receiver.
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<Event>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// Sends one event.
    pub fn emit(&self, event: Event) {
        // Nobody listening is no error: the work matters, not the talk.
        let _ = self.0.send(event);
    }

    /// Sends a note.
    pub fn note(&self, text: impl Into<String>) {
        self.emit(Event::Note { text: text.into() });
    }

    /// Sends a warning.
    pub fn warn(&self, text: impl Into<String>) {
        self.emit(Event::Warning { text: text.into() });
    }
}
