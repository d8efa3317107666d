//! The events of a run: how its cluster was raised, and its step.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use vcluster::base::event::{Event, HostStage, NodeStage, Progress};
use vcluster::plan::Plan;
use vcluster::workload::StepReport;

/// The begin and the end of something, with their times.
fn span(begin: f64, took: f64, event: impl Fn(Progress) -> Event) -> [(f64, Event); 2] {
    let done = Progress::Done {
        changed: true,
        took: Duration::from_secs_f64(took),
    };
    [(begin, event(Progress::Begun)), (begin + took, event(done))]
}

/// The stages of `up`.
pub(crate) fn raised(plan: &Plan) -> Vec<(f64, Event)> {
    let of_hosts = [
        HostStage::Connect,
        HostStage::Probe,
        HostStage::Network,
        HostStage::Image,
    ];
    let of_nodes = [
        NodeStage::Disk,
        NodeStage::Define,
        NodeStage::Start,
        NodeStage::Boot,
        NodeStage::Login,
    ];
    let mut events = Vec::new();
    for host in &plan.hosts {
        for (place, stage) in (0_u32..).zip(of_hosts) {
            events.extend(span(f64::from(place), 0.9, |progress| Event::Host {
                host: host.name.clone(),
                stage,
                progress,
            }));
        }
    }
    for (number, node) in (0_u32..).zip(&plan.nodes) {
        for (place, stage) in (0_u32..).zip(of_nodes) {
            let begin = 4.0 + f64::from(number % 10) + 2.0 * f64::from(place);
            events.extend(span(begin, 1.5, |progress| Event::Node {
                node: node.name.clone(),
                host: node.host.clone(),
                stage,
                progress,
            }));
        }
    }
    events
}

/// The step on every node.
pub(crate) fn ended(report: &StepReport) -> Vec<(f64, Event)> {
    let spans = report.nodes.iter().flat_map(|result| {
        span(0.5, result.took.as_secs_f64(), |progress| Event::StepNode {
            name: report.step.clone(),
            node: result.node.clone(),
            progress,
        })
    });
    spans.collect()
}

/// Writes events as lines of JSON, in the form of `--format json`.
pub(crate) fn write(path: &Path, mut events: Vec<(f64, Event)>) {
    events.sort_by(|(left, _), (right, _)| left.total_cmp(right));
    let header = json!({ "version": 1, "type": "vcluster", "release": env!("CARGO_PKG_VERSION") });
    let mut text = format!("{header}\n");
    for (number, (elapsed, event)) in (1_u32..).zip(events) {
        let mut line = json!({ "seq": number, "elapsed": elapsed, "type": "event" });
        if let (Value::Object(line), Value::Object(fields)) =
            (&mut line, serde_json::to_value(event).unwrap())
        {
            line.extend(fields);
        }
        text.push_str(&format!("{line}\n"));
    }
    fs::write(path, text).unwrap();
}
