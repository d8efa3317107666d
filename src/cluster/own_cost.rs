//! What vcluster itself costs during a verb: the time, and the CPU seconds and memory of its own process. They are
//! metrics of a run: `vcluster.up.cpu_seconds`.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use serde::{Deserialize, Serialize};

use crate::measure::Sample;

/// Measures from the begin of a verb.
pub(super) struct Meter {
    began: Instant,
    cpu_seconds: Option<f64>,
}

/// What a verb has cost. What the kernel does not report is `None`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct OwnCost {
    verb: String,
    seconds: f64,
    /// Of the process, and of the programs that it started and that have ended.
    cpu_seconds: Option<f64>,
    /// The most resident memory of the process since it began.
    memory_bytes: Option<u64>,
}

impl Meter {
    /// Begins to measure.
    pub(super) fn begin() -> Self {
        Self {
            began: Instant::now(),
            cpu_seconds: cpu_seconds(),
        }
    }

    /// How long it has measured.
    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// The cost of the verb up to now.
    pub(super) fn read(&self, verb: &str) -> OwnCost {
        let used = |before: f64| Some(cpu_seconds()? - before);
        OwnCost {
            verb: verb.to_owned(),
            seconds: self.elapsed().as_secs_f64(),
            cpu_seconds: self.cpu_seconds.and_then(used),
            memory_bytes: peak_memory_bytes(),
        }
    }
}

impl OwnCost {
    /// The samples: `vcluster.VERB.seconds`, `vcluster.VERB.cpu_seconds` and `vcluster.VERB.memory_bytes`.
    pub(super) fn samples(&self) -> Vec<Sample> {
        let values = [
            ("seconds", Some(self.seconds)),
            ("cpu_seconds", self.cpu_seconds),
            ("memory_bytes", self.memory_bytes.map(|bytes| bytes as f64)),
        ];
        let verb = &self.verb;
        let sample = |(field, value): (&str, Option<f64>)| {
            Some(Sample {
                metric: format!("vcluster.{verb}.{field}").parse().ok()?,
                value: value?,
                step: None,
                node: None,
                labels: BTreeMap::new(),
            })
        };
        values.into_iter().filter_map(sample).collect()
    }
}

fn cpu_seconds() -> Option<f64> {
    let mut seconds = 0.0;
    for who in [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN] {
        let used = getrusage(who).ok()?;
        for time in [used.user_time(), used.system_time()] {
            seconds += time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
        }
    }
    Some(seconds)
}

/// `getrusage` has a peak too, but it includes the process that started this one.
fn peak_memory_bytes() -> Option<u64> {
    peak_in(&fs::read_to_string("/proc/self/status").ok()?)
}

fn peak_in(status: &str) -> Option<u64> {
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = peak.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::builtin;

    #[test]
    fn a_verb_costs_what_the_process_uses_in_its_time() {
        const MEMORY: usize = 64 << 20;
        let before = cpu_seconds().unwrap();
        let meter = Meter::begin();
        let memory = std::hint::black_box(vec![1_u8; MEMORY]);
        while cpu_seconds().unwrap() < before + 0.05 {}
        let cost = meter.read("up");
        drop(memory);
        let cpu_seconds = cost.cpu_seconds.unwrap();
        assert!((0.04..600.0).contains(&cpu_seconds), "{cost:?}");
        assert!(cost.seconds > 0.0, "{cost:?}");
        assert!(cost.memory_bytes.unwrap() >= MEMORY as u64, "{cost:?}");
        // What was used before does not count.
        let nothing = Meter::begin().read("run");
        assert!(nothing.cpu_seconds.unwrap() < cpu_seconds, "{nothing:?}");
    }

    #[test]
    fn each_figure_is_a_metric_that_criteria_can_name() {
        let mut cost = OwnCost {
            verb: "run".into(),
            seconds: 2.5,
            cpu_seconds: Some(0.25),
            memory_bytes: Some(4096),
        };
        let shown = |cost: &OwnCost| -> Vec<(String, f64)> {
            let samples = cost.samples().into_iter();
            samples
                .map(|sample| (sample.metric.to_string(), sample.value))
                .collect()
        };
        let wanted = [
            ("vcluster.run.seconds", 2.5),
            ("vcluster.run.cpu_seconds", 0.25),
            ("vcluster.run.memory_bytes", 4096.0),
        ];
        assert_eq!(shown(&cost), wanted.map(|(name, value)| (name.to_owned(), value)));
        assert!(
            cost.samples()
                .iter()
                .all(|sample| builtin(&sample.metric).is_some())
        );
        cost.cpu_seconds = None;
        cost.memory_bytes = None;
        assert_eq!(shown(&cost), [("vcluster.run.seconds".to_owned(), 2.5)]);
    }

    #[test]
    fn the_peak_is_read_in_the_form_of_the_kernel() {
        let status = "Name:\tvcluster\nVmPeak:\t  900 kB\nVmHWM:\t   84 kB\nVmRSS:\t   80 kB\n";
        assert_eq!(peak_in(status), Some(84 * 1024));
        for other in [
            "",
            "VmRSS:\t80 kB\n",
            "VmHWM:\t84\n",
            "VmHWM:\tkB\n",
            "VmHWM:\t-1 kB\n",
            "VmHWM:\t18446744073709551615 kB\n",
        ] {
            assert_eq!(peak_in(other), None, "{other}");
        }
    }
}
