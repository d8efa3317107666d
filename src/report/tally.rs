//! Counts events: per stage how many are done, running and failed, and how long they took.
//! Pure: the clock is passed in, nothing is printed. Every renderer and the summary read this one tally.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use indexmap::IndexMap;

use crate::base::event::{ActionKind, Event, HostStage, NodeStage, Progress};
use crate::base::failure_kind::FailureKind;

/// A stage that is counted, in display order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Of hosts, before the nodes.
    HostBefore(HostStage),
    /// Of nodes.
    Node(NodeStage),
    /// Of hosts, after the nodes: clean and audit.
    HostAfter(HostStage),
    /// A step of configuration or workload: in order of appearance, with its name.
    Step(usize, String),
}

impl Stage {
    fn of_host(stage: HostStage) -> Self {
        match stage {
            HostStage::Clean | HostStage::Audit => Self::HostAfter(stage),
            _ => Self::HostBefore(stage),
        }
    }

    /// Its name on the screen and in the results.
    pub fn name(&self) -> &str {
        match self {
            Self::HostBefore(stage) | Self::HostAfter(stage) => stage.as_str(),
            Self::Node(stage) => stage.as_str(),
            Self::Step(_, name) => name,
        }
    }

    /// What goes through it.
    pub fn unit(&self) -> &'static str {
        match self {
            Self::HostBefore(_) | Self::HostAfter(_) => "hosts",
            Self::Node(_) | Self::Step(..) => "nodes",
        }
    }
}

/// The counts of one stage.
#[derive(Clone, Debug, Default)]
pub struct StageTally {
    /// How many are expected, if known.
    pub expected: Option<usize>,
    /// Those running now: name and when they began.
    pub at_work: HashMap<String, Duration>,
    /// Those that are done: name and how long it took.
    pub done: Vec<(String, Duration)>,
    /// Of these, how many were changed.
    pub changed: usize,
    /// How many failed.
    pub failed: usize,
}

impl StageTally {
    /// Done or failed.
    pub fn ended(&self) -> usize {
        self.done.len() + self.failed
    }

    /// The total, as far as known now.
    pub fn total(&self) -> usize {
        self.expected.unwrap_or(0).max(self.ended() + self.at_work.len())
    }

    /// Whether all of them have ended.
    pub fn complete(&self) -> bool {
        self.at_work.is_empty() && self.ended() >= self.total()
    }

    /// The one that has been running longest, and for how long. Ties go to the first by name.
    pub fn slowest(&self, now: Duration) -> Option<(&str, Duration)> {
        self.at_work
            .iter()
            .min_by(|a, b| a.1.cmp(b.1).then_with(|| a.0.cmp(b.0)))
            .map(|(name, began)| (name.as_str(), now.saturating_sub(*began)))
    }

    fn record(&mut self, name: &str, progress: &Progress, now: Duration) {
        match progress {
            Progress::Begun => {
                self.at_work.insert(name.to_owned(), now);
            }
            Progress::Done { changed, took } => {
                self.at_work.remove(name);
                self.changed += usize::from(*changed);
                self.done.push((name.to_owned(), *took));
            }
            Progress::Failed { .. } => {
                self.at_work.remove(name);
                self.failed += 1;
            }
        }
    }
}

/// One failure as reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Name of the stage.
    pub stage: String,
    /// What goes through that stage: `nodes` or `hosts`.
    pub unit: &'static str,
    /// The node, or the host where a stage of hosts failed.
    pub subject: String,
    /// The node's host, if reported.
    pub host: Option<String>,
    /// The error with causes and hint.
    pub error: String,
    /// What it is about, if known.
    pub kind: Option<FailureKind>,
}

/// Progress of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes {
    /// Bytes done.
    pub done: u64,
    /// Total bytes, 0 if unknown.
    pub total: u64,
}

/// All counts.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// The verb.
    pub verb: &'static str,
    /// The cluster.
    pub cluster: String,
    /// Hosts that take part.
    pub hosts: usize,
    /// Nodes that take part.
    pub nodes: usize,
    /// Planned actions.
    pub actions: Vec<(ActionKind, usize)>,
    /// The stages that have begun, in display order.
    pub stages: BTreeMap<Stage, StageTally>,
    /// Images being built or uploaded: (image, what is done) to bytes, in order of appearance.
    pub images: IndexMap<(String, String), Bytes>,
    /// All failures in order.
    pub failures: Vec<Failure>,
    /// All warnings in order.
    pub warnings: Vec<String>,
    /// Nodes that are missing in the cluster, by reason.
    pub missing: Vec<(Vec<String>, String)>,
    expected: HashMap<NodeStage, usize>,
    steps: HashMap<String, usize>,
}

