//! A directory of results, and what is found in several of them.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::entries::{Entry, Kind, is_experiment, scan};
use super::error::StoreError;
use super::experiment::{Experiment, ExperimentKind};
use super::held::{HeldExperiment, is_held};
use super::lookup::choose;
use super::name::stamp;
use super::stored::StoredRun;
use crate::base::units::Moment;
use crate::base::whole::write_whole;

/// A directory of results. It need not exist.
#[derive(Clone, Debug)]
pub struct Store {
    path: PathBuf,
}

/// Everything in a store: what can be read, the oldest first, and what cannot.
#[derive(Debug, Default)]
pub struct Listing {
    /// The runs.
    pub runs: Vec<StoredRun>,
    /// The experiments.
    pub experiments: Vec<Experiment>,
    /// What is damaged, an error for each.
    pub damaged: Vec<StoreError>,
}

/// A run or an experiment of one of several stores, by name.
#[derive(Clone, Debug)]
pub struct Located<'a> {
    /// Its store.
    pub store: &'a Store,
    /// What it is.
    pub entry: Entry,
}

/// Finds the run or experiment with this name, or the only one whose name begins with it.
pub fn locate<'a>(stores: &'a [Store], name: &str) -> Result<Located<'a>, StoreError> {
    let paths: Vec<&Path> = stores.iter().map(Store::path).collect();
    let (position, entry) = choose(&paths, name, None)?;
    Ok(Located {
        store: &stores[position],
        entry,
    })
}

impl Store {
    /// The store at a path.
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file of an experiment.
    pub(super) fn file(&self, experiment: &str) -> PathBuf {
        self.path.join(format!("{experiment}.json"))
    }

    /// The names of its runs and experiments, also of damaged ones, by time.
    pub fn entries(&self) -> Result<Vec<Entry>, StoreError> {
        Ok(scan(&self.path)?.entries)
    }

    fn names(&self, kind: Kind) -> Result<impl Iterator<Item = String>, StoreError> {
        let entries = self.entries()?.into_iter();
        let wanted = entries.filter(move |entry| entry.kind == kind);
        Ok(wanted.map(|entry| entry.name))
    }

    fn read_run(&self, name: &str) -> Result<StoredRun, StoreError> {
        StoredRun::read(self.path.join(name))
    }

    /// Reads the experiment with exactly this name.
    pub(super) fn read_experiment(&self, name: &str) -> Result<Experiment, StoreError> {
        Experiment::read(&self.file(name), name)
    }

    /// All runs, the oldest first. A damaged one is an error.
    pub fn runs(&self) -> Result<Vec<StoredRun>, StoreError> {
        let names = self.names(Kind::Run)?;
        let mut runs = names
            .map(|name| self.read_run(&name))
            .collect::<Result<Vec<_>, _>>()?;
        runs.sort_by_cached_key(StoredRun::order);
        Ok(runs)
    }

    /// All experiments, the oldest first. A damaged one is an error.
    pub fn experiments(&self) -> Result<Vec<Experiment>, StoreError> {
        self.names(Kind::Experiment)?
            .map(|name| self.read_experiment(&name))
            .collect()
    }

    /// Everything that can be read, and an error for each that cannot.
    pub fn list(&self) -> Listing {
        let mut listing = Listing::default();
        let entries = self.entries().unwrap_or_else(|error| {
            listing.damaged.push(error);
            Vec::new()
        });
        for Entry { kind, name } in entries {
            let read = match kind {
                Kind::Run => self.read_run(&name).map(|run| listing.runs.push(run)),
                Kind::Experiment => self
                    .read_experiment(&name)
                    .map(|experiment| listing.experiments.push(experiment)),
            };
            listing.damaged.extend(read.err());
        }
        listing.runs.sort_by_cached_key(StoredRun::order);
        listing
    }

    /// The run with this name, or the only one whose name begins with it.
    pub fn run(&self, name: &str) -> Result<StoredRun, StoreError> {
        let (_, entry) = choose(&[self.path()], name, Some(Kind::Run))?;
        self.read_run(&entry.name)
    }

