//! The smallest size at which a criterion fails, by bisection. Pure, but for the probe that runs a size.

use std::collections::BTreeMap;

use crate::base::exit::ExitCode;
use crate::base::failure::UserError;
use crate::base::text::sanitize;
use crate::measure::{Criterion, Expression, MetricName};
use crate::runs::ExperimentFound;
use crate::verdict::titled;

/// What to look for: the smallest size at which this criterion fails.
#[derive(Clone, Debug)]
pub struct Find {
    /// The criterion.
    pub criterion: Criterion,
}

impl Find {
    /// Reads `join_seconds: p99 < 2s`.
    pub fn parse(text: &str) -> Result<Self, UserError> {
        const HINT: &str = "write a metric and a criterion, such as `join_seconds: p99 < 2s`";
        let wrong = |why: String| UserError::new(ExitCode::Usage, format!("{why}; {HINT}"));
        // A metric may have a colon in its name, a criterion has none.
        let (metric, is) = text
            .rsplit_once(':')
            .ok_or_else(|| wrong(format!("`{}` names no metric", sanitize(text))))?;
        let metric = metric.trim().parse::<MetricName>();
        let metric = metric.map_err(|error| wrong(error.to_string()))?;
        let text = is.trim();
        let is = Expression::parse(text).map_err(|error| wrong(error.to_string()))?;
        if let Expression::Growth { .. } = is {
            return Err(wrong("a growth has no size at which it fails".to_owned()));
        }
        Ok(Self {
            criterion: Criterion::new(metric, is, text.to_owned()),
        })
    }
}

/// What a run shows of the criterion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    /// It holds.
    Passes,
    /// It does not hold.
    Fails,
    /// The run has no samples of the metric, or the workload failed.
    Unknown,
}

/// The runs at one size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tried {
    /// How many runs show whether the criterion holds.
    pub runs: usize,
    /// In how many of them it does not hold.
    pub failed: usize,
}

impl Tried {
    /// Counts a run.
    pub(super) fn add(&mut self, probe: Probe) {
        self.runs += usize::from(probe != Probe::Unknown);
        self.failed += usize::from(probe == Probe::Fails);
    }

    /// Whether the criterion fails at this size: in at least half of its runs.
    fn fails(self) -> bool {
        self.failed > 0 && self.failed * 2 >= self.runs
    }
}

/// Where the criterion begins to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boundary {
    /// It fails at one size, and holds at the next smaller one.
    Between {
        /// The largest size below it where it holds.
        holds: u32,
        /// The smallest size where it fails.
        fails: u32,
    },
    /// It fails at the smallest size already.
    FailsAtOnce(u32),
    /// It still holds at the largest size.
    HoldsThroughout(u32),
    /// At this size no run shows whether it holds.
    Unknown(u32),
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where the criterion begins to fail.
    pub boundary: Boundary,
    /// The runs at each size.
    pub tried: BTreeMap<u32, Tried>,
}

/// What was found for one variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VariantFound {
    /// The variables of the variant for people; empty if none are varied.
    pub variant: String,
    /// Where it begins to fail.
    pub found: Found,
}

/// What was found, as in the file of the experiment.
pub(super) fn stored(found: &[VariantFound], find: Option<&Find>) -> Vec<ExperimentFound> {
    let Some(find) = find else {
        return Vec::new();
    };
    let of = |VariantFound { variant, found }: &VariantFound| {
        let (holds, fails) = found.bounds();
        ExperimentFound {
            variant: variant.clone(),
            criterion: titled(&find.criterion),
            holds,
            fails,
        }
    };
    found.iter().map(of).collect()
}

impl Found {
    /// The largest size at which the criterion holds and the smallest at which it fails, as far as they are known.
    pub fn bounds(&self) -> (Option<u32>, Option<u32>) {
        match self.boundary {
            Boundary::Between { holds, fails } => (Some(holds), Some(fails)),
            Boundary::FailsAtOnce(fails) => (None, Some(fails)),
            Boundary::HoldsThroughout(holds) => (Some(holds), None),
            Boundary::Unknown(_) => (None, None),
        }
    }

    /// Sizes above the boundary at which it holds all the same: then it does not depend on the size alone.
    pub fn exceptions(&self) -> Vec<u32> {
        let Boundary::Between { fails, .. } = self.boundary else {
            return Vec::new();
        };
        let above = self.tried.range(fails..);
        let holds = above.filter(|(_, tried)| tried.runs > 0 && !tried.fails());
        holds.map(|(size, _)| *size).collect()
    }
}

