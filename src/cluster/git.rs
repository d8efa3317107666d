//! The state of the git repository that a topology is in, as far as git reports one. Changes nothing.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::base::patience::patience;

/// Time for one answer of git.
const ANSWER: Duration = Duration::from_secs(5);

/// A repository at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Repository {
    /// The commit that is checked out.
    pub(super) commit: String,
    /// Whether a file that is in the repository differs from it; `None` if git did not say so in time.
    pub(super) is_dirty: Option<bool>,
}

/// The repository that a directory is in; `None` without git, without a repository, and if it has no commit.
pub(super) async fn repository(directory: &Path) -> Option<Repository> {
    let head = git(directory, &["rev-parse", "--verify", "HEAD"]).await?;
    let commit = head.trim();
    let is_digest = (40..=64).contains(&commit.len()) && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_digest {
        return None;
    }
    // Untracked files do not count: results are often beside the topology.
    let status = git(directory, &["status", "--porcelain", "--untracked-files=no"]).await;
    Some(Repository {
        commit: commit.to_owned(),
        is_dirty: status.map(|lines| !lines.trim().is_empty()),
    })
}

/// The answer of git; `None` if it fails or takes too long.
async fn git(directory: &Path, arguments: &[&str]) -> Option<String> {
    let mut command = tokio::process::Command::new("git");
    command
        .arg("-C")
        .arg(directory)
        // A program that the repository names is not run.
        .args(["-c", "core.fsmonitor=false"])
        .args(arguments)
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("LC_ALL", "C")
        // Set where a hook runs this command.
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(patience(ANSWER), command.output())
        .await
        .ok()?
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    output.status.success().then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(directory: &Path, arguments: &[&str]) -> bool {
        let names = [
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@b",
            "-c",
            "commit.gpgsign=false",
        ];
        let mut command = std::process::Command::new("git");
        command.arg("-C").arg(directory).args(names).args(arguments);
        command
            .env_remove("GIT_DIR")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }

    #[tokio::test]
    async fn the_commit_is_found_and_only_files_of_the_repository_make_it_dirty() {
        let temp = tempfile::tempdir().unwrap();
        let place = temp.path();
        assert_eq!(repository(&place.join("nowhere")).await, None);
        if !run(place, &["init", "-q"]) {
            // Without git there is nothing to find.
            return;
        }
        assert_eq!(repository(place).await, None);
        std::fs::write(place.join("a"), "1").unwrap();
        assert!(run(place, &["add", "a"]) && run(place, &["commit", "-q", "-m", "x"]));
        std::fs::write(place.join("untracked"), "1").unwrap();
        let clean = repository(place).await.unwrap();
        assert_eq!((clean.commit.len(), clean.is_dirty), (40, Some(false)));
        std::fs::write(place.join("a"), "22").unwrap();
        let dirty = repository(place).await.unwrap();
        assert_eq!((dirty.commit, dirty.is_dirty), (clean.commit, Some(true)));
    }
}
