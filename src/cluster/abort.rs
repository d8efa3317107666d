//! Criteria that end a run as soon as they fail: samples are read from the output of the nodes while it arrives.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::base::event::{Events, Stream};
use crate::base::name::NodeName;
use crate::base::patience::patience;
use crate::extract::Live;
use crate::measure::{Abort, Criterion, MetricSource, MetricSpec, Sample, Unit, figure};
use crate::topology::WorkloadStep;
use crate::verdict::{Bound, comes_from, titled, unit_of};
use crate::workload::{Observe, Record};

/// Interval between two checks of the criteria.
const LOOK: Duration = Duration::from_millis(500);

/// The most samples that are kept for one criterion. Later ones do not end a run; they count after the step.
const MOST: usize = 200_000;

/// A criterion that may end the run.
struct Watched {
    criterion: Criterion,
    abort: Abort,
    bound: Bound,
    unit: Option<Unit>,
}

impl Watched {
    fn wants(&self, sample: &Sample) -> bool {
        let Criterion { metric, step, on, .. } = &self.criterion;
        sample.metric == *metric
            && step
                .as_ref()
                .is_none_or(|step| sample.step.as_ref() == Some(step))
            && on
                .as_ref()
                .is_none_or(|on| sample.node.as_ref().is_some_and(|node| on.contains(node)))
    }
}

/// What has arrived of the step that runs.
#[derive(Default)]
struct Running {
    step: String,
    began: Option<Instant>,
    specs: Vec<MetricSpec>,
    /// By node and whether it is standard error; `None`: nothing is read from the stream.
    streams: HashMap<(NodeName, bool), Option<Live>>,
}

#[derive(Default)]
struct State {
    running: Running,
    /// The samples of each criterion, over all steps; and whether some came since the last check.
    values: Vec<(Vec<f64>, bool)>,
    /// Why the run ends.
    aborted: Option<String>,
}

/// Watches the output of a run.
pub(super) struct Watch {
    watched: Vec<Watched>,
    state: Mutex<State>,
}

impl Watch {
    /// Watches for the criteria of a run that may end it; `None` if it has no such ones.
    pub(super) fn new(record: &Record) -> Option<Self> {
        let watched = record.criteria.iter().filter_map(|criterion| {
            let abort = criterion.abort?;
            // An earlier release may have begun the run.
            if criterion.is.waits_for_samples() {
                return None;
            }
            let unit = unit_of(&criterion.metric, &record.metrics);
            // Whatever cannot be compared is reported after the run.
            let bound = Bound::of(&criterion.is, unit.as_ref()).ok().flatten()?;
            Some(Watched {
                criterion: criterion.clone(),
                abort,
                bound,
                unit,
            })
        });
        let watched: Vec<Watched> = watched.collect();
        let values = vec![(Vec::new(), false); watched.len()];
        let state = State {
            values,
            ..State::default()
        };
        (!watched.is_empty()).then(|| Self {
            watched,
            state: Mutex::new(state),
        })
    }

    /// Does the work. Cancels it when a criterion fails, and waits for its end.
    pub(super) async fn over<T>(
        &self,
        work: impl Future<Output = T>,
        stop: &CancellationToken,
        events: &Events,
    ) -> T {
        let mut work = Box::pin(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = sleep(patience(LOOK)) => {}
            }
            if !stop.is_cancelled()
                && let Some(why) = self.check(Instant::now())
            {
                events.warn(format!("the run is stopped: {why}"));
                stop.cancel();
            }
        }
    }

    /// Why the run was stopped, if it was.
    pub(super) fn aborted(&self) -> Option<String> {
        self.state().aborted.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first criterion that fails now, in words.
    fn check(&self, now: Instant) -> Option<String> {
        let mut state = self.state();
        let State {
            running,
            values,
            aborted,
        } = &mut *state;
        let began = running.began?;
        for (watched, (values, is_new)) in self.watched.iter().zip(values.iter_mut()) {
            if !*is_new || now.saturating_duration_since(began) < watched.abort.after {
                continue;
            }
            *is_new = false;
            let Some(value) = watched.bound.statistic.of(values) else {
                continue;
            };
            if !watched.bound.holds(value) {
                let why = format!(
                    "`{}` fails: {} is {}",
                    titled(&watched.criterion),
                    watched.bound.statistic,
                    figure::value(value, watched.unit.as_ref())
                );
                *aborted = Some(why.clone());
                return Some(why);
            }
        }
        None
    }
}

impl Observe for Watch {
    fn step_begun(&self, step: &WorkloadStep) {
        let wanted = |spec: &&MetricSpec| {
            let mut all = self.watched.iter();
            all.any(|watched| comes_from(&watched.criterion.metric, spec))
        };
        let mut state = self.state();
        // A criterion is about the step that makes its metric: what came earlier is not judged again.
        for (_, is_new) in &mut state.values {
            *is_new = false;
        }
        state.running = Running {
            step: step.name.clone(),
            began: Some(Instant::now()),
            specs: step.metrics.iter().filter(wanted).cloned().collect(),
            streams: HashMap::new(),
        };
    }

