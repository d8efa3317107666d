//! JSON lines on stdout, for programs. The first line is always
//! `{"version":1,"type":"vcluster","release":"0.1.0"}`; each further line carries `seq` (1, 2, 3, ...),
//! `elapsed` (seconds since the first line) and `type`:
//!
//! - `event`: an [`Event`]; its kind is in `event`.
//! - `plan`: the whole plan, in `plan` (`plan`, `up --dry-run`).
//! - `host`, `fix`, `finding`, `doctor`: what `doctor` read from a host, fixed, found, and its counts.
//! - `exec`, `run`: output of nodes, and the results of a workload.
//! - `experiment_run`, `experiment`: a run of an experiment, and what all of it has shown (`test`, `scale`).
//! - `summary`: the [`Summary`], once, when the work has ended; for each part of an experiment.
//! - `error`: why the command failed; nothing follows it.
//!
//! Version 1 may gain fields, types and events; what exists keeps its meaning.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Serialize;

use super::render::Render;
use super::summary::Summary;
use super::tally::Tally;
use crate::base::event::Event;
pub use crate::base::json_line::{JSON_VERSION, harmless};
use crate::base::json_line::{format, header};

/// A line of type `event`, for its schema.
#[derive(JsonSchema)]
#[schemars(title = "vcluster event", rename = "EventLine")]
#[expect(dead_code, reason = "the schema is all that is wanted of it")]
struct EventLine {
    /// Number of the line: 1, 2, 3, ...
    seq: u64,
    /// Seconds since the first line.
    elapsed: f64,
    /// `event`.
    r#type: String,
    #[serde(flatten)]
    event: Event,
}

/// The JSON Schema of the lines of type `event`.
pub fn event_schema() -> serde_json::Value {
    schemars::schema_for!(EventLine).to_value()
}

/// A numbered stream of lines.
#[derive(Debug)]
struct Stream {
    began: Instant,
    seq: u64,
}

/// The process has one stdout, so it has one stream, whose numbers all writers share.
static STREAM: Mutex<Option<Stream>> = Mutex::new(None);

/// Writes one line of the given type; the first line of the process is preceded by the header.
/// `content` must serialize to a JSON object.
pub fn line(kind: &str, content: &impl Serialize) {
    let mut stream = STREAM.lock().unwrap_or_else(PoisonError::into_inner);
    let mut text = String::new();
    let stream = stream.get_or_insert_with(|| {
        text = header();
        Stream {
            began: Instant::now(),
            seq: 0,
        }
    });
    stream.seq += 1;
    text.push_str(&format(stream.seq, stream.began.elapsed(), kind, content));
    // Under the lock, so that lines come out in the order of their numbers.
    super::out::data(&text);
}

/// The renderer.
#[derive(Debug, Default)]
pub(super) struct Json {}

impl Render for Json {
    fn event(&mut self, event: &Event, _tally: &Tally, _now: Duration) {
        line("event", event);
    }

    fn tick(&mut self, _tally: &Tally, _now: Duration) {}

