//! Why what is kept about a cluster cannot be used.

use std::io;
use std::path::{Path, PathBuf};

use crate::base::exit::ExitCode;
use crate::base::failure::UserFacing;
use crate::base::name::ClusterName;
use crate::base::suggest::nearest;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_journal_has_to_be_deleted_before_down_and_no_other_file_has() {
        let hint = |file: &str| {
            let damaged = StateError::Damaged {
                path: Path::new("a").join(file),
                cause: "x".into(),
            };
            damaged.hint().unwrap()
        };
        assert!(hint("journal.jsonl").starts_with("delete this file"));
        assert!(hint("cluster.json").contains("without this file"));
    }
}
