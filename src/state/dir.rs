//! The directory of one cluster, and files that are written atomically.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::error::StateError;
use crate::base::crash_point;
use crate::base::whole::write_whole;

/// The directory of one cluster.
#[derive(Clone, Debug)]
pub struct ClusterDir(PathBuf);

impl ClusterDir {
    /// The directory at a path, which need not exist.
    pub(super) fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A path inside it.
    pub fn join(&self, relative: &str) -> PathBuf {
        self.0.join(relative)
    }

    /// Whether a cluster is recorded here.
    pub fn exists(&self) -> bool {
        self.join("cluster.json").exists() || self.join("journal.jsonl").exists()
    }

    /// Whether a command that was killed left it, and nothing in it is the user's.
    pub(super) fn is_remnant(&self) -> bool {
        let Some(names) = names_in(&self.0) else {
            return false;
        };
        let ours = ["keys", "lock", "logs", "results"];
        // Results on their own belong to the user; a directory with other names in it is not ours.
        let kept =
            names == ["results"] && names_in(&self.join("results")).is_none_or(|names| !names.is_empty());
        !self.exists() && !kept && names.iter().all(|name| ours.iter().any(|our| name == our))
    }

    /// Creates it, readable by its owner only.
    pub fn create(&self) -> Result<(), StateError> {
        for path in [
            self.0.clone(),
            self.join("keys"),
            self.join("logs"),
            self.join("results"),
        ] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&path)
                .map_err(StateError::io("create", &path))?;
            crash_point::point!("state create {}", self.shown(&path));
        }
        self.secure()
    }

    /// Makes it private to its owner: directories of other users and links are refused, wider modes are tightened.
    pub(super) fn secure(&self) -> Result<(), StateError> {
        let own = nix::unistd::geteuid().as_raw();
        // Root may work in the home of another user (`sudo`, a container), who then owns the parent directory.
        let above = self.0.parent().and_then(|parent| fs::metadata(parent).ok());
        let owner = above.filter(|_| own == 0).map_or(own, |meta| meta.uid());
        for path in [self.0.clone(), self.join("keys")] {
            let meta = match fs::symlink_metadata(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other.map_err(StateError::io("inspect", &path))?,
            };
            let refuse = |cause: &str| {
                let cause = io::Error::other(cause.to_owned());
                Err(StateError::io("trust", &path)(cause))
            };
            if !meta.is_dir() {
                return refuse("it is not a directory (symbolic links to keys are not followed)");
            }
            if meta.uid() != own && meta.uid() != owner {
                return refuse("it belongs to another user");
            }
            if meta.mode() & 0o077 != 0 {
                tracing::warn!(
                    "{} was open to other users; restricted to mode 0700",
                    path.display()
                );
                fs::set_permissions(&path, fs::Permissions::from_mode(0o700))
                    .map_err(StateError::io("restrict", &path))?;
            }
        }
        Ok(())
    }

    /// As [`Self::read`] for a secret: a file that other users may read is first restricted to its owner.
    pub(super) fn read_secret(&self, name: &str) -> Result<Option<Vec<u8>>, StateError> {
        self.secure()?;
        let path = self.join(name);
        if let Ok(meta) = fs::symlink_metadata(&path)
            && meta.is_file()
            && meta.mode() & 0o077 != 0
        {
            tracing::warn!(
                "{} was open to other users; restricted to mode 0600",
                path.display()
            );
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))
                .map_err(StateError::io("restrict", &path))?;
        }
        self.read(name)
    }

    /// Removes everything except the results, which belong to the user.
    pub fn remove(&self) -> Result<(), StateError> {
        for name in ["keys", "logs"] {
            let path = self.join(name);
            crash_point::point!("state remove {name} before");
            ignore_missing(fs::remove_dir_all(&path)).map_err(StateError::io("remove", &path))?;
        }
        // The record and the journal go last: while one of them exists, `down` can be run again. The journal
        // records the `down`, so that `gc` can continue it too.
        for name in [
            "plan.json",
            "topology.yaml",
            "known_hosts",
            "configured.json",
            "cluster.json",
            "journal.jsonl",
        ] {
            for name in [format!("{name}.new"), name.to_owned()] {
                let path = self.join(&name);
                crash_point::point!("state remove {name} before");
                ignore_missing(fs::remove_file(&path)).map_err(StateError::io("remove", &path))?;
            }
        }
        crash_point::point!("state removed");
        let _ = fs::remove_dir(self.join("results"));
        Ok(())
    }

    /// Removes the leftovers of a cluster that has no record. The caller holds the lock.
    pub fn clear(&self) -> Result<(), StateError> {
        if !self.exists() {
            self.remove()?;
            self.remove_if_empty();
        }
        Ok(())
    }

    /// Removes the lock and, if it is then empty, the directory. The caller holds the lock.
    pub fn remove_if_empty(&self) {
        crash_point::point!("state remove lock before");
        let _ = fs::remove_file(self.join("lock"));
        crash_point::point!("state remove lock after");
        // Fails if there are results, which belong to the user.
        let _ = fs::remove_dir(&self.0);
    }

    /// Reads a file; `None` if it does not exist.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>, StateError> {
        let path = self.join(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StateError::io("read", &path)(error)),
        }
    }

    /// Writes a file atomically, mode 0600.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), StateError> {
        let path = self.join(name);
        crash_point::point!("state write {name} before");
        let written = write_whole(&path, bytes);
        crash_point::point!("state write {name} after");
        written.map_err(StateError::io("write", &path))
    }

    /// A path inside it as part of a fault point's name.
    #[cfg(feature = "fault-points")]
    fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.0).unwrap_or(path).display().to_string()
    }
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// What a directory has in it; `None` if it cannot be read.
pub(super) fn names_in(path: &Path) -> Option<Vec<OsString>> {
    let entries = fs::read_dir(path).ok()?;
    entries.map(|entry| Some(entry.ok()?.file_name())).collect()
}

