//! The lock of a run: while a process holds it, the run does not count as interrupted.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// The held lock of a run; the kernel frees it when its process ends.
///
/// It is on the file `lock` of the run: `run.json` is replaced when the run ends, and a lock on the replaced file would
/// protect nothing. Releases that write version 1 of `run.json` lock that file itself, so it is locked as well.
#[derive(Debug)]
pub struct Running {
    _lock: Flock<File>,
    _record: Option<Flock<File>>,
}

impl Running {
    /// Takes the lock of the run in a directory; `None` if another process holds it. Never waits.
    pub fn take(directory: &Path) -> io::Result<Option<Self>> {
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(directory.join("lock"))?;
        let Some(lock) = exclusive(lock)? else {
            return Ok(None);
        };
        let record = match File::open(directory.join("run.json")) {
            Ok(file) => {
                let Some(record) = exclusive(file)? else {
                    return Ok(None);
                };
                Some(record)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok(Some(Self {
            _lock: lock,
            _record: record,
        }))
    }
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
    use super::*;

    #[test]
    fn a_run_has_one_process_also_if_that_is_of_an_earlier_release() {
        let temp = tempfile::tempdir().unwrap();
        let first = Running::take(temp.path()).unwrap();
        assert!(first.is_some());
        assert!(Running::take(temp.path()).unwrap().is_none());
        drop(first);
        let path = temp.path().join("run.json");
        std::fs::write(&path, "{}").unwrap();
        let earlier = exclusive(File::open(&path).unwrap()).unwrap();
        assert!(earlier.is_some());
        assert!(Running::take(temp.path()).unwrap().is_none());
        drop(earlier);
        assert!(Running::take(temp.path()).unwrap().is_some());
    }

    #[test]
    fn the_lock_of_a_directory_that_is_gone_is_an_error() {
        let temp = tempfile::tempdir().unwrap();
        assert!(Running::take(&temp.path().join("gone")).is_err());
    }
}
