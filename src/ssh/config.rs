//! Asks the user's own `ssh` how it reaches a host (`ssh -G`), so that whatever ssh_config(5) has works here as well:
//! `Match`, `Include`, canonical names, the files of the user and of the system. Makes no connection.
//!
//! `ssh -G` runs the commands of `Match exec`, as every `ssh` to that host does.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::{OnceCell, Semaphore};

use super::error::SshError;
use super::request::HostTarget;
use super::settings::HostSettings;
use crate::base::text::sanitize;

/// Processes that are asked at once: each takes a few milliseconds of CPU.
static ASKING: Semaphore = Semaphore::const_new(8);

/// Host, user and port, as the URI has them.
type Question = (String, Option<String>, Option<u16>);
type Answer = Arc<OnceCell<Arc<HostSettings>>>;

/// The user's ssh config. Clones share the answers: each host is asked about once.
#[derive(Clone, Debug)]
pub struct SshConfig {
    /// A file in place of the user's and the system's, as with `ssh -F`.
    pub path: Option<PathBuf>,
    /// Home directory: `~` and `%d`.
    pub home: PathBuf,
    /// Name of the local user: `%u`.
    pub user: String,
    /// Socket of the user's agent.
    pub agent: Option<PathBuf>,
    answers: Arc<Mutex<HashMap<Question, Answer>>>,
}

impl SshConfig {
    /// A config with this file, or with those that `ssh` reads itself; without an agent.
    pub fn new(path: Option<PathBuf>, home: PathBuf, user: impl Into<String>) -> Self {
        Self {
            path,
            home,
            user: user.into(),
            agent: None,
            answers: Arc::default(),
        }
    }

    /// The config of this process: `$VCLUSTER_SSH_CONFIG`, else the files that `ssh` reads itself, with the agent at
    /// `$SSH_AUTH_SOCK`.
    pub fn of_the_user() -> Self {
        static OWN: OnceLock<SshConfig> = OnceLock::new();
        OWN.get_or_init(Self::of_the_environment).clone()
    }

    fn of_the_environment() -> Self {
        let variable = |name| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let user = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten();
        // `ssh` takes the home directory from the user database, not from $HOME.
        let home = user.as_ref().map(|user| user.dir.clone());
        let home = home
            .or_else(std::env::home_dir)
            .unwrap_or_else(|| PathBuf::from("/"));
        let name = user.map_or_else(|| "root".to_owned(), |user| user.name);
        Self {
            agent: variable("SSH_AUTH_SOCK"),
            ..Self::new(variable("VCLUSTER_SSH_CONFIG"), home, name)
        }
    }

    /// How `ssh` reaches a host. The name, the user and the port of the URI have precedence, as on its command line.
    pub async fn settings(&self, target: &HostTarget) -> Result<Arc<HostSettings>, SshError> {
        let question = (target.host.clone(), target.user.clone(), target.port);
        let answer = {
            let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
            answers.entry(question).or_default().clone()
        };
        let settings = answer.get_or_try_init(|| self.ask(target)).await?;
        Ok(settings.clone())
    }

    async fn ask(&self, target: &HostTarget) -> Result<Arc<HostSettings>, SshError> {
        let _turn = ASKING
            .acquire()
            .await
            .map_err(|error| SshError::Other(error.to_string()))?;
        let mut command = tokio::process::Command::new("ssh");
        // Without -T it remarks that there is no terminal.
        command.args(["-G", "-T"]);
        if let Some(path) = &self.path {
            command.arg("-F").arg(path);
        }
        if let Some(port) = target.port {
            command.args(["-p", &port.to_string()]);
        }
        if let Some(user) = &target.user {
            command.args(["-l", user]);
        }
        command
            .args(["--", &target.host])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let output = command.output().await.map_err(SshError::NoClient)?;
        let refused = |message: String| SshError::Config {
            target: target.host.clone(),
            message,
        };
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            let lines = words.lines().map(str::trim).filter(|line| !line.is_empty());
            let words = lines.collect::<Vec<_>>().join("; ");
            return Err(refused(if words.is_empty() {
                format!("`ssh -G` failed: {}", output.status)
            } else {
                sanitize(&words).into_owned()
            }));
        }
        let settings = HostSettings::parse(&String::from_utf8_lossy(&output.stdout)).map_err(refused)?;
        tracing::debug!(
            "{}: {}@{}:{}",
            target.host,
            settings.user,
            settings.host_name,
            settings.port
        );
        Ok(Arc::new(settings))
    }
}

#[cfg(test)]
pub(super) mod tests;
