//! The events that the engine emits. Reporters render them; the engine never prints.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::failure_kind::FailureKind;
use super::name::{ClusterName, HostName, NodeName};

/// Work done once per host, before its nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HostStage {
    /// Open the connections.
    Connect,
    /// Observe its facts and what it holds.
    Probe,
    /// Bridge, VXLAN, NAT.
    Network,
    /// Check the path MTU to the other hosts.
    Mtu,
    /// Pools and image upload.
    Image,
    /// Remove what is ours.
    Clean,
    /// Check that nothing is left.
    Audit,
}

/// The stages of a node, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NodeStage {
    /// The old one is removed.
    Remove,
    /// Overlay and seed volume are created.
    Disk,
    /// The domain is defined.
    Define,
    /// The domain is started (waiting for its turn included).
    Start,
    /// Its image prints on the console that it is ready.
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

/// A stage of a host or of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Of a host.
    Host(HostStage),
    /// Of a node.
    Node(NodeStage),
}

impl From<HostStage> for Stage {
    fn from(stage: HostStage) -> Self {
        Self::Host(stage)
    }
}

impl From<NodeStage> for Stage {
    fn from(stage: NodeStage) -> Self {
        Self::Node(stage)
    }
}

/// What is done to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ActionKind {
    /// It exists as wanted and runs: nothing is done.
    Keep,
    /// It is created.
    Create,
    /// It is removed and created again.
    Recreate,
    /// It exists as wanted but does not run: it is started.
    Start,
    /// It is removed.
    Remove,
    /// It exists as wanted and runs, but is no longer as it was configured: it is configured again.
    Configure,
    /// It exists as wanted: it is stopped, and started again.
    Restart,
}

impl ActionKind {
    /// Its name, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Create => "create",
            Self::Recreate => "recreate",
            Self::Start => "start",
            Self::Remove => "remove",
            Self::Configure => "configure",
            Self::Restart => "restart",
        }
    }

    /// Whether the guest boots.
    pub fn boots(self) -> bool {
        match self {
            Self::Create | Self::Recreate | Self::Start | Self::Restart => true,
            Self::Keep | Self::Configure | Self::Remove => false,
        }
    }
}

/// Where a line was written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// The state of a stage.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase", tag = "state")]
pub enum Progress {
    /// It has begun.
    Begun,
    /// It is done.
    Done {
        /// Whether anything was changed.
        changed: bool,
        /// Seconds it took.
        #[serde(serialize_with = "crate::base::units::seconds")]
        #[schemars(with = "f64")]
        took: Duration,
    },
    /// It failed; the text is the whole error with its causes and hint.
    Failed {
        /// The error.
        error: String,
        /// What it is about, if known.
        #[serde(skip_serializing_if = "Option::is_none")]
        kind: Option<FailureKind>,
        /// What it may have left on the host, if anything.
        #[serde(skip_serializing_if = "Option::is_none")]
        left: Option<String>,
    },
}