    fn step_ended(&self) -> Option<String> {
        let mut state = self.state();
        let State { running, values, .. } = &mut *state;
        for live in running.streams.values_mut().flatten() {
            count(&self.watched, values, live.finish());
        }
        drop(state);
        // What arrived after the last look.
        self.check(Instant::now())
    }

    fn output(&self, node: &NodeName, stream: Stream, bytes: &[u8]) {
        let mut state = self.state();
        let State { running, values, .. } = &mut *state;
        let Running {
            step, specs, streams, ..
        } = running;
        let is_error = stream == Stream::Stderr;
        let live = streams.entry((node.clone(), is_error)).or_insert_with(|| {
            let source = if is_error {
                MetricSource::Stderr
            } else {
                MetricSource::Stdout
            };
            let specs: Vec<&MetricSpec> = specs
                .iter()
                .filter(|spec| spec.source.as_ref() == Some(&source))
                .collect();
            (!specs.is_empty()).then(|| Live::new(step, node, &specs))
        });
        let Some(live) = live else { return };
        count(&self.watched, values, live.push(bytes));
    }
}

/// Adds samples to those of the criteria that are about them.
fn count(watched: &[Watched], values: &mut [(Vec<f64>, bool)], samples: Vec<Sample>) {
    for sample in samples {
        for (watched, (values, is_new)) in watched.iter().zip(values.iter_mut()) {
            if watched.wants(&sample) && values.len() < MOST {
                values.push(sample.value);
                *is_new = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Reading;
    use crate::measure::fixture::criterion;

    fn watch(text: &str, after: u64) -> Watch {
        let spec = MetricSpec {
            name: "join_seconds".parse().unwrap(),
            source: Some(MetricSource::Stdout),
            reading: Some(Reading::Regex("joined in ([0-9.]+) s".into())),
            scale: 1.0,
            unit: Some(Unit::seconds()),
            better: None,
            min_change: None,
            floor: None,
        };
        let mut record = Record::new(uuid::Uuid::nil(), Vec::new());
        record.criteria = vec![Criterion {
            abort: Some(Abort {
                after: Duration::from_secs(after),
            }),
            ..criterion(spec.name.as_str(), text)
        }];
        record.metrics = vec![spec.clone()];
        let watch = Watch::new(&record).unwrap();
        watch.step_begun(&step("join", vec![spec]));
        watch
    }

    fn step(name: &str, metrics: Vec<MetricSpec>) -> WorkloadStep {
        WorkloadStep {
            name: name.into(),
            on: vec!["n1".parse().unwrap()],
            run: "true".into(),
            timeout: Duration::from_secs(1),
            barrier: false,
            fanout: None,
            collect: Vec::new(),
            metrics,
            watch: Vec::new(),
            at: None,
        }
    }

    #[test]
    fn a_criterion_fails_with_the_samples_so_far_once_its_time_has_passed() {
        let watch = watch("max < 2000ms", 30);
        let node: NodeName = "n1".parse().unwrap();
        let (now, later) = (Instant::now(), Instant::now() + Duration::from_secs(31));
        watch.output(&node, Stream::Stderr, b"joined in 9.5 s\n");
        assert_eq!(watch.check(later), None, "nothing is read from standard error");
        watch.output(&node, Stream::Stdout, b"joined in 1.5 s\njoined in 3");
        assert_eq!(watch.check(later), None, "the line is not complete");
        watch.output(&node, Stream::Stdout, b".25 s\n");
        assert_eq!(watch.check(now), None, "too early");
        let why = "`join_seconds max < 2000ms` fails: max is 3.25 s";
        assert_eq!(watch.check(later).as_deref(), Some(why));
        assert_eq!(watch.aborted().as_deref(), Some(why));
    }

    #[test]
    fn a_value_at_the_end_of_a_step_is_compared_before_the_next_one_begins() {
        let node: NodeName = "n1".parse().unwrap();
        let late = |after| {
            let watch = watch("max < 2s", after);
            // The last line of a step may have no end.
            watch.output(&node, Stream::Stdout, b"joined in 1.5 s\njoined in 3.25 s");
            watch
        };
        let why = "`join_seconds max < 2s` fails: max is 3.25 s";
        let ended = late(0);
        assert_eq!(ended.step_ended().as_deref(), Some(why));
        assert_eq!(ended.aborted().as_deref(), Some(why));
        // Too early, and no matter of the next step.
        let early = late(30);
        assert_eq!(early.step_ended(), None);
        early.step_begun(&step("next", Vec::new()));
        assert_eq!(early.step_ended(), None);
        assert_eq!(early.aborted(), None);
    }

    #[test]
    fn a_run_without_such_criteria_is_not_watched() {
        let mut record = Record::new(uuid::Uuid::nil(), Vec::new());
        assert!(Watch::new(&record).is_none());
        record.criteria = vec![watch("max < 2", 0).watched[0].criterion.clone()];
        assert!(Watch::new(&record).is_some());
        record.criteria[0].abort = None;
        assert!(Watch::new(&record).is_none());
    }
}
