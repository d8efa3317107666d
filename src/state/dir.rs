//! The state directories, and files that are written atomically.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::base::crash_point;
use crate::base::exit::ExitCode;
use crate::base::failure::UserFacing;
use crate::base::name::ClusterName;
use crate::base::suggest::nearest;
use crate::base::whole::write_whole;

/// Why the state directory could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A file or directory could not be read or written.
    #[error("failed to {doing} {path}: {source}", path = .path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file has unexpected contents.
    #[error("{path} is damaged: {cause}", path = .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// Neither `XDG_STATE_HOME` nor `HOME` is set to an absolute path.
    #[error("no directory for state: neither XDG_STATE_HOME nor HOME is an absolute path")]
    NoPlace,
    /// Another command holds the cluster's lock.
    #[error("cluster `{cluster}` is held by {holder}")]
    Busy {
        /// The cluster.
        cluster: ClusterName,
        /// The command that holds it and its start time.
        holder: String,
    },
    /// There is no such cluster.
    #[error("there is no cluster `{cluster}` on this machine{}", existing(known))]
    Unknown {
        /// The requested name.
        cluster: ClusterName,
        /// The clusters that exist.
        known: Vec<ClusterName>,
    },
    /// No cluster was named, and there is none.
    #[error("there is no cluster on this machine")]
    NoCluster,
    /// No cluster was named, and there are several.
    #[error("there are {} clusters on this machine: {}", known.len(), listed(known))]
    Several {
        /// The clusters.
        known: Vec<ClusterName>,
    },
}

/// Names of clusters, for people.
fn listed(names: &[ClusterName]) -> String {
    let names: Vec<&str> = names.iter().map(ClusterName::as_str).collect();
    names.join(", ")
}

/// The end of the message about an unknown cluster.
fn existing(names: &[ClusterName]) -> String {
    if names.is_empty() {
        String::new()
    } else {
        format!(" (existing: {})", listed(names))
    }
}

impl UserFacing for StateError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                "free space on the file system of this path".into()
            }
            Self::Io { .. } => {
                "check the type, owner and permissions of this path; XDG_STATE_HOME sets another place for state"
                    .into()
            }
            // `down` reads the journal, whatever hosts it is given.
            Self::Damaged { path, .. } if path.ends_with("journal.jsonl") => {
                "delete this file, then run `vcluster down NAME --hosts HOSTS`: it finds the cluster on these hosts"
                    .into()
            }
            Self::Damaged { .. } => {
                "`vcluster down NAME --hosts ...` finds and removes the cluster on its hosts without this file"
                    .into()
            }
            Self::NoPlace => "set HOME or XDG_STATE_HOME".into(),
            Self::Busy { .. } => "wait for it to end, or stop it; nothing was changed".into(),
            Self::Unknown { cluster, known } => {
                let near = nearest(cluster.as_str(), known.iter().map(ClusterName::as_str));
                let near = near.map_or_else(String::new, |near| format!("did you mean `{near}`? "));
                format!(
                    "{near}`vcluster list` shows the clusters; to remove one created on another machine: `vcluster down {cluster} --hosts HOSTS`"
                )
            }
            Self::NoCluster => {
                "`vcluster up TOPOLOGY` raises one; to remove one created by another user or on another machine: \
                 `vcluster down NAME --hosts HOSTS`"
                    .into()
            }
            Self::Several { .. } => "name it with an argument, its topology file or VCLUSTER_NAME".into(),
        })
    }

    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Unknown { .. } | Self::NoCluster | Self::Several { .. } => ExitCode::Usage,
            _ => ExitCode::Unexpected,
        }
    }
}

impl StateError {
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }
}

/// The directory of all clusters of this user.
#[derive(Clone, Debug)]
pub struct StateRoot(PathBuf);

impl StateRoot {
    /// `$XDG_STATE_HOME/vcluster`, or `~/.local/state/vcluster` (XDG base directory specification).
    pub fn from_env() -> Result<Self, StateError> {
        crate::base::directories::base_directory("XDG_STATE_HOME", ".local/state")
            .map(|base| Self(base.join("vcluster")))
            .ok_or(StateError::NoPlace)
    }

    /// A root at a given path.
    pub fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// The directory of one cluster, which need not exist.
    pub fn cluster(&self, name: &ClusterName) -> ClusterDir {
        ClusterDir(self.0.join(name.as_str()))
    }

    /// Names of the clusters that have a record here, sorted.
    pub fn clusters(&self) -> Result<Vec<ClusterName>, StateError> {
        self.names(ClusterDir::exists)
    }

    /// Names of clusters that have a directory here but no record: leftovers of a killed command.
    pub fn remnants(&self) -> Result<Vec<ClusterName>, StateError> {
        self.names(ClusterDir::is_remnant)
    }

    /// The clusters that have results here, sorted, with the directory of these: also clusters that are gone.
    pub fn results(&self) -> Result<Vec<(ClusterName, PathBuf)>, StateError> {
        let names = self.names(|dir| {
            let names = names_in(&dir.join("results"));
            names.is_some_and(|names| !names.is_empty())
        })?;
        Ok(names
            .into_iter()
            .map(|name| {
                let path = self.cluster(&name).join("results");
                (name, path)
            })
            .collect())
    }