/// One thing that happened. The JSON form is versioned: see `report::json`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Event {
    /// A verb begins its work.
    Started {
        /// The verb: `up`, `down`, `run`, ...
        verb: &'static str,
        /// The cluster.
        #[schemars(with = "String")]
        cluster: ClusterName,
        /// Participating hosts.
        hosts: usize,
        /// Participating nodes, if already known.
        nodes: Option<usize>,
    },
    /// The plan is made: the number of nodes per kind of action.
    Planned {
        /// Actions by kind.
        actions: Vec<(ActionKind, usize)>,
        /// Hosts that hold or lose nodes.
        hosts: usize,
    },
    /// The number of nodes of a stage, if it does not follow from the plan's actions.
    Expected {
        /// The stage.
        stage: NodeStage,
        /// Nodes.
        nodes: usize,
    },
    /// A host's stage.
    Host {
        /// The host.
        #[schemars(with = "String")]
        host: HostName,
        /// The stage.
        stage: HostStage,
        /// Its state.
        #[serde(flatten)]
        progress: Progress,
    },
    /// A node's stage.
    Node {
        /// The node.
        #[schemars(with = "String")]
        node: NodeName,
        /// Its host.
        #[schemars(with = "String")]
        host: HostName,
        /// The stage.
        stage: NodeStage,
        /// Its state.
        #[serde(flatten)]
        progress: Progress,
    },
    /// Progress of building or uploading an image.
    Image {
        /// The image.
        image: String,
        /// The operation: `build`, `upload to bm03`.
        doing: String,
        /// Bytes done, if bytes are counted.
        done: u64,
        /// Total bytes, 0 if unknown.
        total: u64,
    },
    /// A configuration or workload step begins.
    StepBegun {
        /// Its name.
        name: String,
        /// Number of its nodes.
        nodes: usize,
    },
    /// A configuration or workload step on one node.
    StepNode {
        /// Name of the step.
        name: String,
        /// The node.
        #[schemars(with = "String")]
        node: NodeName,
        /// Its state.
        #[serde(flatten)]
        progress: Progress,
    },
    /// A configuration or workload step is done on all its nodes.
    Step {
        /// Its name.
        name: String,
        /// Nodes where it succeeded.
        ok: usize,
        /// Nodes among these where it changed something.
        changed: usize,
        /// Nodes where it failed.
        failed: usize,
        /// Seconds it took.
        #[serde(serialize_with = "crate::base::units::seconds")]
        #[schemars(with = "f64")]
        took: Duration,
    },
    /// A line of output of a command on a node.
    Output {
        /// The node.
        #[schemars(with = "String")]
        node: NodeName,
        /// Which stream.
        stream: Stream,
        /// The line without its end, control characters replaced.
        line: String,
    },
    /// Nodes that the cluster continues without, for one reason.
    Missing {
        /// The nodes.
        #[schemars(with = "Vec<String>")]
        nodes: Vec<NodeName>,
        /// Why.
        reason: String,
    },
    /// What the command waits for, once that takes a while: hosts or nodes that have not answered, a lock, a file.
    Slow {
        /// What it is and for how long, and for slow nodes the load of their hosts.
        text: String,
    },
    /// Information.
    Note {
        /// The text.
        text: String,
    },
    /// A possible problem.
    Warning {
        /// The text.
        text: String,
    },
}

/// Where events go. Cheap to clone; never blocks; events after the receiver is gone are dropped.
#[derive(Clone, Debug)]
pub struct Events {
    sender: mpsc::UnboundedSender<Event>,
    /// Who gets a copy of each event, except for lines of output.
    copies: Option<mpsc::UnboundedSender<Event>>,
    only_waits: bool,
}

impl Events {
    /// A sender and its receiver.
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<Event>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let events = Self {
            sender,
            copies: None,
            only_waits: false,
        };
        (events, receiver)
    }

    /// The same receiver for work whose stages are not shown: only what it waits for is sent.
    #[must_use]
    pub fn only_waits(&self) -> Self {
        Self {
            only_waits: true,
            ..self.clone()
        }
    }

    /// The same receiver, and a second one that gets a copy of each event, except for lines of output.
    pub(crate) fn copied(&self) -> (Self, mpsc::UnboundedReceiver<Event>) {
        let (copies, receiver) = mpsc::unbounded_channel();
        let events = Self {
            copies: Some(copies),
            ..self.clone()
        };
        (events, receiver)
    }

    /// Sends one event.
    pub fn emit(&self, event: Event) {
        if self.only_waits && !matches!(event, Event::Slow { .. }) {
            return;
        }
        if let Some(copies) = &self.copies
            && !matches!(event, Event::Output { .. })
        {
            let _ = copies.send(event.clone());
        }
        // A missing receiver is no error: the work continues without output.
        let _ = self.sender.send(event);
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
