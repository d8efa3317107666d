//! Samples of what is measured without being asked: how long a step ran, its exit codes, and what its nodes measured.

use std::collections::BTreeMap;

use super::results::{NodeResult, Outcome, StepReport};
use crate::base::name::NodeName;
use crate::measure::{MetricName, Sample};
use crate::supervise::{Measured, Watched};

/// The samples of a step, node by node:
///
/// - `step.STEP.seconds`, by the node's clock, where it ended by itself; `step.STEP.exit_code` where it has one,
/// - `node.cpu_seconds` and `node.memory_bytes`; with the label `link`, `node.received_bytes`, `node.received_packets`,
///   `node.sent_bytes` and `node.sent_packets`,
/// - `watch.NAME.processes`; if there was any, also `watch.NAME.cpu_seconds`, `rss_bytes`, `read_bytes` and
///   `written_bytes`. In the name of a process, a character that no metric may have is `_`.
pub fn measured_samples(report: &StepReport) -> Vec<Sample> {
    let mut samples = Vec::new();
    for result in &report.nodes {
        let mut of_node = OfNode {
            step: &report.step,
            node: &result.node,
            samples: &mut samples,
        };
        of_node.step(result);
        if let Some(measured) = &result.measured {
            of_node.measured(measured);
        }
    }
    samples
}

/// The samples of a step on a node.
struct OfNode<'a> {
    step: &'a str,
    node: &'a NodeName,
    samples: &'a mut Vec<Sample>,
}

impl OfNode<'_> {
    fn add(&mut self, metric: &str, value: f64, labels: &BTreeMap<String, String>) {
        if let Some(metric) = name(metric) {
            self.samples.push(Sample {
                metric,
                value,
                step: Some(self.step.to_owned()),
                node: Some(self.node.clone()),
                labels: labels.clone(),
            });
        }
    }

    fn step(&mut self, result: &NodeResult) {
        let (has_ended, code) = match &result.outcome {
            Outcome::Passed => (true, Some(0)),
            Outcome::Failed { code } => (true, Some(*code)),
            Outcome::Killed { .. } => (true, None),
            Outcome::TimedOut { .. } | Outcome::Error { .. } => (false, None),
        };
        let (step, none) = (self.step, BTreeMap::new());
        if has_ended {
            self.add(&format!("step.{step}.seconds"), result.took.as_secs_f64(), &none);
        }
        if let Some(code) = code {
            self.add(&format!("step.{step}.exit_code"), f64::from(code), &none);
        }
    }

    fn measured(&mut self, measured: &Measured) {
        let none = BTreeMap::new();
        self.add("node.cpu_seconds", measured.cpu_seconds, &none);
        self.add("node.memory_bytes", measured.memory_bytes as f64, &none);
        for (name, link) in &measured.links {
            let labels = BTreeMap::from([("link".to_owned(), name.clone())]);
            for (metric, value) in [
                ("node.received_bytes", link.received_bytes),
                ("node.received_packets", link.received_packets),
                ("node.sent_bytes", link.sent_bytes),
                ("node.sent_packets", link.sent_packets),
            ] {
                self.add(metric, value as f64, &labels);
            }
        }
        for (name, watched) in &measured.watched {
            self.watched(name, watched);
        }
    }

    fn watched(&mut self, name: &str, watched: &Watched) {
        let none = BTreeMap::new();
        let processes = f64::from(watched.processes);
        self.add(&format!("watch.{name}.processes"), processes, &none);
        if watched.processes == 0 {
            // Nothing was measured. A criterion must not pass because of it.
            return;
        }
        for (what, value) in [
            ("cpu_seconds", Some(watched.cpu_seconds)),
            // Unknown if no scan found a process before it ended.
            (
                "rss_bytes",
                Some(watched.rss_bytes as f64).filter(|bytes| *bytes > 0.0),
            ),
            ("read_bytes", Some(watched.read_bytes as f64)),
            ("written_bytes", Some(watched.written_bytes as f64)),
        ] {
            if let Some(value) = value {
                self.add(&format!("watch.{name}.{what}"), value, &none);
            }
        }
    }
}

