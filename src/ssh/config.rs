//! Asks the user's own `ssh` how it reaches a host (`ssh -G`), so that whatever ssh_config(5) has works here as well:
//! `Match`, `Include`, canonical names, the files of the user and of the system. Makes no connection.
//!
//! `ssh -G` runs the commands of `Match exec`, as every `ssh` to that host does. Hosts that the files cannot tell apart,
//! but for their name, are asked about once.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::{OnceCell, Semaphore};

use super::error::SshError;
use super::request::HostTarget;
use super::settings::HostSettings;
use crate::base::text::sanitize;

use alike::Lines;

mod alike;

/// Processes that are asked at once: each takes a few milliseconds of CPU.
static ASKING: Semaphore = Semaphore::const_new(8);

/// Host, user and port, as the URI has them.
type Question = (String, Option<String>, Option<u16>);
type Answer = Arc<OnceCell<Arc<HostSettings>>>;
/// User and port of the URI, and the lines of the files that are active.
type Class = (Option<String>, Option<u16>, Vec<usize>);

/// What the first answer told.
#[derive(Debug)]
struct First {
    host: Question,
    settings: Arc<HostSettings>,
    /// The files, if hosts can be compared by them.
    lines: Option<Lines>,
}

/// The user's ssh config. Clones share the answers: each host is asked about at most once.
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
    first: Arc<OnceCell<First>>,
    classes: Arc<Mutex<HashMap<Class, Answer>>>,
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
            first: Arc::default(),
            classes: Arc::default(),
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
        let answer = entry(&self.answers, question.clone());
        let settings = answer.get_or_try_init(|| self.find(question, target)).await?;
        tracing::debug!(
            "{}: {}@{}:{}",
            target.host,
            settings.user,
            settings.host_name,
            settings.port
        );
        Ok(settings.clone())
    }

    /// The answer for a host that is alike, or an own one.
    async fn find(&self, question: Question, target: &HostTarget) -> Result<Arc<HostSettings>, SshError> {
        let first = self
            .first
            .get_or_try_init(|| self.begin(&question, target))
            .await?;
        if first.host == question {
            return Ok(first.settings.clone());
        }
        let Some(shape) = first.lines.as_ref().and_then(|lines| lines.shape(&target.host)) else {
            return self.ask_alone(target).await;
        };
        let class = entry(&self.classes, (question.1, question.2, shape.lines));
        let alike = class.get_or_try_init(|| self.ask_alone(target)).await?;
        if alike.host_name == shape.host_name {
            return Ok(alike.clone());
        }
        Ok(Arc::new(HostSettings {
            host_name: shape.host_name,
            ..(**alike).clone()
        }))
    }

    /// Asks about the first host, and which files were read for it.
    async fn begin(&self, question: &Question, target: &HostTarget) -> Result<First, SshError> {
        let (settings, log) = self.ask(target, &["-v"]).await?;
        let settings = Arc::new(settings);
        let lines = alike::files(&log).and_then(|files| {
            let texts = files.into_iter().map(std::fs::read_to_string);
            let texts = texts.collect::<Result<Vec<_>, _>>().ok()?;
            Lines::read(texts.iter().map(String::as_str))
        });
        // Compared by lines that lead to another name than `ssh` has, nothing would be sure.
        let shape = lines.as_ref().and_then(|lines| lines.shape(&target.host));
        let lines = lines.filter(|_| {
            shape
                .as_ref()
                .is_none_or(|shape| shape.host_name == settings.host_name)
        });
        if let (Some(_), Some(shape)) = (&lines, shape) {
            let class = entry(&self.classes, (target.user.clone(), target.port, shape.lines));
            // Empty until now: the classes are filled after this.
            let _ = class.set(settings.clone());
        }
        Ok(First {
            host: question.clone(),
            settings,
            lines,
        })
    }

    async fn ask_alone(&self, target: &HostTarget) -> Result<Arc<HostSettings>, SshError> {
        Ok(Arc::new(self.ask(target, &[]).await?.0))
    }

    /// The settings, and what `ssh` printed besides.
    async fn ask(&self, target: &HostTarget, more: &[&str]) -> Result<(HostSettings, String), SshError> {
        let _turn = ASKING
            .acquire()
            .await
            .map_err(|error| SshError::Other(error.to_string()))?;
        let mut command = tokio::process::Command::new("ssh");
        // Without -T it remarks that there is no terminal.
        command.args(["-G", "-T"]).args(more);
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
        let words = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            let lines = words.lines().map(str::trim);
            let lines = lines.filter(|line| !line.is_empty() && !is_log(line));
            let words = lines.collect::<Vec<_>>().join("; ");
            return Err(refused(if words.is_empty() {
                format!("`ssh -G` failed: {}", output.status)
            } else {
                sanitize(&words).into_owned()
            }));
        }
        let settings = HostSettings::parse(&String::from_utf8_lossy(&output.stdout)).map_err(refused)?;
        Ok((settings, words.into_owned()))
    }
}

/// Whether a line is one that `-v` adds.
fn is_log(line: &str) -> bool {
    line.starts_with("debug1: ") || line.starts_with("OpenSSH_")
}

/// The answer of this key, which may still have to be found.
fn entry<K: Eq + std::hash::Hash>(answers: &Mutex<HashMap<K, Answer>>, key: K) -> Answer {
    let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
    answers.entry(key).or_default().clone()
}

#[cfg(test)]
pub(super) mod tests;
