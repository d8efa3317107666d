//! The lock of an experiment: while a process holds it, the experiment is in progress, also between two of its runs.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::state::is_current;

/// How often the file may be replaced between open and lock before it counts as locked.
const ATTEMPTS: usize = 16;

/// The held lock of an experiment, on the hidden file `.EXPERIMENT.lock` beside its own. The file is removed when the
/// lock is released; after a kill it stays, without a lock.
#[derive(Debug)]
pub struct HeldExperiment {
    _lock: Flock<File>,
    path: PathBuf,
}

impl HeldExperiment {
    /// Takes the lock of an experiment in a store; `None` if another process holds it. Never waits.
    pub(super) fn take(store: &Path, experiment: &str) -> io::Result<Option<Self>> {
        let path = file(store, experiment);
        // Another process may remove the file between open and lock: then the new one is locked.
        for _ in 0..ATTEMPTS {
            let mut options = OpenOptions::new();
            let options = options.write(true).create(true).truncate(false).mode(0o600);
            let Some(lock) = exclusive(options.open(&path)?)? else {
                return Ok(None);
            };
            if is_current(&lock, &path) {
                return Ok(Some(Self { _lock: lock, path }));
            }
        }
        Ok(None)
    }
}

impl Drop for HeldExperiment {
    fn drop(&mut self) {
        // Still locked here: nobody else can have locked this file.
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether a process holds the lock of an experiment, or that cannot be found out.
pub(super) fn is_held(store: &Path, experiment: &str) -> bool {
    match OpenOptions::new().write(true).open(file(store, experiment)) {
        Ok(file) => !matches!(exclusive(file), Ok(Some(_))),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

fn file(store: &Path, experiment: &str) -> PathBuf {
    store.join(format!(".{experiment}.lock"))
}

fn exclusive(file: File) -> io::Result<Option<Flock<File>>> {
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, errno)) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn an_experiment_has_one_process_and_its_file_goes_with_it() {
        let temp = tempfile::tempdir().unwrap();
        let store = temp.path();
        assert!(!is_held(store, "a"));
        let held = HeldExperiment::take(store, "a").unwrap();
        assert!(held.is_some() && is_held(store, "a") && !is_held(store, "b"));
        let mode = fs::metadata(store.join(".a.lock")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(HeldExperiment::take(store, "a").unwrap().is_none());
        drop(held);
        assert_eq!(fs::read_dir(store).unwrap().count(), 0);
        // What a kill leaves.
        fs::write(store.join(".a.lock"), "").unwrap();
        assert!(!is_held(store, "a"));
        assert!(HeldExperiment::take(store, "a").unwrap().is_some());
        assert_eq!(fs::read_dir(store).unwrap().count(), 0);
    }
}
