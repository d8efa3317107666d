//! Runs the steps: wave after wave, all nodes of a wave at once up to the fan-out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use super::file::{FileStep, files_script, parse_changed};
use super::wave::{Wave, waves};
use crate::engine::{Event, Events, Progress, explain};
use crate::name::NodeName;
use crate::report::sanitize;
use crate::ssh::{ExecRequest, Nodes, Output, SshError, quote};
use crate::template::Shared;
use crate::topology::{ConfigureAction, ConfigureStep};

/// Time allowed for the files of one wave on one node.
const FILES_TIMEOUT: Duration = Duration::from_mins(5);

/// What a failing step says, without the node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepFault {
    /// The command ended with another status than 0.
    #[error("step `{step}` failed: {how}\n  command: {command}{output}")]
    Failed {
        /// The step.
        step: String,
        /// `exit code 3`, `signal KILL`.
        how: String,
        /// The command as it ran.
        command: String,
        /// The tail of its output, indented, or empty.
        output: String,
    },
    /// It ran out of time.
    #[error("step `{step}` did not end within {allowed}\n  command: {command}")]
    Timeout {
        /// The step.
        step: String,
        /// The time allowed.
        allowed: String,
        /// The command as it ran.
        command: String,
    },
    /// The template could not be rendered.
    #[error("step `{step}`: {cause}")]
    Template {
        /// The step.
        step: String,
        /// What the template engine says.
        cause: String,
    },
    /// The file to copy could not be read.
    #[error("step `{step}`: failed to read {path}: {cause}")]
    Source {
        /// The step.
        step: String,
        /// The file.
        path: String,
        /// The cause.
        cause: String,
    },
    /// SSH failed.
    #[error("step `{step}`: {cause}")]
    Ssh {
        /// The step.
        step: String,
        /// What SSH says.
        cause: String,
    },
    /// Interrupted before it ended.
    #[error("interrupted in step `{step}`")]
    Interrupted {
        /// The step.
        step: String,
    },
}

/// A node on which a step failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeFault {
    /// The node.
    pub node: NodeName,
    /// What happened.
    pub fault: StepFault,
}

/// All that running steps needs.
pub struct Configuration<'a> {
    /// Renders templates and commands.
    pub renderer: &'a Shared,
    /// Sessions of the nodes.
    pub nodes: &'a Nodes,
    /// Where events go.
    pub events: &'a Events,
    /// Set when the user interrupts.
    pub cancel: &'a CancellationToken,
    /// The most nodes at once.
    pub fanout: usize,
    /// The most nodes that may fail while the others go on.
    pub may_lose: usize,
}

/// What a wave did on one node: for every step of it whether it changed anything, or the fault.
type NodeResult = Result<Vec<(usize, bool)>, StepFault>;

