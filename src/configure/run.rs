//! Runs the steps: wave by wave, all nodes of a wave at once up to the fan-out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::done::DoneCommands;
use super::fault::{NodeFault, StepFault};
use super::job::{Configuration, NodeResult};
use super::source::Sources;
use super::tail::Tail;
use super::wave::{Wave, waves};
use crate::base::event::{Event, Progress};
use crate::base::failure::UserFacing;
use crate::base::name::NodeName;
use crate::ssh::FANOUT;
use crate::ssh::fanout::each;
use crate::supervise::{self, Kind, Step, Way};
use crate::topology::{ConfigureAction, ConfigureStep};

impl Configuration<'_> {
    /// Runs the steps; returns the nodes that failed. Files go to `files_on`, commands run on `commands_on`.
    /// A command that is `done` on a node is not run there again; those that end well are added. A failed node is
    /// skipped in later steps. Stops after the wave in which the allowed number of failed nodes was exceeded, because
    /// the next step may depend on it.
    pub async fn run(
        &self,
        steps: &[ConfigureStep],
        files_on: &BTreeSet<NodeName>,
        commands_on: &BTreeSet<NodeName>,
        done: &mut DoneCommands,
    ) -> Vec<NodeFault> {
        let mut lost: Vec<NodeFault> = Vec::new();
        let sources = Sources::of(steps);
        for wave in waves(steps) {
            let (members, targets, command) = match &wave {
                Wave::Files(files) => (files.clone(), files_on, None),
                Wave::Run(step, position) => (vec![*step], commands_on, Some(*position)),
            };
            let nodes: BTreeSet<&NodeName> = members
                .iter()
                .flat_map(|step| &step.on)
                .filter(|node| targets.contains(*node))
                .filter(|node| !command.is_some_and(|command| done.has(node, command)))
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
            // The same for all steps of a wave.
            let fanout = members.first().and_then(|step| step.fanout).or(self.fanout);
            let results: Vec<(&NodeName, NodeResult)> = each(nodes, fanout.unwrap_or(FANOUT), |node| {
                let (wave, members, sources) = (&wave, &members, &sources);
                async move {
                    let _turn = match fanout {
                        Some(_) => None,
                        None => self.nodes.turn_unless(node, self.cancel).await,
                    };
                    (node, self.run_on(node, wave, members, sources).await)
                }
            })
            .await;
            if let Some(command) = command {
                for (node, _) in results.iter().filter(|(_, result)| result.is_ok()) {
                    done.add(node, command);
                }
            }
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

    /// Runs a wave on a node and emits its events; a fault is reported for the step that it belongs to.
    async fn run_on(
        &self,
        node: &NodeName,
        wave: &Wave<'_>,
        members: &[&ConfigureStep],
        sources: &Sources,
    ) -> NodeResult {
        let emit = |name: &str, progress| {
            self.events.emit(Event::StepNode {
                name: name.to_owned(),
                node: node.clone(),
                progress,
            });
        };
        // Which of several files fails is known only afterwards, and a `Begun` without an end must not remain.
        if let Wave::Run(step, _) = wave {
            emit(&step.name, Progress::Begun);
        }
        let began = Instant::now();
        let result = self.on_node(node, wave, members, sources).await;
        match &result {
            Ok(done) => {
                for &(step, changed) in done {
                    let took = began.elapsed();
                    emit(&members[step].name, Progress::Done { changed, took });
                }
            }
            Err(fault) => {
                let failed = Progress::Failed {
                    error: fault.short(),
                    kind: Some(fault.kind()),
                    left: None,
                };
                emit(fault.step(), failed);
            }
        }
        result
    }

    async fn on_node(
        &self,
        node: &NodeName,
        wave: &Wave<'_>,
        members: &[&ConfigureStep],
        sources: &Sources,
    ) -> NodeResult {
        // The first of these steps that runs on this node.
        let first = members.iter().find(|step| step.on.contains(node));
        let first = first.map_or_else(String::new, |step| step.name.clone());
        if self.cancel.is_cancelled() {
            return Err(StepFault::Interrupted { step: first });
        }
        match wave {
            Wave::Files(_) => {
                let files = super::files::write(self, sources, node, members, &first);
                tokio::select! {
                    result = files => result,
                    // The command itself ends when its session is closed.
                    () = self.cancel.cancelled() => Err(StepFault::Interrupted { step: first.clone() }),
                }
            }
            Wave::Run(step, position) => self.command(node, step, *position).await,
        }
    }

    async fn command(&self, node: &NodeName, step: &ConfigureStep, position: usize) -> NodeResult {
        let ConfigureAction::Run { command } = &step.action else {
            return Ok(Vec::new());
        };
        let command = self.render(step, command, node)?;
        let position = position.to_string();
        let way = Way {
            nodes: self.nodes,
            node: node.as_str(),
            cancel: self.cancel,
            start_timeout: step.timeout,
        };
        let supervised = Step {
            kind: Kind::Configure,
            id: supervise::id(Kind::Configure, &[node.as_str(), &position, &step.name, &command]),
            owner: self.owner.to_owned(),
            command: command.clone(),
            timeout: step.timeout,
            watch: Vec::new(),
            begun: false,
            arrived: None,
        };
        crate::base::crash_point::point!("configure {} before", step.name);
        let mut output = Tail::default();
        let end = supervise::follow(&way, &supervised, None, &mut output).await;
        crate::base::crash_point::point!("configure {} after", step.name);
        let how = match end {
            Ok(end) if end.ended.is_success() => return Ok(vec![(0, true)]),
            Ok(end) => end.ended.reason(),
            Err(error) => return Err(StepFault::of_step(&step.name, &command, error, &output.shown())),
        };
        Err(StepFault::Failed {
            step: step.name.clone(),
            how,
            command,
            output: output.shown(),
        })
    }
}
