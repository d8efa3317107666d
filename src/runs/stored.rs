//! A run in the store, and its files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::criteria::{CRITERIA, Criteria};
use super::error::StoreError;
use super::name::{moment_of, order};
use super::samples::{self, SAMPLES};
use crate::base::units::Moment;
use crate::extract::Trouble;
use crate::measure::{Finding, MetricName, Sample, Statistic};
use crate::workload::{Record, StepReport, read_reports};

/// A run in the store.
#[derive(Clone, Debug)]
pub struct StoredRun {
    /// Its directory.
    pub path: PathBuf,
    /// Its record.
    pub record: Record,
}

impl StoredRun {
    /// Reads the record of the run in a directory.
    pub(super) fn read(path: PathBuf) -> Result<Self, StoreError> {
        let file = path.join("run.json");
        let bytes = std::fs::read(&file).map_err(StoreError::io("read", &file))?;
        let record = Record::parse(&bytes).map_err(|error| StoreError::document(&file, &error))?;
        Ok(Self { path, record })
    }

    /// Its name: that of its directory.
    pub fn name(&self) -> &str {
        self.path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default()
    }

    /// Its begin; that of a run of an earlier release is in its name.
    pub fn began(&self) -> Option<Moment> {
        self.record.began.or_else(|| moment_of(self.name()))
    }

    /// What runs are sorted by: the oldest first.
    pub(super) fn order(&self) -> (Option<Moment>, String, u32) {
        let (stem, number) = order(self.name());
        (self.began(), stem.to_owned(), number)
    }

    /// Whether it has ended and nothing of it is missing. A run of an earlier release may be complete, but has no samples.
    pub fn is_complete(&self) -> bool {
        let has_ended = self.record.ended.is_some() || self.record.version() == 1;
        has_ended && self.is_closed()
    }

    /// Whether all steps are known to have ended.
    fn is_closed(&self) -> bool {
        self.path.join("results.json").is_file()
    }

    /// Its nodes: as many as its groups have, or of a run of an earlier release, as take part in its steps.
    pub fn nodes(&self) -> usize {
        if self.record.sizes.is_empty() {
            let nodes = self.record.steps.iter().flat_map(|step| &step.on);
            return nodes.collect::<BTreeSet<_>>().len();
        }
        let sizes = self.record.sizes.values();
        sizes.map(|size| *size as usize).sum()
    }

    /// One of its files; `None` if it need not have it: it is incomplete, or of an earlier release.
    fn file(&self, name: &str) -> Result<Option<PathBuf>, StoreError> {
        let path = self.path.join(name);
        match path.try_exists() {
            Ok(true) => Ok(Some(path)),
            Ok(false) if self.record.ended.is_some() && self.is_closed() => {
                Err(StoreError::damaged(&path, "the file is missing"))
            }
            Ok(false) => Ok(None),
            Err(error) => Err(StoreError::io("inspect", &path)(error)),
        }
    }

    /// Its samples; none of a run of an earlier release.
    pub fn samples(&self) -> Result<Vec<Sample>, StoreError> {
        self.file(SAMPLES)?
            .map_or_else(|| Ok(Vec::new()), |path| samples::samples(&path))
    }

    /// The values of the metrics that are wanted, over all steps and nodes. Reads only what is needed.
    pub fn series(
        &self,
        is_wanted: impl Fn(&MetricName) -> bool,
    ) -> Result<BTreeMap<MetricName, Vec<f64>>, StoreError> {
        self.file(SAMPLES)?
            .map_or_else(|| Ok(BTreeMap::new()), |path| samples::values(&path, is_wanted))
    }

    /// The value of each of these statistics over all steps and nodes, in this order; `None` where the metric has no
    /// samples.
    pub fn values(&self, wanted: &[(MetricName, Statistic)]) -> Result<Vec<Option<f64>>, StoreError> {
        let series = self.series(|name| wanted.iter().any(|(metric, _)| metric == name))?;
        let value = |(metric, statistic): &(MetricName, Statistic)| statistic.of(series.get(metric)?);
        Ok(wanted.iter().map(value).collect())
    }