#[cfg(test)]
mod tests {
    use super::super::root::tests::root;
    use super::*;

    #[test]
    fn files_and_directories_are_for_their_owner_only() {
        let (_temp, root) = root();
        let dir = root.cluster(&"a".parse().unwrap());
        dir.create().unwrap();
        dir.write("cluster.json", b"{}").unwrap();
        let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(dir.path().to_owned()), 0o700);
        assert_eq!(mode(dir.join("cluster.json")), 0o600);
    }

    #[test]
    fn what_was_open_to_others_is_closed_and_what_is_theirs_is_refused() {
        let (temp, root) = root();
        let dir = root.cluster(&"a".parse().unwrap());
        fs::create_dir_all(dir.join("keys")).unwrap();
        for path in [dir.path().to_owned(), dir.join("keys")] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
        }
        // An attacker planted this link while the directory was open, to redirect the next write.
        let victim = temp.path().join("victim");
        fs::write(&victim, "safe").unwrap();
        std::os::unix::fs::symlink(&victim, dir.join("keys/client.new")).unwrap();
        dir.create().unwrap();
        dir.write("keys/client", b"secret").unwrap();
        let mode = |path: PathBuf| fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(dir.path().to_owned()), 0o700);
        assert_eq!(mode(dir.join("keys")), 0o700);
        assert_eq!(mode(dir.join("keys/client")), 0o600);
        assert_eq!(fs::read_to_string(&victim).unwrap(), "safe");
        // A key file with a wider mode is restricted when it is read.
        fs::set_permissions(dir.join("keys/client"), fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(dir.read_secret("keys/client").unwrap().unwrap(), b"secret");
        assert_eq!(mode(dir.join("keys/client")), 0o600);
        // A link in place of the key directory leads to an unchecked place.
        let elsewhere = temp.path().join("elsewhere");
        fs::rename(dir.join("keys"), &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, dir.join("keys")).unwrap();
        assert!(dir.create().is_err());
        assert!(dir.read_secret("keys/client").is_err());
    }

    #[test]
    fn removing_takes_what_a_write_that_was_killed_left() {
        let (_temp, root) = root();
        let dir = root.cluster(&"a".parse().unwrap());
        dir.create().unwrap();
        dir.write("cluster.json", b"{}").unwrap();
        fs::write(dir.join("plan.json.new"), "{").unwrap();
        dir.remove().unwrap();
        dir.remove_if_empty();
        assert!(!dir.path().exists());
    }

    #[test]
    fn removing_keeps_results_and_forgets_the_rest() {
        let (_temp, root) = root();
        let dir = root.cluster(&"a".parse().unwrap());
        dir.create().unwrap();
        dir.write("cluster.json", b"{}").unwrap();
        fs::write(dir.join("results/kept"), "x").unwrap();
        dir.remove().unwrap();
        assert!(!dir.exists());
        assert!(dir.join("results/kept").exists());
    }
}
