//! What is removed from a store, and what is kept. A removal begins with a rename to a hidden name: a kill leaves nothing
//! that looks whole, and [`Store::clear_leftovers`] completes the removal.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::entries::{Entry, Kind, REMOVED, scan};
use super::error::StoreError;
use super::experiment::Experiment;
use super::held::is_held;
use super::name::{check, order};
use super::store::{Listing, Store};
use super::stored::StoredRun;
use crate::base::crash_point;
use crate::base::whole::sync_parent;
use crate::workload::{Record, Running};

impl Store {
    /// Removes a run or an experiment with its runs. Its name is the whole one; it may be damaged.
    pub fn remove(&self, entry: &Entry) -> Result<(), StoreError> {
        match entry.kind {
            Kind::Run => self.remove_run(&entry.name),
            Kind::Experiment => self.remove_experiment(&entry.name),
        }
    }

    /// Removes a run. It is an error if a command works on it, or if it is a part of an experiment.
    pub fn remove_run(&self, name: &str) -> Result<(), StoreError> {
        check(name)?;
        let experiment = self.record(name).and_then(|record| record.experiment);
        let is_there = |experiment: &String| check(experiment).is_ok() && self.file(experiment).exists();
        if let Some(experiment) = experiment.filter(is_there) {
            return Err(StoreError::Member {
                run: name.to_owned(),
                experiment,
            });
        }
        let held = self.hold(name)?;
        self.erase(name)?;
        drop(held);
        Ok(())
    }

    /// Removes an experiment with its runs, or nothing if a command carries it out or works on one of them.
    pub fn remove_experiment(&self, name: &str) -> Result<(), StoreError> {
        check(name)?;
        let file = self.file(name);
        let experiment = self.held(name)?;
        let held = self.hold_all(&self.members_in(&file, name)?)?;
        let hidden = self.hidden(&format!("{name}.json"));
        crash_point::point!("experiment removed before");
        fs::rename(&file, &hidden)
            .and_then(|()| sync_parent(&hidden))
            .map_err(StoreError::io("remove", &file))?;
        crash_point::point!("experiment removed renamed");
        self.complete(&hidden, held)?;
        drop(experiment);
        Ok(())
    }

    /// The names of the runs of an experiment that exist.
    pub fn members(&self, experiment: &str) -> Result<Vec<String>, StoreError> {
        check(experiment)?;
        self.members_in(&self.file(experiment), experiment)
    }

    /// The runs that belong to an experiment by its file or, if that is damaged, by their own record.
    fn members_in(&self, file: &Path, experiment: &str) -> Result<Vec<String>, StoreError> {
        let listed: BTreeSet<String> = Experiment::read(file, experiment)
            .map(|read| read.runs.into_iter().map(|run| run.run).collect())
            .unwrap_or_default();
        let is_member = |name: &String| match self.record(name).map(|record| record.experiment) {
            Some(Some(own)) => own == experiment,
            _ => listed.contains(name),
        };
        let entries = self.entries()?.into_iter();
        let runs = entries.filter(|entry| entry.kind == Kind::Run);
        Ok(runs.map(|entry| entry.name).filter(is_member).collect())
    }

    /// The record of a run, if it can be read.
    fn record(&self, run: &str) -> Option<Record> {
        let run = StoredRun::read(self.path().join(run)).ok()?;
        Some(run.record)
    }

    /// Takes the lock of a run.
    fn hold(&self, run: &str) -> Result<Running, StoreError> {
        let path = self.path().join(run);
        let held = Running::take(&path).map_err(StoreError::io("lock", &path))?;
        held.ok_or_else(|| StoreError::Busy {
            what: "run",
            name: run.to_owned(),
        })
    }

    fn hold_all(&self, runs: &[String]) -> Result<Vec<(String, Running)>, StoreError> {
        let hold = |run: &String| self.hold(run).map(|held| (run.clone(), held));
        runs.iter().map(hold).collect()
    }

    fn hidden(&self, name: &str) -> PathBuf {
        self.path().join(format!("{REMOVED}{name}"))
    }

