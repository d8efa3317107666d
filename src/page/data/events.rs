//! The timeline of a run, from its `up.jsonl` and `events.jsonl`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::Path;

use serde::Deserialize;

use crate::base::name::NodeName;
use crate::base::text::plural;
use crate::page::model::{Bar, Timeline};
use crate::page::waterfall::folded;

/// The events of the `up` that booted the nodes, and those of the run.
const FILES: [&str; 2] = ["up.jsonl", "events.jsonl"];

/// A larger file is not read.
const LIMIT: u64 = 256 << 20;

/// A line, as far as a timeline needs it. A header has a version.
#[derive(Deserialize)]
struct Line {
    version: Option<u32>,
    #[serde(default)]
    elapsed: f64,
    event: Option<String>,
    host: Option<String>,
    node: Option<String>,
    stage: Option<String>,
    name: Option<String>,
    state: Option<String>,
    took: Option<f64>,
}

/// What is timed: a stage or step, on a host or on a node of it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct What {
    host: String,
    stage: String,
    node: String,
}

/// The time of one of them.
struct Span {
    what: What,
    begin: f64,
    end: Option<f64>,
    failed: bool,
}

#[derive(Default)]
struct Reader {
    open: BTreeMap<What, f64>,
    spans: Vec<Span>,
    /// What was before the last header: a run that is resumed has several.
    offset: f64,
    last: f64,
    unread: usize,
}

/// The timeline of the run in a directory; `None` if it has no events. `hosts`: where its nodes are.
pub(super) fn timeline(
    title: &str,
    run: &Path,
    hosts: &BTreeMap<NodeName, String>,
) -> io::Result<Option<Timeline>> {
    let mut reader = Reader::default();
    // The time between the two is left out.
    for name in FILES {
        let file = match File::open(run.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        };
        if file.metadata()?.len() > LIMIT {
            return Ok(Some(Timeline {
                title: title.to_owned(),
                bars: Vec::new(),
                end: 0.0,
                note: Some(format!("{name} has more than 256 MiB and was not read")),
            }));
        }
        for line in BufReader::new(file).split(b'\n') {
            reader.line(&line?, hosts);
        }
    }
    Ok(reader.finish(title))
}

impl Reader {
    fn line(&mut self, line: &[u8], hosts: &BTreeMap<NodeName, String>) {
        if line.is_empty() {
            return;
        }
        let Ok(line) = serde_json::from_slice::<Line>(line) else {
            self.unread += 1;
            return;
        };
        if line.version.is_some() {
            self.offset = self.last;
            return;
        }
        let time = self.offset + line.elapsed.max(0.0);
        if !time.is_finite() {
            self.unread += 1;
            return;
        }
        self.last = self.last.max(time);
        if let Some(what) = line.what(hosts) {
            self.event(what, &line, time);
        }
    }

    fn event(&mut self, what: What, line: &Line, time: f64) {
        let failed = match line.state.as_deref() {
            Some("begun") => {
                self.open.entry(what).or_insert(time);
                return;
            }
            Some("done") => false,
            Some("failed") => true,
            _ => return,
        };
        let took = line.took.unwrap_or(0.0);
        let begin = self.open.remove(&what).unwrap_or(time - took);
        self.spans.push(Span {
            what,
            begin: begin.clamp(0.0, time),
            end: Some(time),
            failed,
        });
    }

    fn finish(mut self, title: &str) -> Option<Timeline> {
        for (what, begin) in std::mem::take(&mut self.open) {
            self.spans.push(Span {
                what,
                begin,
                end: None,
                failed: false,
            });
        }
        let mut notes = Vec::new();
        if self.unread > 0 {
            let lines = plural(self.unread, "line");
            notes.push(format!("{lines} of events.jsonl could not be read"));
        }
        if self.spans.is_empty() && notes.is_empty() {
            return None;
        }
        let (bars, note) = folded(bars(self.spans, self.last));
        notes.extend(note);
        Some(Timeline {
            title: title.to_owned(),
            bars,
            end: self.last,
            note: Some(notes.join("; ")).filter(|note| !note.is_empty()),
        })
    }
}

impl Line {
    /// What it is about, if that is timed.
    fn what(&self, hosts: &BTreeMap<NodeName, String>) -> Option<What> {
        let node = self.node.clone().unwrap_or_default();
        let (host, stage) = match self.event.as_deref()? {
            "host" | "node" => (self.host.clone().unwrap_or_default(), self.stage.clone()?),
            "step_node" => {
                let parsed = node.parse::<NodeName>().ok();
                let host = parsed.and_then(|node| hosts.get(&node)).cloned();
                (host.unwrap_or_default(), format!("step {}", self.name.as_ref()?))
            }
            _ => return None,
        };
        Some(What { host, stage, node })
    }
}

