//! What a directory of results has in it, by name.

use std::fs;
use std::io;
use std::path::Path;

use super::error::StoreError;
use super::experiment::ExperimentKind;
use super::name::{moment_of, order};

/// The beginning of the name of what is being removed.
pub(super) const REMOVED: &str = ".removed-";

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A run.
    Run,
    /// An experiment.
    Experiment,
}

impl Kind {
    /// Its name, for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Experiment => "experiment",
        }
    }
}

/// A run or an experiment, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
}

/// What is in a store.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Its runs and experiments, by time.
    pub(super) entries: Vec<Entry>,
    /// What a removal that was killed has left: full names.
    pub(super) leftovers: Vec<String>,
}

/// Lists a store; one that does not exist is empty. A directory is a run if it has a `run.json`; files and directories of
/// others are left out.
pub(super) fn scan(store: &Path) -> Result<Scan, StoreError> {
    let listed = match fs::read_dir(store) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Scan::default()),
        other => other.map_err(StoreError::io("read", store))?,
    };
    let mut scan = Scan::default();
    for entry in listed {
        let entry = entry.map_err(StoreError::io("read", store))?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let experiment = name.strip_suffix(".json").filter(|stem| is_experiment(stem));
        if name.starts_with(REMOVED) {
            scan.leftovers.push(name);
        } else if let Some(stem) = experiment {
            scan.entries.push(Entry {
                kind: Kind::Experiment,
                name: stem.to_owned(),
            });
        } else if !name.starts_with('.') && store.join(&name).join("run.json").is_file() {
            scan.entries.push(Entry {
                kind: Kind::Run,
                name,
            });
        }
    }
    scan.entries.sort_by(|a, b| order(&a.name).cmp(&order(&b.name)));
    scan.leftovers.sort();
    Ok(scan)
}

/// Whether a name is one of an experiment: `20260131T120000Z-test`, `20260131T120000Z-scale-2`.
pub(super) fn is_experiment(name: &str) -> bool {
    let mut parts = name.splitn(3, '-');
    let is_stamp = parts.next().and_then(moment_of).is_some();
    let is_kind = parts
        .next()
        .is_some_and(|part| ExperimentKind::ALL.iter().any(|kind| kind.as_str() == part));
    let is_number = parts.next().is_none_or(|part| part.parse::<u32>().is_ok());
    is_stamp && is_kind && is_number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_runs_and_experiments_are_found_among_other_files() {
        let temp = tempfile::tempdir().unwrap();
        let at = |name: &str| temp.path().join(name);
        for run in [
            "20260131T120000Z-10",
            "20260131T120000Z-9",
            "baseline",
            ".removed-a",
            ".hidden",
        ] {
            fs::create_dir(at(run)).unwrap();
            fs::write(at(run).join("run.json"), "{").unwrap();
        }
        fs::create_dir(at("notes")).unwrap();
        for file in [
            "20260131T110000Z-scale.json",
            "20260131T110000Z-scale.json.new",
            "package.json",
            "20260131T110000Z-other.json",
            ".removed-20260131T110000Z-test.json",
        ] {
            fs::write(at(file), "{}").unwrap();
        }
        let scan = scan(temp.path()).unwrap();
        let names: Vec<&str> = scan.entries.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "20260131T110000Z-scale",
                "20260131T120000Z-9",
                "20260131T120000Z-10",
                "baseline"
            ]
        );
        assert_eq!(scan.entries[0].kind, Kind::Experiment);
        assert_eq!(
            scan.leftovers,
            [".removed-20260131T110000Z-test.json", ".removed-a"]
        );
    }

    #[test]
    fn a_store_that_does_not_exist_is_empty_and_a_file_is_none() {
        let temp = tempfile::tempdir().unwrap();
        assert!(scan(&temp.path().join("none")).unwrap().entries.is_empty());
        let file = temp.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(scan(&file).is_err());
    }
}