impl Configuration<'_> {
    /// Runs the steps. Files go to `files_on`, commands run on `commands_on`. A node that failed takes no
    /// part in later steps. Stops after the wave in which more nodes have failed than may, because the
    /// next step may rest on it; says which nodes failed.
    pub async fn run(
        &self,
        steps: &[ConfigureStep],
        files_on: &BTreeSet<NodeName>,
        commands_on: &BTreeSet<NodeName>,
    ) -> Vec<NodeFault> {
        let mut lost: Vec<NodeFault> = Vec::new();
        for wave in waves(steps) {
            let (members, targets) = match &wave {
                Wave::Files(files) => (files.clone(), files_on),
                Wave::Run(step) => (vec![*step], commands_on),
            };
            let nodes: BTreeSet<&NodeName> = members
                .iter()
                .flat_map(|step| &step.on)
                .filter(|node| targets.contains(*node))
                .filter(|node| lost.iter().all(|fault| fault.node != **node))
                .collect();
            if nodes.is_empty() {
                continue;
            }
            for step in &members {
                let nodes = step.on.iter().filter(|node| nodes.contains(node)).count();
                self.events.emit(Event::StepBegun {
                    name: step.name.clone(),
                    nodes,
                });
            }
            let began = Instant::now();
            let results: Vec<(&NodeName, NodeResult)> = futures::stream::iter(nodes)
                .map(|node| {
                    let (wave, members) = (&wave, &members);
                    async move { (node, self.told(node, wave, members).await) }
                })
                .buffer_unordered(self.fanout.max(1))
                .collect()
                .await;
            lost.extend(self.report(&members, results, began.elapsed()));
            if lost.len() > self.may_lose {
                break;
            }
        }
        lost.sort_by(|a, b| a.node.cmp(&b.node));
        lost
    }

    fn report(
        &self,
        members: &[&ConfigureStep],
        results: Vec<(&NodeName, NodeResult)>,
        took: Duration,
    ) -> Vec<NodeFault> {
        let mut faults = Vec::new();
        let mut ok = vec![(0, 0); members.len()];
        let mut failed: BTreeMap<String, usize> = BTreeMap::new();
        for (node, result) in results {
            match result {
                Ok(done) => {
                    for (step, changed) in done {
                        ok[step].0 += 1;
                        ok[step].1 += usize::from(changed);
                    }
                }
                Err(fault) => {
                    *failed.entry(fault.step().to_owned()).or_default() += 1;
                    faults.push(NodeFault {
                        node: node.clone(),
                        fault,
                    });
                }
            }
        }
        for (step, (ok, changed)) in members.iter().zip(ok) {
            self.events.emit(Event::Step {
                name: step.name.clone(),
                ok,
                changed,
                failed: failed.get(&step.name).copied().unwrap_or(0),
                took,
            });
        }
        faults.sort_by(|a, b| a.node.cmp(&b.node));
        faults
    }

    /// Works on a node and says so; a fault is told of the step that it belongs to.
    async fn told(&self, node: &NodeName, wave: &Wave<'_>, members: &[&ConfigureStep]) -> NodeResult {
        let say = |name: &str, progress| {
            self.events.emit(Event::StepNode {
                name: name.to_owned(),
                node: node.clone(),
                progress,
            });
        };
        // Which of several files a fault is about is known only afterwards; none may stay begun for ever.
        if let Wave::Run(step) = wave {
            say(&step.name, Progress::Begun);
        }
        let began = Instant::now();
        let result = self.on_node(node, wave, members).await;
        match &result {
            Ok(done) => {
                for &(step, changed) in done {
                    let took = began.elapsed();
                    say(&members[step].name, Progress::Done { changed, took });
                }
            }
            Err(fault) => {
                let error = fault.short();
                say(fault.step(), Progress::Failed { error });
            }
        }
        result
    }

    async fn on_node(&self, node: &NodeName, wave: &Wave<'_>, members: &[&ConfigureStep]) -> NodeResult {
        // The first of these steps that is for this node.
        let first = members.iter().find(|step| step.on.contains(node));
        let first = first.map_or_else(String::new, |step| step.name.clone());
        if self.cancel.is_cancelled() {
            return Err(StepFault::Interrupted { step: first });
        }
        let work = async {
            match wave {
                Wave::Files(_) => self.files(node, members, first.clone()).await,
                Wave::Run(step) => self.command(node, step).await,
            }
        };
        tokio::select! {
            result = work => result,
            // The command itself is ended when its session is closed.
            () = self.cancel.cancelled() => Err(StepFault::Interrupted { step: first.clone() }),
        }
    }

    async fn files(&self, node: &NodeName, members: &[&ConfigureStep], name: String) -> NodeResult {
        let mut indices = Vec::new();
        let mut files = Vec::new();
        for (index, step) in members
            .iter()
            .enumerate()
            .filter(|(_, step)| step.on.contains(node))
        {
            indices.push(index);
            files.push(self.file_of(step, node)?);
        }
        let request = ExecRequest {
            command: self.nodes.as_root(node, "sh -s"),
            stdin: files_script(&files).into_bytes(),
            timeout: Some(FILES_TIMEOUT),
            limit: 1 << 20,
        };
        let output = self.exec(node, &request, &name, "write files").await?;
        let changed: BTreeSet<usize> = parse_changed(&output.stdout).into_iter().collect();
        Ok(indices
            .into_iter()
            .enumerate()
            .map(|(file, step)| (step, changed.contains(&file)))
            .collect())
    }

    fn file_of(&self, step: &ConfigureStep, node: &NodeName) -> Result<FileStep, StepFault> {
        let template = |text: &str| self.render(step, text, node);
        match &step.action {
            ConfigureAction::Template {
                text,
                to,
                mode,
                owner,
                ..
            } => Ok(FileStep {
                path: template(to)?,
                contents: template(text)?.into_bytes(),
                mode: *mode,
                owner: owner.clone(),
            }),
            ConfigureAction::File {
                source,
                to,
                mode,
                owner,
            } => Ok(FileStep {
                path: template(to)?,
                contents: std::fs::read(source).map_err(|error| StepFault::Source {
                    step: step.name.clone(),
                    path: source.display().to_string(),
                    cause: error.to_string(),
                })?,
                mode: *mode,
                owner: owner.clone(),
            }),
            ConfigureAction::Run { .. } => Err(StepFault::Template {
                step: step.name.clone(),
                cause: "a command is no file".into(),
            }),
        }
    }

    async fn command(&self, node: &NodeName, step: &ConfigureStep) -> NodeResult {
        let ConfigureAction::Run { command } = &step.action else {
            return Ok(Vec::new());
        };
        let command = self.render(step, command, node)?;
        let request = ExecRequest {
            command: self.nodes.as_root(node, &format!("sh -c {}", quote(&command))),
            stdin: Vec::new(),
            timeout: Some(step.timeout),
            limit: 1 << 20,
        };
        self.exec(node, &request, &step.name, &command).await?;
        Ok(vec![(0, true)])
    }

    fn render(&self, step: &ConfigureStep, text: &str, node: &NodeName) -> Result<String, StepFault> {
        self.renderer
            .render_text(text, &step.name, node)
            .map_err(|error| StepFault::Template {
                step: step.name.clone(),
                cause: error.to_string(),
            })
    }

    async fn exec(
        &self,
        node: &NodeName,
        request: &ExecRequest,
        step: &str,
        command: &str,
    ) -> Result<Output, StepFault> {
        let ssh = |error: SshError| match error {
            SshError::CommandTimeout { .. } => StepFault::Timeout {
                step: step.to_owned(),
                allowed: humantime::format_duration(request.timeout.unwrap_or_default()).to_string(),
                command: command.to_owned(),
            },
            other => StepFault::Ssh {
                step: step.to_owned(),
                cause: explain(&other),
            },
        };
        let session: Arc<_> = self.nodes.session(node).await.map_err(ssh)?;
        crate::fault::point!("configure {step} before");
        // A step may be allowed minutes; a user who interrupts is not made to wait for them. The command
        // is killed on the node when its channel is given up.
        let output = tokio::select! {
            output = session.exec(request) => output.map_err(ssh)?,
            () = self.cancel.cancelled() => {
                return Err(StepFault::Interrupted { step: step.to_owned() });
            }
        };
        crate::fault::point!("configure {step} after");
        if output.status == Some(0) {
            return Ok(output);
        }
        let how = match (&output.status, &output.signal) {
            (Some(status), _) => format!("exit code {status}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "no exit code".to_owned(),
        };
        Err(StepFault::Failed {
            step: step.to_owned(),
            how,
            command: command.to_owned(),
            output: tail(&output),
        })
    }
}