    fn finish(&mut self, summary: &Summary, _now: Duration) {
        line("summary", summary);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::super::tally::tests::{done, failed, node, started};
    use super::*;
    use crate::base::event::{self, ActionKind, HostStage, NodeStage, Progress};
    use crate::base::failure_kind::FailureKind;

    #[test]
    fn the_header_comes_with_the_version_first() {
        assert!(header().starts_with(r#"{"version":1,"type":"vcluster","release":""#));
    }

    #[test]
    fn every_line_carries_number_time_and_type() {
        let events = [
            started("up"),
            Event::Planned {
                actions: vec![(ActionKind::Create, 2)],
                hosts: 2,
            },
            node("n1", NodeStage::Boot, Progress::Begun),
            node("n1", NodeStage::Boot, done(3)),
            node("n1", NodeStage::Login, failed("no\nway")),
        ];
        let text: String = events
            .iter()
            .zip(1..)
            .map(|(event, seq)| format(seq, Duration::from_micros(1_234_567), "event", event))
            .collect();
        insta::assert_snapshot!(text, @r#"
        {"seq":1,"elapsed":1.235,"type":"event","event":"started","verb":"up","cluster":"demo","hosts":2,"nodes":3}
        {"seq":2,"elapsed":1.235,"type":"event","event":"planned","actions":[["create",2]],"hosts":2}
        {"seq":3,"elapsed":1.235,"type":"event","event":"node","node":"n1","host":"bm01","stage":"boot","state":"begun"}
        {"seq":4,"elapsed":1.235,"type":"event","event":"node","node":"n1","host":"bm01","stage":"boot","state":"done","changed":true,"took":3.0}
        {"seq":5,"elapsed":1.235,"type":"event","event":"node","node":"n1","host":"bm01","stage":"login","state":"failed","error":"no\nway"}
        "#);
    }

    #[test]
    fn a_failure_carries_its_kind_and_what_it_may_have_left() {
        let failed = Progress::Failed {
            error: "no room".into(),
            kind: Some(FailureKind::NoSpace),
            left: Some("files in /x".into()),
        };
        let text = format(1, Duration::ZERO, "event", &node("n1", NodeStage::Disk, failed));
        insta::assert_snapshot!(text, @r#"
        {"seq":1,"elapsed":0.0,"type":"event","event":"node","node":"n1","host":"bm01","stage":"disk","state":"failed","error":"no room","kind":"no_space","left":"files in /x"}
        "#);
    }

    /// Events of each kind, with all their fields.
    fn one_of_each_kind() -> Vec<Event> {
        let failed = || Progress::Failed {
            error: "no room".into(),
            kind: Some(FailureKind::NoSpace),
            left: Some("files in /x".into()),
        };
        let step = |progress| Event::StepNode {
            name: "load".into(),
            node: "n1".parse().unwrap(),
            progress,
        };
        vec![
            started("up"),
            Event::Planned {
                actions: vec![(ActionKind::Create, 2)],
                hosts: 2,
            },
            Event::Expected {
                stage: NodeStage::Boot,
                nodes: 2,
            },
            Event::Host {
                host: "bm01".parse().unwrap(),
                stage: HostStage::Image,
                progress: failed(),
            },
            node("n1", NodeStage::Disk, failed()),
            node("n1", NodeStage::Boot, Progress::Begun),
            Event::Image {
                image: "micro".into(),
                doing: "build".into(),
                done: 1,
                total: 2,
            },
            Event::StepBegun {
                name: "load".into(),
                nodes: 1,
            },
            step(done(3)),
            step(failed()),
            Event::Step {
                name: "load".into(),
                ok: 1,
                changed: 0,
                failed: 0,
                took: Duration::from_secs(1),
            },
            Event::Output {
                node: "n1".parse().unwrap(),
                stream: event::Stream::Stdout,
                line: "x".into(),
            },
            Event::Missing {
                nodes: vec!["n1".parse().unwrap()],
                reason: "no room".into(),
            },
            Event::Slow { text: "x".into() },
            Event::Note { text: "x".into() },
            Event::Warning { text: "x".into() },
        ]
    }

    /// The branch of a schema whose `tag` is that of the event.
    fn branch<'a>(schema: &'a Value, tag: &str, event: &Value) -> &'a Value {
        let branches = schema["oneOf"].as_array().unwrap();
        let mut branches = branches.iter();
        branches
            .find(|branch| branch["properties"][tag]["const"] == event[tag])
            .unwrap_or_else(|| panic!("no {tag} of {event}"))
    }

    #[test]
    fn the_fields_of_an_event_are_those_of_its_schema() {
        let schema = event_schema();
        let mut checked = BTreeSet::new();
        for event in one_of_each_kind() {
            let value = serde_json::to_value(&event).unwrap();
            let kind = branch(&schema, "event", &value);
            // A stage has the fields of its state too.
            let state = kind.get("oneOf").map(|_| branch(kind, "state", &value));
            let parts: Vec<&Value> = std::iter::once(kind).chain(state).collect();
            for field in value.as_object().unwrap().keys() {
                let is_known = |part: &&Value| part["properties"].get(field).is_some();
                assert!(parts.iter().any(is_known), "{field} of {value}");
            }
            for part in parts {
                for required in part["required"].as_array().unwrap() {
                    let required = required.as_str().unwrap();
                    assert!(value.get(required).is_some(), "{required} of {value}");
                }
            }
            checked.insert(value["event"].as_str().unwrap().to_owned());
        }
        let branches = schema["oneOf"].as_array().unwrap().iter();
        let kinds = branches.map(|branch| branch["properties"]["event"]["const"].as_str().unwrap());
        assert_eq!(checked, kinds.map(str::to_owned).collect::<BTreeSet<_>>());
    }

    #[test]
    fn what_a_node_wrote_is_escaped_in_json_too_and_stays_the_same() {
        let hazards = "a\u{9b}2J\u{7f}\u{202e}\u{e0041}é";
        let text = format(
            1,
            Duration::ZERO,
            "exec",
            &serde_json::json!({ "stdout": hazards }),
        );
        assert!(
            text.trim_end()
                .chars()
                .all(|c| c.is_ascii() && !c.is_control() || c == 'é'),
            "{text}"
        );
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["stdout"], hazards);
    }

    #[test]
    fn content_that_is_not_an_object_still_gives_json() {
        let text = format(1, Duration::ZERO, "event", &7);
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).unwrap()["type"],
            "error"
        );
    }
}