    fn names(&self, wanted: impl Fn(&ClusterDir) -> bool) -> Result<Vec<ClusterName>, StateError> {
        let entries = match fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StateError::io("read", &self.0)(error)),
        };
        let mut names: Vec<ClusterName> = entries
            .filter_map(Result::ok)
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|name| wanted(&self.cluster(name)))
            .collect();
        names.sort();
        Ok(names)
    }

    /// The error for a cluster without a record here.
    pub fn unknown(&self, cluster: &ClusterName) -> Result<StateError, StateError> {
        Ok(StateError::Unknown {
            cluster: cluster.clone(),
            known: self.clusters()?,
        })
    }

    /// The only recorded cluster.
    pub fn only(&self) -> Result<ClusterName, StateError> {
        let mut known = self.clusters()?;
        match known.len() {
            0 => Err(StateError::NoCluster),
            1 => Ok(known.remove(0)),
            _ => Err(StateError::Several { known }),
        }
    }
}

/// The directory of one cluster.
#[derive(Clone, Debug)]
pub struct ClusterDir(PathBuf);

impl ClusterDir {
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

    fn is_remnant(&self) -> bool {
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

fn names_in(path: &Path) -> Option<Vec<OsString>> {
    let entries = fs::read_dir(path).ok()?;
    entries.map(|entry| Some(entry.ok()?.file_name())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> (tempfile::TempDir, StateRoot) {
        let temp = tempfile::tempdir().unwrap();
        let root = StateRoot::at(temp.path().join("vcluster"));
        (temp, root)
    }

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
        let (_temp, root) = root();
        let dir = root.cluster(&"a".parse().unwrap());
        fs::create_dir_all(dir.join("keys")).unwrap();
        for path in [dir.path().to_owned(), dir.join("keys")] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
        }
        // An attacker planted this link while the directory was open, to redirect the next write.
        let victim = root.0.join("victim");
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
        fs::rename(dir.join("keys"), root.0.join("elsewhere")).unwrap();
        std::os::unix::fs::symlink(root.0.join("elsewhere"), dir.join("keys")).unwrap();
        assert!(dir.create().is_err());
        assert!(dir.read_secret("keys/client").is_err());
    }

    #[test]
    fn the_only_cluster_is_found_and_several_are_refused() {
        let (_temp, root) = root();
        assert!(root.only().is_err());
        for name in ["one", "two"] {
            let dir = root.cluster(&name.parse().unwrap());
            dir.create().unwrap();
            dir.write("cluster.json", b"{}").unwrap();
            if name == "one" {
                assert_eq!(root.only().unwrap().as_str(), "one");
            }
        }
        assert!(root.only().unwrap_err().to_string().contains("one, two"));
    }

    #[test]
    fn a_name_that_is_nearly_right_is_suggested() {
        let (_temp, root) = root();
        let dir = root.cluster(&"redis".parse().unwrap());
        dir.create().unwrap();
        dir.write("cluster.json", b"{}").unwrap();
        let hint = |name: &str| root.unknown(&name.parse().unwrap()).unwrap().hint().unwrap();
        assert!(hint("redsi").starts_with("did you mean `redis`? "));
        assert!(hint("web").starts_with("`vcluster list`"));
    }

    #[test]
    fn a_damaged_journal_has_to_be_deleted_before_down_and_no_other_file_has() {
        let (_temp, root) = root();
        let hint = |file: &str| {
            let damaged = StateError::Damaged {
                path: root.cluster(&"a".parse().unwrap()).join(file),
                cause: "x".into(),
            };
            damaged.hint().unwrap()
        };
        assert!(hint("journal.jsonl").starts_with("delete this file"));
        assert!(hint("cluster.json").contains("without this file"));
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

    #[test]
    fn results_are_found_with_and_without_their_cluster() {
        let (_temp, root) = root();
        assert!(root.results().unwrap().is_empty());
        for (name, path) in [("gone", "results/1"), ("live", "results/1"), ("new", "results")] {
            let dir = root.cluster(&name.parse().unwrap());
            fs::create_dir_all(dir.join(path)).unwrap();
        }
        let live = root.cluster(&"live".parse().unwrap());
        live.write("cluster.json", b"{}").unwrap();
        let found = root.results().unwrap();
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["gone", "live"]);
        assert_eq!(found[1].1, live.join("results"));
    }

    #[test]
    fn what_a_kill_left_is_a_remnant_and_what_is_the_users_is_not() {
        let (_temp, root) = root();
        for (name, directories, files) in [
            ("begun", &["keys", "logs", "results"][..], &[][..]),
            ("dead", &["results/1"], &["lock"]),
            ("empty", &[], &[]),
            ("foreign", &["keys"], &["lock", "notes"]),
            ("live", &["keys"], &["lock", "journal.jsonl"]),
            ("measured", &["results/1"], &[]),
        ] {
            let dir = root.cluster(&name.parse().unwrap());
            fs::create_dir_all(dir.path()).unwrap();
            for name in directories {
                fs::create_dir_all(dir.join(name)).unwrap();
            }
            for name in files {
                fs::write(dir.join(name), "").unwrap();
            }
        }
        let names = |names: Vec<ClusterName>| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names(root.remnants().unwrap()), ["begun", "dead", "empty"]);
        assert_eq!(names(root.clusters().unwrap()), ["live"]);
    }
}