    /// The experiment with this name, or the only one whose name begins with it.
    pub fn experiment(&self, name: &str) -> Result<Experiment, StoreError> {
        let (_, entry) = choose(&[self.path()], name, Some(Kind::Experiment))?;
        self.read_experiment(&entry.name)
    }

    /// The runs of an experiment, in its order. One that is missing or damaged is an error.
    pub fn runs_of(&self, experiment: &Experiment) -> Result<Vec<StoredRun>, StoreError> {
        let runs = experiment.runs.iter();
        runs.map(|run| {
            if !self.path.join(&run.run).join("run.json").exists() {
                let cause = format!("its run `{}` is missing", run.run);
                return Err(StoreError::damaged(&self.file(&experiment.name), cause));
            }
            self.read_run(&run.run)
        })
        .collect()
    }

    /// A name for a new experiment: `20260131T120000Z-test`, with a number if there is one of this name already.
    pub fn new_experiment_name(&self, kind: ExperimentKind, began: Moment) -> Result<String, StoreError> {
        let name = format!("{}-{}", stamp(began), kind.as_str());
        let numbered = (2..1000).map(|number| format!("{name}-{number}"));
        for name in std::iter::once(name.clone()).chain(numbered) {
            let path = self.file(&name);
            let is_used = path.try_exists().map_err(StoreError::io("inspect", &path))?;
            // Another command may have chosen the name in this second, and not have written the file yet.
            if !is_used && !is_held(&self.path, &name) {
                return Ok(name);
            }
        }
        let error = std::io::Error::other("could not find an unused name for the experiment");
        Err(StoreError::io("create", &self.path)(error))
    }

    /// Takes the lock of an experiment, without which it counts as over. Creates the directory if it is missing.
    pub fn hold_experiment(&self, name: &str) -> Result<HeldExperiment, StoreError> {
        self.create()?;
        self.held(name)
    }

    pub(super) fn held(&self, experiment: &str) -> Result<HeldExperiment, StoreError> {
        let held = HeldExperiment::take(&self.path, experiment);
        let held = held.map_err(StoreError::io("lock", &self.file(experiment)))?;
        held.ok_or_else(|| StoreError::Busy {
            what: "experiment",
            name: experiment.to_owned(),
        })
    }

    fn create(&self) -> Result<(), StoreError> {
        let mut builder = DirBuilder::new();
        let created = builder.recursive(true).mode(0o700).create(&self.path);
        created.map_err(StoreError::io("create", &self.path))
    }

