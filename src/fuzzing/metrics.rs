//! Sources of metrics: any bytes give finite samples within the limits, or troubles.

use std::time::Duration;

use super::node::assert_harmless;
use super::pieces::Pieces;
use crate::base::name::NodeName;
use crate::extract::{Extractor, Live, Missing};
use crate::measure::{MetricName, MetricSource, MetricSpec, Reading, Sample};
use crate::topology::WorkloadStep;

fn step(node: &NodeName, reading: Reading) -> WorkloadStep {
    WorkloadStep {
        name: "s".to_owned(),
        on: vec![node.clone()],
        run: "true".to_owned(),
        timeout: Duration::from_secs(1),
        barrier: false,
        fanout: None,
        collect: Vec::new(),
        metrics: vec![MetricSpec {
            name: "m".parse().unwrap(),
            source: Some(MetricSource::Stdout),
            reading: Some(reading),
            scale: 1.0,
            unit: None,
            better: None,
            min_change: None,
            floor: None,
        }],
        watch: Vec::new(),
        at: None,
    }
}

/// The readers of metrics.
pub fn metrics(data: &[u8]) {
    thread_local! {
        static SCRATCH: tempfile::TempDir = super::scratch();
    }
    let mut pieces = Pieces(data);
    let reading = match pieces.byte() % 5 {
        0 => Reading::Regex("a=([0-9.e+-]*)".to_owned()),
        1 => Reading::Json("/a/0".to_owned()),
        2 => Reading::Json(String::new()),
        3 => Reading::OpenMetrics,
        _ => Reading::JsonLines,
    };
    let content = pieces.0;
    let node: NodeName = "n1".parse().unwrap();
    let step = step(&node, reading);
    let extractor = Extractor::new(&step).unwrap();
    let extracted = SCRATCH.with(|scratch| {
        let directory = scratch.path().join("s");
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("n1.out"), content).unwrap();
        extractor.extract(&node, scratch.path(), Missing::default())
    });
    let prefix: MetricName = "m".parse().unwrap();
    for sample in &extracted.samples {
        assert!(sample.value.is_finite());
        assert!(sample.labels.len() <= 64);
        assert_eq!(sample.metric.prefix(), prefix.as_str());
        let name = sample.metric.as_str().parse::<MetricName>();
        assert_eq!(name.as_ref(), Ok(&sample.metric));
        // A stored sample is read back as it was.
        let line = serde_json::to_string(sample).unwrap();
        let read: Sample = serde_json::from_str(&line).unwrap();
        assert_eq!(read, *sample);
    }
    for trouble in &extracted.troubles {
        assert!(trouble.count > 0 && trouble.metric == prefix);
        assert_harmless(&trouble.what);
    }
    if content.ends_with(b"\n") {
        let specs: Vec<&MetricSpec> = step.metrics.iter().collect();
        let mut live = Live::new("s", &node, &specs);
        let mut samples = Vec::new();
        let mut rest = Pieces(content);
        // The lengths of the pieces are bytes of the content itself.
        while let Some(&first) = rest.0.first() {
            let (piece, after) = rest.0.split_at(usize::from(first).clamp(1, rest.0.len()));
            samples.extend(live.push(piece));
            rest.0 = after;
        }
        let is_regex = matches!(step.metrics[0].reading, Some(Reading::Regex(_)));
        assert_eq!(samples, if is_regex { extracted.samples } else { Vec::new() });
    }
}