impl StepFault {
    /// What happened, without the step, the command and its output.
    fn short(&self) -> String {
        match self {
            Self::Failed { how, .. } => how.clone(),
            Self::Timeout { allowed, .. } => format!("did not end within {allowed}"),
            Self::Template { cause, .. } | Self::Ssh { cause, .. } => cause.clone(),
            Self::Source { path, cause, .. } => format!("failed to read {path}: {cause}"),
            Self::Interrupted { .. } => "interrupted".to_owned(),
        }
    }

    /// The step that it is about.
    pub fn step(&self) -> &str {
        match self {
            Self::Failed { step, .. }
            | Self::Timeout { step, .. }
            | Self::Template { step, .. }
            | Self::Source { step, .. }
            | Self::Ssh { step, .. }
            | Self::Interrupted { step } => step,
        }
    }
}

/// The last lines of a command's output, for an error message.
fn tail(output: &Output) -> String {
    let both = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    let text = String::from_utf8_lossy(&both);
    let lines: Vec<&str> = text.lines().collect();
    let mut tail = String::new();
    for line in &lines[lines.len().saturating_sub(20)..] {
        tail.push_str("\n  | ");
        let head: String = line.chars().take(400).collect();
        tail.push_str(&sanitize(&head));
    }
    tail
}