/// What the names of the metrics of a watched process begin with: `watch.redis-server`.
pub fn watch_metric(process: &str) -> Option<MetricName> {
    name(&format!("watch.{process}"))
}

/// The name of a metric, with `_` for each character that none may have.
fn name(text: &str) -> Option<MetricName> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.:-/".contains(c);
    let text: String = text.chars().map(|c| if allowed(c) { c } else { '_' }).collect();
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::supervise::Link;

    fn result(node: &str, outcome: Outcome, measured: Option<Measured>) -> NodeResult {
        NodeResult {
            node: node.parse().unwrap(),
            outcome,
            took: Duration::from_millis(1500),
            bytes: 0,
            lost: 0,
            cut: 0,
            measured,
            uncollected: Vec::new(),
            unfetched: Vec::new(),
            notes: Vec::new(),
            unconfirmed: false,
        }
    }

    /// Each sample as text: node, metric, label, value.
    fn shown(nodes: Vec<NodeResult>) -> Vec<String> {
        let report = StepReport {
            step: "load".into(),
            nodes,
        };
        let samples = measured_samples(&report);
        assert!(
            samples
                .iter()
                .all(|sample| sample.step.as_deref() == Some("load"))
        );
        let show = |sample: &Sample| {
            let node = sample.node.as_ref().unwrap();
            let labels: String = sample
                .labels
                .iter()
                .map(|(key, value)| format!("{{{key}={value}}}"))
                .collect();
            format!("{node} {}{labels} {}", sample.metric, sample.value)
        };
        samples.iter().map(show).collect()
    }

    #[test]
    fn seconds_and_exit_codes_are_those_of_steps_that_ended_by_themselves() {
        let killed = Outcome::Killed {
            signal: "SEGV".into(),
        };
        let error = Outcome::Error {
            error: "the node rebooted during the step".into(),
        };
        let nodes = vec![
            result("n1", Outcome::Passed, None),
            result("n2", Outcome::Failed { code: 3 }, None),
            result("n3", killed, None),
            result("n4", Outcome::TimedOut { doing: None }, None),
            result("n5", error, None),
        ];
        assert_eq!(
            shown(nodes),
            [
                "n1 step.load.seconds 1.5",
                "n1 step.load.exit_code 0",
                "n2 step.load.seconds 1.5",
                "n2 step.load.exit_code 3",
                "n3 step.load.seconds 1.5",
            ]
        );
    }

    #[test]
    fn what_a_node_measured_is_there_however_its_step_ended() {
        let link = Link {
            received_bytes: 1,
            received_packets: 2,
            sent_bytes: 3,
            sent_packets: 4,
        };
        let redis = Watched {
            cpu_seconds: 0.5,
            rss_bytes: 4096,
            read_bytes: 5,
            written_bytes: 6,
            processes: 2,
        };
        let measured = Measured {
            cpu_seconds: 2.25,
            memory_bytes: 1024,
            links: BTreeMap::from([("eth0".to_owned(), link)]),
            watched: BTreeMap::from([
                ("(sd-pam)".to_owned(), Watched::default()),
                ("redis-server".to_owned(), redis),
            ]),
            left_out: 0,
        };
        let nodes = vec![result("n1", Outcome::TimedOut { doing: None }, Some(measured))];
        assert_eq!(
            shown(nodes),
            [
                "n1 node.cpu_seconds 2.25",
                "n1 node.memory_bytes 1024",
                "n1 node.received_bytes{link=eth0} 1",
                "n1 node.received_packets{link=eth0} 2",
                "n1 node.sent_bytes{link=eth0} 3",
                "n1 node.sent_packets{link=eth0} 4",
                "n1 watch._sd-pam_.processes 0",
                "n1 watch.redis-server.processes 2",
                "n1 watch.redis-server.cpu_seconds 0.5",
                "n1 watch.redis-server.rss_bytes 4096",
                "n1 watch.redis-server.read_bytes 5",
                "n1 watch.redis-server.written_bytes 6",
            ]
        );
    }
}