/// Spans as bars: one per host and stage, by host, then by begin. `last`: where those without an end are cut.
fn bars(spans: Vec<Span>, last: f64) -> Vec<Bar> {
    let mut groups: BTreeMap<(String, String), Vec<Span>> = BTreeMap::new();
    for span in spans {
        let key = (span.what.host.clone(), span.what.stage.clone());
        groups.entry(key).or_default().push(span);
    }
    let bars = groups.into_iter().map(|((host, stage), spans)| {
        let mut ends: Vec<f64> = spans.iter().map(|span| span.end.unwrap_or(last)).collect();
        ends.sort_unstable_by(f64::total_cmp);
        Bar {
            host,
            stage,
            begin: spans.iter().map(|span| span.begin).fold(f64::INFINITY, f64::min),
            half: ends[(ends.len() - 1) / 2],
            end: ends[ends.len() - 1],
            count: spans.len(),
            failed: spans.iter().filter(|span| span.failed).count(),
            open: spans.iter().filter(|span| span.end.is_none()).count(),
        }
    });
    let mut bars: Vec<Bar> = bars.collect();
    bars.sort_by(|a, b| a.host.cmp(&b.host).then(a.begin.total_cmp(&b.begin)));
    bars
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Timeline> {
        let temp = tempfile::tempdir().unwrap();
        std::fs::write(temp.path().join("events.jsonl"), text).unwrap();
        let hosts = BTreeMap::from([("n2".parse().unwrap(), "bm02".to_owned())]);
        timeline("run", temp.path(), &hosts).unwrap()
    }

    #[test]
    fn stages_and_steps_are_bars_of_their_host() {
        let read = read(concat!(
            "{\"version\":1,\"type\":\"vcluster\",\"release\":\"0.1.0\"}\n",
            "{\"seq\":1,\"elapsed\":1.0,\"type\":\"event\",\"event\":\"node\",\"node\":\"n1\",\"host\":\"bm01\",",
            "\"stage\":\"boot\",\"state\":\"begun\"}\n",
            "{\"seq\":2,\"elapsed\":2.0,\"type\":\"event\",\"event\":\"node\",\"node\":\"n3\",\"host\":\"bm01\",",
            "\"stage\":\"boot\",\"state\":\"begun\"}\n",
            "{\"seq\":3,\"elapsed\":5.0,\"type\":\"event\",\"event\":\"node\",\"node\":\"n1\",\"host\":\"bm01\",",
            "\"stage\":\"boot\",\"state\":\"done\",\"changed\":true,\"took\":4.0}\n",
            "{\"seq\":4,\"elapsed\":9.0,\"type\":\"event\",\"event\":\"node\",\"node\":\"n3\",\"host\":\"bm01\",",
            "\"stage\":\"boot\",\"state\":\"failed\",\"error\":\"x\"}\n",
            "{\"seq\":5,\"elapsed\":12.0,\"type\":\"event\",\"event\":\"step_node\",\"name\":\"join\",\"node\":\"n2\",",
            "\"state\":\"done\",\"changed\":true,\"took\":2.5}\n",
        ));
        let read = read.unwrap();
        let boot = Bar {
            host: "bm01".into(),
            stage: "boot".into(),
            begin: 1.0,
            half: 5.0,
            end: 9.0,
            count: 2,
            failed: 1,
            open: 0,
        };
        let join = Bar {
            host: "bm02".into(),
            stage: "step join".into(),
            begin: 9.5,
            half: 12.0,
            end: 12.0,
            count: 1,
            failed: 0,
            open: 0,
        };
        assert_eq!(read.bars, [boot, join]);
        assert_eq!((read.end, read.note), (12.0, None));
    }

    #[test]
    fn a_resumed_run_continues_after_what_was_before_and_torn_lines_are_counted() {
        let read = read(concat!(
            "{\"version\":1}\n",
            "{\"elapsed\":4.0,\"event\":\"host\",\"host\":\"bm01\",\"stage\":\"probe\",\"state\":\"begun\"}\n",
            "{\"elapsed\":5.0,\"event\":\"host\",\"ho\n",
            "{\"version\":1}\n",
            "{\"elapsed\":1.0,\"event\":\"host\",\"host\":\"bm01\",\"stage\":\"image\",\"state\":\"begun\"}\n",
            "{\"elapsed\":3.0,\"event\":\"host\",\"host\":\"bm01\",\"stage\":\"image\",\"state\":\"done\"}\n",
        ));
        let read = read.unwrap();
        let times: Vec<(&str, f64, f64, usize)> = read
            .bars
            .iter()
            .map(|bar| (bar.stage.as_str(), bar.begin, bar.end, bar.open))
            .collect();
        assert_eq!(times, [("probe", 4.0, 7.0, 1), ("image", 5.0, 7.0, 0)]);
        assert_eq!(
            read.note.as_deref(),
            Some("1 line of events.jsonl could not be read")
        );
    }

    #[test]
    fn any_bytes_give_a_timeline_or_none() {
        assert!(read("").is_none());
        assert!(read("{\"elapsed\":1.0,\"event\":\"note\",\"text\":\"x\"}\n").is_none());
        let odd = read(concat!(
            "{\"elapsed\":-7e300,\"event\":\"host\",\"stage\":\"x\",\"state\":\"done\",\"took\":9e300}\n",
            "[]\n\0\n",
        ));
        let odd = odd.unwrap();
        assert_eq!((odd.bars[0].begin, odd.bars[0].end), (0.0, 0.0));
        assert_eq!(
            odd.note.as_deref(),
            Some("2 lines of events.jsonl could not be read")
        );
        let temp = tempfile::tempdir().unwrap();
        assert!(timeline("run", temp.path(), &BTreeMap::new()).unwrap().is_none());
    }
}
