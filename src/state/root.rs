//! The directory of all clusters of this user, and which of them are recorded there.

use std::fs;
use std::io;
use std::path::PathBuf;

use super::dir::{ClusterDir, names_in};
use super::error::StateError;
use crate::base::name::ClusterName;

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
        ClusterDir::at(self.0.join(name.as_str()))
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::base::failure::UserFacing;

    /// A root without clusters.
    pub(in crate::state) fn root() -> (tempfile::TempDir, StateRoot) {
        let temp = tempfile::tempdir().unwrap();
        let root = StateRoot::at(temp.path().join("vcluster"));
        (temp, root)
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