    /// Writes an experiment, whole. Creates the directory if it is missing.
    pub fn write_experiment(&self, experiment: &Experiment) -> Result<(), StoreError> {
        // Under another name it would not be found again.
        if !is_experiment(&experiment.name) {
            return Err(StoreError::Name {
                name: experiment.name.clone(),
            });
        }
        let path = self.file(&experiment.name);
        self.create()?;
        let written = serde_json::to_vec_pretty(experiment)
            .map_err(std::io::Error::from)
            .and_then(|mut bytes| {
                bytes.push(b'\n');
                write_whole(&path, &bytes)
            });
        written.map_err(StoreError::io("write", &path))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::fixture::Fixture;
    use super::*;

    #[test]
    fn runs_are_in_the_order_in_which_they_began() {
        let fixture = Fixture::new();
        for name in ["20260131T130000Z", "20260131T120000Z", "20260131T130000Z-2"] {
            fixture.run(name, |_| {}, &[]);
        }
        fixture.earlier("20251231T120000Z", &["n1"]);
        let runs = fixture.store().runs().unwrap();
        let names: Vec<&str> = runs.iter().map(StoredRun::name).collect();
        assert_eq!(
            names,
            [
                "20251231T120000Z",
                "20260131T120000Z",
                "20260131T130000Z",
                "20260131T130000Z-2"
            ]
        );
        assert_eq!(fixture.store().run("20260131T12").unwrap().name(), names[1]);
    }

    #[test]
    fn one_damaged_run_is_an_error_and_hides_no_other_in_a_listing() {
        let fixture = Fixture::new();
        let good = fixture.run("20260131T120000Z", |_| {}, &[]);
        let bad = fixture.run("20260131T130000Z", |_| {}, &[]);
        fs::write(bad.path.join("run.json"), "{\n  \"version\": 2,\n  \"id\"").unwrap();
        let store = fixture.store();
        let error = store.runs().unwrap_err().to_string();
        let place = bad.path.join("run.json").display().to_string();
        assert!(error.starts_with(&format!("{place}:3 is damaged: ")), "{error}");
        let listing = store.list();
        assert_eq!(listing.runs.len(), 1);
        assert_eq!(listing.runs[0].path, good.path);
        assert_eq!(listing.damaged.len(), 1);
        assert_eq!(listing.damaged[0].to_string(), error);
    }

    #[test]
    fn a_store_that_does_not_exist_is_empty_and_one_that_is_no_directory_is_damaged() {
        let temp = tempfile::tempdir().unwrap();
        let store = Store::at(temp.path().join("none"));
        assert!(store.runs().unwrap().is_empty() && store.list().damaged.is_empty());
        let file = temp.path().join("file");
        fs::write(&file, "").unwrap();
        let store = Store::at(file);
        assert!(store.runs().is_err());
        assert_eq!(store.list().damaged.len(), 1);
    }

    #[test]
    fn an_experiment_is_found_again_with_its_runs_in_their_order() {
        let fixture = Fixture::new();
        let runs = ["20260131T130000Z", "20260131T120000Z"];
        for name in runs {
            fixture.run(name, |_| {}, &[]);
        }
        let written = fixture.experiment("20260131T110000Z-test", &runs);
        let store = fixture.store();
        assert_eq!(store.experiments().unwrap(), std::slice::from_ref(&written));
        let read = store.experiment("2026").unwrap();
        assert_eq!(read, written);
        let found = store.runs_of(&read).unwrap();
        let names: Vec<&str> = found.iter().map(StoredRun::name).collect();
        assert_eq!(names, runs);
        fs::remove_dir_all(&found[0].path).unwrap();
        let error = store.runs_of(&read).unwrap_err().to_string();
        assert!(
            error.ends_with("is damaged: its run `20260131T130000Z` is missing"),
            "{error}"
        );
    }

    #[test]
    fn a_damaged_experiment_is_an_error_with_its_line() {
        let fixture = Fixture::new();
        let experiment = fixture.experiment("20260131T110000Z-test", &[]);
        let path = fixture.store().file(&experiment.name);
        let text = fs::read_to_string(&path).unwrap();
        for (from, to, why) in [
            ("\"version\": 1", "\"version\": 2", "has version 2"),
            ("\"repeat\"", "\"repeats\"", "unknown field `repeats`"),
            (
                "\"runs\": []",
                "\"runs\": [{\"run\": \"../x\", \"repetition\": 1}]",
                "`../x`",
            ),
            ("-test\"", "-scale\"", "another name"),
        ] {
            assert!(text.contains(from), "{from}");
            fs::write(&path, text.replace(from, to)).unwrap();
            let error = fixture.store().experiments().unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
            assert_eq!(fixture.store().list().damaged.len(), 1);
        }
    }

    #[test]
    fn names_of_experiments_are_unused_and_others_are_not_written() {
        let fixture = Fixture::new();
        let store = fixture.store();
        let began: Moment = "2026-01-31T11:00:00Z".parse().unwrap();
        let name = |kind| store.new_experiment_name(kind, began).unwrap();
        assert_eq!(name(ExperimentKind::Test), "20260131T110000Z-test");
        let mut experiment = fixture.experiment("20260131T110000Z-test", &[]);
        assert_eq!(name(ExperimentKind::Test), "20260131T110000Z-test-2");
        assert_eq!(name(ExperimentKind::Scale), "20260131T110000Z-scale");
        experiment.name = "../x".into();
        assert!(store.write_experiment(&experiment).is_err());
    }
}