    /// Removes a run whose lock is held.
    fn erase(&self, run: &str) -> Result<(), StoreError> {
        let (path, hidden) = (self.path().join(run), self.hidden(run));
        crash_point::point!("run removed before");
        // A run of the same name may have been removed before.
        removed(fs::remove_dir_all(&hidden))
            .and_then(|()| fs::rename(&path, &hidden))
            .and_then(|()| sync_parent(&hidden))
            .map_err(StoreError::io("remove", &path))?;
        crash_point::point!("run removed renamed");
        removed(fs::remove_dir_all(&hidden)).map_err(StoreError::io("remove", &hidden))?;
        crash_point::point!("run removed after");
        Ok(())
    }

    /// Removes the runs of an experiment whose file is hidden already, then that file.
    fn complete(&self, hidden: &Path, runs: Vec<(String, Running)>) -> Result<(), StoreError> {
        for (run, held) in runs {
            self.erase(&run)?;
            drop(held);
        }
        removed(fs::remove_file(hidden)).map_err(StoreError::io("remove", hidden))?;
        crash_point::point!("experiment removed after");
        Ok(())
    }

    /// Completes removals that were killed.
    pub fn clear_leftovers(&self) -> Result<(), StoreError> {
        for name in scan(self.path())?.leftovers {
            let path = self.path().join(&name);
            let stem = name.strip_prefix(REMOVED).unwrap_or_default();
            match stem.strip_suffix(".json") {
                Some(experiment) if !path.is_dir() => {
                    let held = self.hold_all(&self.members_in(&path, experiment)?)?;
                    self.complete(&path, held)?;
                }
                _ => removed(fs::remove_dir_all(&path)).map_err(StoreError::io("remove", &path))?,
            }
        }
        Ok(())
    }

    /// What [`Self::keep_last`] removes, the oldest first.
    pub fn surplus(&self, kept: usize) -> Result<Vec<Entry>, StoreError> {
        let entries = self.entries()?;
        let names = |kind: Kind| -> BTreeSet<&str> {
            let entries = entries.iter().filter(|entry| entry.kind == kind);
            entries.map(|entry| entry.name.as_str()).collect()
        };
        let (existing_runs, existing_experiments) = (names(Kind::Run), names(Kind::Experiment));
        let Listing {
            runs, experiments, ..
        } = self.list();
        let mut listed: HashMap<&str, &str> = HashMap::new();
        for experiment in &experiments {
            let runs = experiment.runs.iter();
            listed.extend(runs.map(|run| (run.run.as_str(), experiment.name.as_str())));
        }
        let mut members: HashMap<&str, Vec<&StoredRun>> = HashMap::new();
        let mut single = Vec::new();
        for run in &runs {
            let own = run.record.experiment.as_deref();
            let own = own.filter(|name| existing_experiments.contains(name));
            match own.or_else(|| listed.get(run.name()).copied()) {
                Some(experiment) => members.entry(experiment).or_default().push(run),
                None => single.push(run),
            }
        }
        let newest = runs.iter().rev().filter(|run| run.is_complete()).take(kept);
        let newest: BTreeSet<&str> = newest.map(StoredRun::name).collect();
        let goes = |run: &StoredRun| run.is_complete() && !newest.contains(run.name());
        // One without any run goes once all runs that are kept are later.
        let is_full = newest.len() == kept;
        let oldest_kept = runs.iter().find(|run| newest.contains(run.name()));
        let is_early = |experiment: &Experiment| {
            is_full && oldest_kept.is_none_or(|run| run.began() > Some(experiment.began))
        };
        let readable: BTreeSet<&str> = runs.iter().map(StoredRun::name).collect();
        let experiment_goes = |experiment: &Experiment| {
            let members = members.get(experiment.name.as_str());
            let mut listed = experiment.runs.iter().map(|run| run.run.as_str());
            let has_damaged = listed.any(|run| existing_runs.contains(run) && !readable.contains(run));
            // One that has no end was interrupted or failed, unless a command holds it.
            let is_over = experiment.ended.is_some() || !is_held(self.path(), &experiment.name);
            let are_old = match members {
                Some(members) => members.iter().all(|run| goes(run)),
                None => is_early(experiment),
            };
            is_over && !has_damaged && are_old
        };
        let old = experiments
            .iter()
            .filter(|experiment| experiment_goes(experiment));
        let old = old.map(|experiment| Entry {
            kind: Kind::Experiment,
            name: experiment.name.clone(),
        });
        let single = single.into_iter().filter(|run| goes(run));
        let single = single.map(|run| Entry {
            kind: Kind::Run,
            name: run.name().to_owned(),
        });
        let mut surplus: Vec<Entry> = old.chain(single).collect();
        surplus.sort_by(|a, b| order(&a.name).cmp(&order(&b.name)));
        Ok(surplus)
    }