    fn criteria(&self) -> Result<Option<Criteria>, StoreError> {
        self.file(CRITERIA)?.map(|path| Criteria::read(&path)).transpose()
    }

    /// What became of its criteria.
    pub fn findings(&self) -> Result<Vec<Finding>, StoreError> {
        Ok(self
            .criteria()?
            .map(|criteria| criteria.findings)
            .unwrap_or_default())
    }

    /// What was wrong with its metrics.
    pub fn troubles(&self) -> Result<Vec<Trouble>, StoreError> {
        Ok(self
            .criteria()?
            .map(|criteria| criteria.troubles)
            .unwrap_or_default())
    }

    /// How its steps ended; none of a run that is open.
    pub fn reports(&self) -> Result<Vec<StepReport>, StoreError> {
        let path = self.path.join("results.json");
        if !self.is_closed() {
            return Ok(Vec::new());
        }
        let bytes = std::fs::read(&path).map_err(StoreError::io("read", &path))?;
        read_reports(&bytes).map_err(|error| StoreError::document(&path, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, sample};
    use super::*;

    #[test]
    fn a_run_that_ended_has_all_its_files_or_is_damaged() {
        let fixture = Fixture::new();
        let run = fixture.run("20260131T120000Z", |_| {}, &[sample("a", 1.0), sample("a", 3.0)]);
        assert!(run.is_complete());
        assert_eq!(run.samples().unwrap().len(), 2);
        assert!(run.findings().unwrap().is_empty() && run.troubles().unwrap().is_empty());
        assert!(run.reports().unwrap().is_empty());
        for file in ["samples.jsonl", "criteria.json"] {
            std::fs::remove_file(run.path.join(file)).unwrap();
        }
        for error in [
            run.samples().unwrap_err(),
            run.series(|_| true).unwrap_err(),
            run.findings().unwrap_err(),
        ] {
            let text = error.to_string();
            assert!(text.ends_with("is damaged: the file is missing"), "{text}");
        }
    }

    #[test]
    fn a_run_that_was_cut_off_is_incomplete_and_what_it_has_can_be_read() {
        let fixture = Fixture::new();
        let name = "20260131T120000Z";
        let run = fixture.run(name, |_| {}, &[sample("a", 1.0)]);
        std::fs::remove_file(run.path.join("results.json")).unwrap();
        assert!(!run.is_complete());
        assert_eq!(run.samples().unwrap().len(), 1);
        let begun = fixture.begun("20260131T130000Z");
        assert!(!begun.is_complete());
        assert!(begun.samples().unwrap().is_empty() && begun.findings().unwrap().is_empty());
        assert_eq!(begun.began().unwrap().to_string(), "2026-01-31T13:00:00Z");
    }

    #[test]
    fn a_run_of_an_earlier_release_is_complete_and_has_no_samples() {
        let fixture = Fixture::new();
        let run = fixture.earlier("20251231T120000Z", &["n1", "n2"]);
        assert!(run.is_complete());
        assert_eq!(run.record.version(), 1);
        assert_eq!(run.nodes(), 2);
        assert_eq!(run.began().unwrap().to_string(), "2025-12-31T12:00:00Z");
        assert!(run.samples().unwrap().is_empty() && run.findings().unwrap().is_empty());
    }

    #[test]
    fn values_are_those_of_the_wanted_statistics_in_their_order() {
        let fixture = Fixture::new();
        let samples = [sample("a", 1.0), sample("b", 7.0), sample("a", 4.0)];
        let run = fixture.run("20260131T120000Z", |_| {}, &samples);
        let wanted = [
            ("a", Statistic::Max),
            ("c", Statistic::Sum),
            ("a", Statistic::Mean),
            ("b", Statistic::Count),
        ]
        .map(|(name, statistic)| (name.parse::<MetricName>().unwrap(), statistic));
        let values = run.values(&wanted).unwrap();
        assert_eq!(values, [Some(4.0), None, Some(2.5), Some(1.0)]);
    }
}