impl Tally {
    /// Counts one event.
    pub fn record(&mut self, event: &Event, now: Duration) {
        match event {
            Event::Started {
                verb,
                cluster,
                hosts,
                nodes,
            } => {
                self.verb = verb;
                self.cluster = cluster.to_string();
                self.hosts = *hosts;
                self.nodes = nodes.unwrap_or(0);
            }
            Event::Planned { actions, hosts } => {
                self.actions.clone_from(actions);
                self.hosts = *hosts;
                let planned: usize = actions.iter().map(|(_, count)| count).sum();
                self.nodes = self.nodes.max(planned);
                for stage in self.stages.keys().cloned().collect::<Vec<_>>() {
                    self.stage(stage);
                }
            }
            Event::Expected { stage, nodes } => {
                self.expected.insert(*stage, *nodes);
                if let Some(tally) = self.stages.get_mut(&Stage::Node(*stage)) {
                    tally.expected = Some(*nodes);
                }
            }
            Event::Host {
                host,
                stage,
                progress,
            } => {
                let stage = Stage::of_host(*stage);
                self.failed(&stage, host.as_str(), None, progress);
                self.stage(stage).record(host.as_str(), progress, now);
            }
            Event::Node {
                node,
                host,
                stage,
                progress,
            } => {
                let stage = Stage::Node(*stage);
                self.failed(&stage, node.as_str(), Some(host.as_str()), progress);
                self.stage(stage).record(node.as_str(), progress, now);
            }
            Event::StepBegun { name, nodes } => {
                let stage = self.step(name);
                self.stage(stage).expected = Some(*nodes);
            }
            Event::StepNode { name, node, progress } => {
                let stage = self.step(name);
                self.failed(&stage, node.as_str(), None, progress);
                self.stage(stage).record(node.as_str(), progress, now);
            }
            Event::Image {
                image,
                doing,
                done,
                total,
            } => {
                let bytes = Bytes {
                    done: *done,
                    total: *total,
                };
                // Work without byte counts shows only its current step, which ends when the next begins.
                self.images
                    .retain(|(name, _), bytes| name != image || bytes.total > 0);
                self.images.insert((image.clone(), doing.clone()), bytes);
            }
            Event::Warning { text } => self.warnings.push(text.clone()),
            Event::Missing { nodes, reason } => {
                let nodes = nodes.iter().map(ToString::to_string).collect();
                self.missing.push((nodes, reason.clone()));
            }
            Event::Step { .. } | Event::Output { .. } | Event::Note { .. } | Event::Slow { .. } => {}
        }
    }

    fn failed(&mut self, stage: &Stage, subject: &str, host: Option<&str>, progress: &Progress) {
        if let Progress::Failed { error, kind, .. } = progress {
            self.failures.push(Failure {
                stage: stage.name().to_owned(),
                unit: stage.unit(),
                subject: subject.to_owned(),
                host: host.map(str::to_owned),
                error: error.clone(),
                kind: *kind,
            });
        }
    }

    fn step(&mut self, name: &str) -> Stage {
        let next = self.steps.len();
        let order = *self.steps.entry(name.to_owned()).or_insert(next);
        Stage::Step(order, name.to_owned())
    }

    /// The counts of a stage, with the expected number filled in.
    fn stage(&mut self, stage: Stage) -> &mut StageTally {
        let expected = match &stage {
            Stage::HostBefore(_) | Stage::HostAfter(_) => Some(self.hosts),
            Stage::Node(stage) => self.expected.get(stage).copied().or_else(|| self.planned(*stage)),
            Stage::Step(..) => None,
        };
        let tally = self.stages.entry(stage).or_default();
        tally.expected = expected.or(tally.expected);
        tally
    }

    /// How many nodes the plan sends through a stage; `None` before there is a plan.
    fn planned(&self, stage: NodeStage) -> Option<usize> {
        use ActionKind::{Configure, Create, Keep, Recreate, Remove, Restart, Start};
        let kinds: &[ActionKind] = match stage {
            NodeStage::Remove => &[Remove, Recreate],
            NodeStage::Disk | NodeStage::Define => &[Create, Recreate],
            NodeStage::Start | NodeStage::Boot => &[Create, Recreate, Start, Restart],
            NodeStage::Login | NodeStage::Configure => &[Create, Recreate, Start, Restart, Configure, Keep],
        };
        let of_kind = |(kind, count): &(ActionKind, usize)| if kinds.contains(kind) { *count } else { 0 };
        (!self.actions.is_empty()).then(|| self.actions.iter().map(of_kind).sum())
    }

    /// The planned number of one kind of action.
    pub fn action(&self, kind: ActionKind) -> usize {
        self.actions
            .iter()
            .filter(|(k, _)| *k == kind)
            .map(|(_, count)| count)
            .sum()
    }
}

#[cfg(test)]
pub(super) mod tests;