    /// Keeps this many complete runs, the newest, and removes the older ones. The runs of an experiment are kept or
    /// removed together. What is incomplete, in progress or damaged is kept. Returns what was removed.
    pub fn keep_last(&self, kept: usize) -> Result<Vec<Entry>, StoreError> {
        let surplus = self.surplus(kept)?;
        for entry in &surplus {
            self.remove(entry)?;
        }
        Ok(surplus)
    }
}

/// Ignores that something is gone already: another command may have removed it.
fn removed(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use super::*;

    /// The names that are left, of runs and experiments.
    fn left(fixture: &Fixture) -> Vec<String> {
        let entries = fixture.store().entries().unwrap();
        entries.into_iter().map(|entry| entry.name).collect()
    }

    fn day(day: u32) -> String {
        format!("202601{day:02}T120000Z")
    }

    fn of(experiment: &str) -> impl FnOnce(&mut Record) {
        move |record: &mut Record| record.experiment = Some(experiment.to_owned())
    }

    #[test]
    fn a_run_is_removed_whole() {
        let fixture = Fixture::new();
        for number in [1, 2] {
            fixture.run(&day(number), |_| {}, &[]);
        }
        fixture.store().remove_run(&day(1)).unwrap();
        assert_eq!(left(&fixture), [day(2)]);
        assert_eq!(fs::read_dir(fixture.store().path()).unwrap().count(), 1);
        for name in ["../x", "", ".", day(1).as_str()] {
            assert!(fixture.store().remove_run(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_run_that_a_command_works_on_is_not_removed() {
        let fixture = Fixture::new();
        let run = fixture.begun(&day(1));
        let held = Running::take(&run.path).unwrap();
        let error = fixture.store().remove_run(&day(1)).unwrap_err();
        assert!(matches!(error, StoreError::Busy { .. }), "{error}");
        assert_eq!(left(&fixture), [day(1)]);
        drop(held);
        fixture.store().remove_run(&day(1)).unwrap();
        assert!(left(&fixture).is_empty());
    }

    #[test]
    fn a_damaged_run_can_be_removed() {
        let fixture = Fixture::new();
        let run = fixture.run(&day(1), |_| {}, &[]);
        fs::write(run.path.join("run.json"), "{").unwrap();
        fixture.store().remove_run(&day(1)).unwrap();
        assert!(left(&fixture).is_empty());
    }

    #[test]
    fn an_experiment_is_removed_with_its_runs_and_none_of_them_alone() {
        let fixture = Fixture::new();
        let name = "20260101T110000Z-test";
        fixture.run(&day(1), of(name), &[]);
        fixture.run(&day(2), of(name), &[]);
        fixture.run(&day(3), |_| {}, &[]);
        // The experiment was killed before it recorded its second run.
        fixture.experiment(name, &[&day(1)]);
        let error = fixture.store().remove_run(&day(1)).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
        assert_eq!(fixture.store().members(name).unwrap(), [day(1), day(2)]);
        let held = Running::take(&fixture.store().path().join(day(2))).unwrap();
        assert!(fixture.store().remove_experiment(name).is_err());
        assert_eq!(left(&fixture).len(), 4, "nothing is removed if not all can be");
        drop(held);
        fixture.store().remove_experiment(name).unwrap();
        assert_eq!(left(&fixture), [day(3)]);
        assert_eq!(fs::read_dir(fixture.store().path()).unwrap().count(), 1);
    }

    #[test]
    fn a_removal_that_was_killed_is_completed() {
        let fixture = Fixture::new();
        let store = fixture.store();
        let name = "20260101T110000Z-test";
        for number in 1..=3 {
            fixture.run(&day(number), of(name), &[]);
        }
        fixture.run(&day(4), |_| {}, &[]);
        fixture.experiment(name, &[&day(1), &day(2), &day(3)]);
        // Killed after the experiment was hidden and a part of its first run was removed.
        let hide = |name: &str| fs::rename(store.path().join(name), store.hidden(name)).unwrap();
        hide(&format!("{name}.json"));
        hide(&day(1));
        fs::remove_file(store.hidden(&day(1)).join("run.json")).unwrap();
        assert!(store.experiments().unwrap().is_empty());
        assert_eq!(store.runs().unwrap().len(), 3);
        store.clear_leftovers().unwrap();
        assert_eq!(left(&fixture), [day(4)]);
        assert_eq!(fs::read_dir(store.path()).unwrap().count(), 1);
        store.clear_leftovers().unwrap();
    }

    #[test]
    fn the_newest_complete_runs_are_kept_and_what_is_open_or_damaged_is() {
        let fixture = Fixture::new();
        fixture.begun(&day(1));
        fixture.earlier(&day(2), &["n1"]);
        for number in 3..=6 {
            fixture.run(&day(number), |_| {}, &[]);
        }
        let damaged = fixture.run(&day(7), |_| {}, &[]);
        fs::write(damaged.path.join("run.json"), "{").unwrap();
        fixture.begun(&day(8));
        let removed = fixture.store().keep_last(2).unwrap();
        let removed: Vec<String> = removed.into_iter().map(|entry| entry.name).collect();
        assert_eq!(removed, [day(2), day(3), day(4)]);
        assert_eq!(left(&fixture), [day(1), day(5), day(6), day(7), day(8)]);
        assert!(fixture.store().keep_last(2).unwrap().is_empty());
        fixture.store().keep_last(0).unwrap();
        assert_eq!(left(&fixture), [day(1), day(7), day(8)]);
    }

    #[test]
    fn experiments_are_kept_or_removed_as_one() {
        let fixture = Fixture::new();
        let (old, spanning, unended) = (
            "20260101T110000Z-test",
            "20260103T110000Z-test",
            "20260105T110000Z-test",
        );
        for (number, name) in [(1, old), (2, old), (3, spanning), (4, unended), (6, spanning)] {
            fixture.run(&day(number), of(name), &[]);
        }
        fixture.run(&day(5), |_| {}, &[]);
        fixture.experiment(old, &[&day(1), &day(2)]);
        fixture.experiment(spanning, &[&day(3), &day(6)]);
        let mut experiment = fixture.experiment(unended, &[&day(4)]);
        experiment.ended = None;
        fixture.store().write_experiment(&experiment).unwrap();
        let held = fixture.store().hold_experiment(unended).unwrap();
        let surplus = fixture.store().surplus(1).unwrap();
        let names: Vec<&str> = surplus.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, [old, day(5).as_str()]);
        fixture.store().keep_last(1).unwrap();
        let expected = [day(3), spanning.to_owned(), day(4), unended.to_owned(), day(6)];
        let sorted = |mut names: Vec<String>| {
            names.sort();
            names
        };
        assert_eq!(sorted(left(&fixture)), sorted(expected.to_vec()));
        // Nobody works on it any more: it was interrupted, or failed.
        drop(held);
        fixture.store().keep_last(1).unwrap();
        let expected = [day(3), spanning.to_owned(), day(6)];
        assert_eq!(sorted(left(&fixture)), sorted(expected.to_vec()));
    }

    #[test]
    fn an_experiment_in_progress_is_not_removed_between_its_runs() {
        let fixture = Fixture::new();
        let name = "20260101T110000Z-test";
        fixture.run(&day(1), of(name), &[]);
        fixture.experiment(name, &[&day(1)]);
        let held = fixture.store().hold_experiment(name).unwrap();
        let error = fixture.store().remove_experiment(name).unwrap_err();
        let text = error.to_string();
        assert_eq!(text, format!("experiment `{name}` is in use by another command"));
        assert_eq!(left(&fixture).len(), 2);
        drop(held);
        fixture.store().remove_experiment(name).unwrap();
        assert_eq!(fs::read_dir(fixture.store().path()).unwrap().count(), 0);
    }

    #[test]
    fn an_experiment_that_failed_before_its_first_run_goes_once_all_kept_runs_are_later() {
        let fixture = Fixture::new();
        let names = ["20260101T110000Z-test", "20260103T130000Z-test"];
        for name in names {
            let mut experiment = fixture.experiment(name, &[]);
            experiment.ended = None;
            fixture.store().write_experiment(&experiment).unwrap();
        }
        for number in [2, 3] {
            fixture.run(&day(number), |_| {}, &[]);
        }
        // Fewer runs than are to be kept.
        assert!(fixture.store().keep_last(3).unwrap().is_empty());
        fixture.store().keep_last(2).unwrap();
        assert_eq!(left(&fixture), [day(2), day(3), names[1].to_owned()]);
    }
}
