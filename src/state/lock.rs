//! One changing command per cluster at a time: an advisory lock that ends with its process.
//! The file names the holder.

use std::fs;
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;

use nix::fcntl::{Flock, FlockArg};

use super::dir::ClusterDir;
use super::error::StateError;
use crate::base::crash_point;
use crate::base::name::ClusterName;

/// A held lock; released when dropped or when the process ends for any reason.
#[derive(Debug)]
pub struct LockGuard {
    _lock: Flock<fs::File>,
}

/// Takes locks.
#[derive(Debug)]
pub struct Lock;

impl Lock {
    /// Takes the lock of a cluster for a verb that changes it; the error names the holder. Never waits.
    pub fn take(dir: &ClusterDir, cluster: &ClusterName, verb: &str) -> Result<LockGuard, StateError> {
        Self::lock(dir, cluster, verb, FlockArg::LockExclusiveNonblock)
    }

    /// Takes a shared lock, for a verb that only needs the cluster to stay unchanged.
    pub fn share(dir: &ClusterDir, cluster: &ClusterName, verb: &str) -> Result<LockGuard, StateError> {
        Self::lock(dir, cluster, verb, FlockArg::LockSharedNonblock)
    }

    fn lock(
        dir: &ClusterDir,
        cluster: &ClusterName,
        verb: &str,
        how: FlockArg,
    ) -> Result<LockGuard, StateError> {
        let path = dir.join("lock");
        // A `down` may remove the file between open and lock: then a retry opens the new one.
        for _ in 0..16 {
            dir.create()?;
            let opened = fs::OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&path);
            let file = match opened {
                // The directory was removed with the cluster meanwhile.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                other => other.map_err(StateError::io("open", &path))?,
            };
            crash_point::point!("lock made");
            match Flock::lock(file, how) {
                Ok(mut lock) => {
                    if !is_current(&lock, &path) {
                        continue;
                    }
                    let started = humantime::format_rfc3339_seconds(std::time::SystemTime::now());
                    let holder = format!("`vcluster {verb}` (pid {}) since {started}", std::process::id());
                    lock.set_len(0)
                        .and_then(|()| lock.rewind())
                        .and_then(|()| lock.write_all(holder.as_bytes()))
                        .map_err(StateError::io("write", &path))?;
                    crash_point::point!("lock taken");
                    return Ok(LockGuard { _lock: lock });
                }
                Err((mut file, nix::errno::Errno::EWOULDBLOCK)) => {
                    let mut holder = String::new();
                    let _ = file.read_to_string(&mut holder);
                    if holder.is_empty() {
                        "another command".clone_into(&mut holder);
                    }
                    return Err(StateError::Busy {
                        cluster: cluster.clone(),
                        holder,
                    });
                }
                Err((_, errno)) => return Err(StateError::io("lock", &path)(errno.into())),
            }
        }
        Err(StateError::Busy {
            cluster: cluster.clone(),
            holder: "short-lived commands, one after another".into(),
        })
    }
}

/// Whether a path still leads to an opened file: another process may have replaced or removed it.
pub(crate) fn is_current(file: &fs::File, path: &std::path::Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(ours), Ok(there)) => ours.ino() == there.ino(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_a_second_command_names_the_holder() {
        let temp = tempfile::tempdir().unwrap();
        let name = "a".parse().unwrap();
        let dir = super::super::StateRoot::at(temp.path().into()).cluster(&name);
        let held = Lock::take(&dir, &name, "up").unwrap();
        let error = Lock::take(&dir, &name, "down").unwrap_err().to_string();
        assert!(error.contains("`vcluster up` (pid"), "{error}");
        drop(held);
        assert!(Lock::take(&dir, &name, "down").is_ok());
    }

    #[test]
    fn commands_that_use_a_cluster_share_its_lock_and_exclude_a_command_that_changes_it() {
        let temp = tempfile::tempdir().unwrap();
        let name = "a".parse().unwrap();
        let dir = super::super::StateRoot::at(temp.path().into()).cluster(&name);
        let one = Lock::share(&dir, &name, "run").unwrap();
        let two = Lock::share(&dir, &name, "run").unwrap();
        drop(one);
        let error = Lock::take(&dir, &name, "down").unwrap_err().to_string();
        assert!(error.contains("`vcluster run` (pid"), "{error}");
        drop(two);
        assert!(Lock::take(&dir, &name, "down").is_ok());
    }
}
