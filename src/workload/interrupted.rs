//! Runs that were cut off: their process ended before it closed them.

use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::record::Record;
use super::results::Results;
use super::running::Running;

/// A run whose process ended before its results were written, or with a step whose end is unknown.
#[derive(Debug)]
pub struct InterruptedRun {
    /// Its directory.
    pub results: Results,
    /// Its record.
    pub record: Record,
    /// Prevents other commands from resuming it.
    pub running: Running,
}

/// The interrupted runs of a cluster, oldest first. Runs whose process is alive are left out.
pub fn interrupted_runs(parent: &Path, cluster_id: Uuid) -> Vec<InterruptedRun> {
    let Ok(entries) = std::fs::read_dir(parent) else {
        return Vec::new();
    };
    // The names of runs that are being removed begin with a dot.
    let entries = entries.flatten().filter(|entry| {
        let name = entry.file_name();
        !name.to_string_lossy().starts_with('.')
    });
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| is_open(path))
        .collect();
    found.sort();
    let ours = |path: &Path| Record::read(path).filter(|record| record.cluster_id == cluster_id);
    found
        .into_iter()
        .filter_map(|path| {
            ours(&path)?;
            let running = Running::take(&path).ok()??;
            // The process that held the lock may have ended the run.
            let record = ours(&path).filter(|_| is_open(&path))?;
            Some(InterruptedRun {
                results: Results::open(path),
                record,
                running,
            })
        })
        .collect()
}

fn is_open(path: &Path) -> bool {
    path.join("run.json").exists() && !path.join("results.json").exists()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::SystemTime;

    use super::super::record::Verdict;
    use super::*;
    use crate::base::units::Moment;

    #[test]
    fn a_run_that_is_ending_is_not_interrupted_although_its_record_is_replaced() {
        let temp = tempfile::tempdir().unwrap();
        let results = Results::create(temp.path(), SystemTime::UNIX_EPOCH).unwrap();
        let cluster = Uuid::from_u128(7);
        let mut record = Record::new(cluster, Vec::new());
        record.variant.insert("rev".into(), "new".into());
        let running = record.begin(&results).unwrap();
        let ended: Moment = "2026-01-31T12:00:00Z".parse().unwrap();
        record.finish(&results, Verdict::Passed, ended).unwrap();
        assert_eq!(interrupted_runs(temp.path(), cluster).len(), 0);
        // Its process is killed before it closes the run.
        drop(running);
        let found = interrupted_runs(temp.path(), cluster);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].record.ended, Some(ended));
        assert_eq!(found[0].record.variant["rev"], "new");
    }

    #[test]
    fn a_run_of_an_earlier_release_can_be_resumed_by_one_process_and_ended() {
        let temp = tempfile::tempdir().unwrap();
        let results = Results::create(temp.path(), SystemTime::UNIX_EPOCH).unwrap();
        let cluster = Uuid::from_u128(7);
        let text = format!(
            r#"{{"version": 1, "id": "a", "cluster_id": "{cluster}", "steps": [{{"name": "load", "on": ["n1"],
                "run": "true", "timeout": {{"secs": 1, "nanos": 0}}, "barrier": false, "fanout": null,
                "collect": []}}]}}"#
        );
        fs::write(results.path().join("run.json"), text).unwrap();
        let mut found = interrupted_runs(temp.path(), cluster);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].record.version(), 1);
        assert_eq!(found[0].record.steps[0].name, "load");
        assert_eq!(interrupted_runs(temp.path(), cluster).len(), 0);
        let now = Moment::now();
        found[0]
            .record
            .finish(&results, Verdict::Interrupted, now)
            .unwrap();
        assert_eq!(interrupted_runs(temp.path(), cluster).len(), 0);
        results.write("demo", &[]).unwrap();
        drop(found);
        assert_eq!(interrupted_runs(temp.path(), cluster).len(), 0);
        let record = Record::read(results.path()).unwrap();
        assert_eq!(
            (record.version(), record.verdict),
            (2, Some(Verdict::Interrupted))
        );
    }

    #[test]
    fn a_run_that_is_being_removed_is_not_resumed() {
        let temp = tempfile::tempdir().unwrap();
        let results = Results::create(temp.path(), SystemTime::UNIX_EPOCH).unwrap();
        let cluster = Uuid::from_u128(7);
        drop(Record::new(cluster, Vec::new()).begin(&results).unwrap());
        fs::rename(results.path(), temp.path().join(".removed-a")).unwrap();
        assert_eq!(interrupted_runs(temp.path(), cluster).len(), 0);
    }
}