/// Bisects between the sizes that were tried. Each probe is one run at one size.
pub(super) async fn bisect(
    mut tried: BTreeMap<u32, Tried>,
    mut probe: impl AsyncFnMut(u32) -> anyhow::Result<Probe>,
) -> anyhow::Result<Found> {
    let unknown = tried.iter().find(|(_, tried)| tried.runs == 0);
    if let Some((size, _)) = unknown {
        let boundary = Boundary::Unknown(*size);
        return Ok(Found { boundary, tried });
    }
    let (Some((&smallest, first)), Some((&largest, last))) =
        (tried.first_key_value(), tried.last_key_value())
    else {
        let boundary = Boundary::Unknown(0);
        return Ok(Found { boundary, tried });
    };
    if first.fails() {
        let boundary = Boundary::FailsAtOnce(smallest);
        return Ok(Found { boundary, tried });
    }
    if !last.fails() {
        let boundary = Boundary::HoldsThroughout(largest);
        return Ok(Found { boundary, tried });
    }
    let failing = tried.iter().find(|(_, tried)| tried.fails());
    let mut fails = failing.map_or(largest, |(size, _)| *size);
    let mut holds = tried
        .range(..fails)
        .next_back()
        .map_or(smallest, |(size, _)| *size);
    while fails - holds > 1 {
        let size = holds.midpoint(fails);
        let seen = probe(size).await?;
        let at = tried.entry(size).or_default();
        at.add(seen);
        if at.runs == 0 {
            let boundary = Boundary::Unknown(size);
            return Ok(Found { boundary, tried });
        }
        if at.fails() {
            fails = size;
        } else {
            holds = size;
        }
    }
    let boundary = Boundary::Between { holds, fails };
    Ok(Found { boundary, tried })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes with one run each, which fail from `limit` on.
    fn tried(sizes: &[u32], limit: u32) -> BTreeMap<u32, Tried> {
        let at = |size: u32| {
            let mut tried = Tried::default();
            tried.add(shown(size, limit));
            (size, tried)
        };
        sizes.iter().map(|size| at(*size)).collect()
    }

    fn shown(size: u32, limit: u32) -> Probe {
        if size >= limit {
            Probe::Fails
        } else {
            Probe::Passes
        }
    }

    #[tokio::test]
    async fn the_smallest_size_that_fails_is_found_with_as_few_runs_as_possible() {
        for limit in 11..=150 {
            let mut probed = Vec::new();
            let found = bisect(tried(&[10, 150], limit), async |size| {
                probed.push(size);
                Ok(shown(size, limit))
            });
            let found = found.await.unwrap();
            let wanted = Boundary::Between {
                holds: limit - 1,
                fails: limit,
            };
            assert_eq!(found.boundary, wanted);
            assert!(probed.len() <= 8, "{limit}: {probed:?}");
            assert_eq!(found.tried.len(), 2 + probed.len());
            assert_eq!(found.exceptions(), Vec::<u32>::new());
        }
    }

    #[tokio::test]
    async fn sizes_that_ran_already_are_not_run_again() {
        let mut probed = Vec::new();
        let found = bisect(tried(&[10, 20, 40, 80, 150], 25), async |size| {
            probed.push(size);
            Ok(shown(size, 25))
        });
        let found = found.await.unwrap();
        assert_eq!(found.boundary, Boundary::Between { holds: 24, fails: 25 });
        assert_eq!(probed, [30, 25, 22, 23, 24]);
    }

    #[tokio::test]
    async fn without_a_boundary_between_the_sizes_nothing_is_run() {
        for (limit, wanted) in [
            (5, Boundary::FailsAtOnce(10)),
            (500, Boundary::HoldsThroughout(150)),
        ] {
            let found = bisect(tried(&[10, 150], limit), async |_| Ok(Probe::Fails));
            let found = found.await.unwrap();
            assert_eq!((found.boundary, found.tried.len()), (wanted, 2));
        }
    }

    #[tokio::test]
    async fn a_size_without_samples_ends_the_search() {
        let found = bisect(tried(&[10, 150], 70), async |_| Ok(Probe::Unknown));
        assert_eq!(found.await.unwrap().boundary, Boundary::Unknown(80));
    }

    #[tokio::test]
    async fn a_size_above_the_boundary_that_holds_is_an_exception() {
        let mut sizes = tried(&[10, 20, 40, 80], 20);
        sizes.insert(40, Tried { runs: 3, failed: 1 });
        let found = bisect(sizes, async |size| Ok(shown(size, 20))).await.unwrap();
        assert_eq!(found.boundary, Boundary::Between { holds: 19, fails: 20 });
        assert_eq!(found.exceptions(), [40]);
    }

    #[test]
    fn what_was_found_is_stored_with_the_sizes_that_are_known() {
        let find = Find::parse("join_seconds: p99 < 2s").unwrap();
        for (boundary, holds, fails) in [
            (Boundary::Between { holds: 24, fails: 25 }, Some(24), Some(25)),
            (Boundary::FailsAtOnce(10), None, Some(10)),
            (Boundary::HoldsThroughout(150), Some(150), None),
            (Boundary::Unknown(80), None, None),
        ] {
            let found = VariantFound {
                variant: "rev=new".into(),
                found: Found {
                    boundary,
                    tried: BTreeMap::new(),
                },
            };
            let wanted = ExperimentFound {
                variant: "rev=new".into(),
                criterion: "join_seconds p99 < 2s".into(),
                holds,
                fails,
            };
            assert_eq!(stored(std::slice::from_ref(&found), Some(&find)), [wanted]);
            assert!(stored(&[found], None).is_empty());
        }
    }

    #[test]
    fn a_criterion_to_find_is_a_metric_and_a_bound() {
        let find = Find::parse("join_seconds: p99 < 2s").unwrap();
        assert_eq!(find.criterion.metric.as_str(), "join_seconds");
        assert_eq!(find.criterion.text, "p99 < 2s");
        let colon = Find::parse("app.a:b: max<1").unwrap();
        assert_eq!(colon.criterion.metric.as_str(), "app.a:b");
        for (text, why) in [
            ("p99 < 2s", "names no metric"),
            ("2x: p99 < 2s", "is not a name of a metric"),
            ("x: p99", "compares nothing"),
            ("x: growth <= n", "a growth has no size"),
            ("x: p0 < 1", "is not a statistic"),
        ] {
            let error = Find::parse(text).unwrap_err().to_string();
            assert!(
                error.contains(why) && error.contains("such as"),
                "{text}: {error}"
            );
        }
    }
}
