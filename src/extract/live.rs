//! Samples of a stream while it is written, for criteria that end a run early.

use super::limits;
use super::regex::Pattern;
use super::sink::Sink;
use crate::base::name::NodeName;
use crate::measure::{MetricSpec, Reading, Sample};

/// The metrics in an output stream of a step on a node. Gives what an [`Extractor`](super::Extractor) gives of the same
/// lines, within the same limits, but no troubles.
#[derive(Debug)]
pub struct Live {
    metrics: Vec<(Pattern, Sink)>,
    /// The beginning of a line.
    pending: Vec<u8>,
    /// Whether the rest of the line is skipped, because it is too long.
    skips: bool,
}

impl Live {
    /// For the metrics of this stream that are read with a regular expression; others are left out.
    pub fn new(step: &str, node: &NodeName, specs: &[&MetricSpec]) -> Self {
        let metrics = specs.iter().filter_map(|spec| match &spec.reading {
            Some(Reading::Regex(expression)) => {
                let pattern = Pattern::new(expression).ok()?;
                Some((pattern, Sink::new(step, node, spec)))
            }
            _ => None,
        });
        Self {
            metrics: metrics.collect(),
            pending: Vec::new(),
            skips: false,
        }
    }

    /// Takes bytes; returns the samples of the lines that they complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Sample> {
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            let (part, ended) = match part.strip_suffix(b"\n") {
                Some(line) => (line, true),
                None => (part, false),
            };
            self.skips |= self.pending.len() + part.len() > limits::LINE;
            if self.skips {
                self.pending.clear();
            } else {
                self.pending.extend_from_slice(part);
            }
            if ended {
                if !self.skips {
                    for (pattern, sink) in &mut self.metrics {
                        pattern.line(&self.pending, sink);
                    }
                }
                self.pending.clear();
                self.skips = false;
            }
        }
        self.samples()
    }

    /// The samples of the last line, if that has no end.
    pub fn finish(&mut self) -> Vec<Sample> {
        if !self.pending.is_empty() {
            for (pattern, sink) in &mut self.metrics {
                pattern.line(&self.pending, sink);
            }
            self.pending.clear();
        }
        self.samples()
    }

    fn samples(&mut self) -> Vec<Sample> {
        let sinks = self.metrics.iter_mut().map(|(_, sink)| sink);
        sinks.flat_map(Sink::take).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_end_takes_no_more_memory_than_the_longest() {
        let spec = crate::extract::tests::regex_metric("a", "a=([0-9]+)");
        let mut live = Live::new("load", &"n1".parse().unwrap(), &[&spec]);
        for _ in 0..100 {
            assert_eq!(live.push(&[b'x'; 10_000]), []);
        }
        assert!(live.pending.capacity() <= 2 * limits::LINE);
        // The end of the skipped line is no line of its own.
        assert_eq!(live.push(b"a=1\na=2\na=3").len(), 1);
        assert_eq!(live.push(b"4\n")[0].value.to_string(), "34");
        assert_eq!(live.push(b"a=5"), []);
        assert_eq!(live.finish()[0].value.to_string(), "5");
        assert_eq!(live.finish(), []);
    }
}
