//! Why an operation on a host failed, and what it may have left there.

use std::fmt;
use std::time::Duration;

use crate::base::exit::ExitCode;
use crate::base::failure::Hinted;
use crate::base::name::HostName;
use crate::ssh::SshError;

/// The most characters of a host's output that are shown.
const SHOWN: usize = 600;

/// An operation on a bare-metal host failed.
#[derive(Debug, thiserror::Error)]
#[error("failed to {doing} on `{host}`: {cause}{leaves}")]
pub struct HostError {
    /// The host.
    pub host: HostName,
    /// The operation, as a verb phrase: `start \`worker017\``.
    pub doing: String,
    /// Why it failed.
    pub cause: Cause,
    /// What the failure may have left on the host.
    pub leaves: Leftovers,
}

/// What a failed action may have left on a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Leftovers {
    /// Nothing.
    #[default]
    Nothing,
    /// Possibly this.
    Maybe(String),
}

/// Why an operation on a host failed.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// The URI of the host cannot be used.
    #[error("{0}")]
    Uri(String),
    /// SSH failed.
    #[error(transparent)]
    Ssh(Box<SshError>),
    /// A libvirt error.
    #[error("libvirt: {}", shown(.0.message()))]
    Libvirt(#[from] virt::error::Error),
    /// A call or command timed out.
    #[error("timed out after {}", humantime::format_duration(*.0))]
    Timeout(Duration),
    /// The connection is already closed.
    #[error("the connection is closed")]
    Closed,
    /// The host may have freed our lock, because it got no heartbeat for too long.
    #[error(
        "vcluster lost its lock there: the lock expired, and another command may be changing the cluster"
    )]
    LockLost,
    /// A script of ours failed there.
    #[error("{}", script_words(.status.as_ref(), .words))]
    Script {
        /// Exit status, if it ended by itself.
        status: Option<u32>,
        /// Its standard error.
        words: String,
    },
    /// The user there cannot become root.
    #[error("root is required there, and sudo failed: {}", shown(.0))]
    NotRoot(String),
    /// A command is missing there.
    #[error("`{0}` is not installed there")]
    Missing(String),
    /// An object that is not ours has the name that we need.
    #[error("{0}")]
    Foreign(String),
    /// Packets between hosts are lost.
    #[error("{0}")]
    Path(String),
    /// The host's output is malformed.
    #[error("unexpected output: {0}")]
    Nonsense(String),
    /// The controller's own file or socket.
    #[error("{0}")]
    Local(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl From<SshError> for Cause {
    fn from(error: SshError) -> Self {
        Self::Ssh(Box::new(error))
    }
}

impl Cause {
    /// An I/O error on the controller.
    pub(super) fn local(doing: &str, error: &std::io::Error) -> Self {
        Self::Local(format!("{doing}: {error}"))
    }
}

impl Hinted for HostError {
    fn hint(&self) -> Option<String> {
        self.hint()
    }
}

impl HostError {
    /// An error without leftovers.
    pub fn new(host: &HostName, doing: impl Into<String>, cause: Cause) -> Self {
        Self {
            host: host.clone(),
            doing: doing.into(),
            cause,
            leaves: Leftovers::Nothing,
        }
    }

    /// What to do about it, if known.
    pub fn hint(&self) -> Option<String> {
        let host = &self.host;
        match &self.cause {
            Cause::Ssh(error) if error.to_string().contains("libvirt-sock") => Some(format!(
                "check that libvirt is installed and running on {host} (`systemctl status libvirtd`), and that its \
                 sshd_config allows AllowStreamLocalForwarding"
            )),
            Cause::Ssh(error) => error.hint(),
            Cause::NotRoot(_) => Some(format!(
                "use root in the URI of {host}, or allow the user to run `sudo -n sh` there without a password"
            )),
            Cause::Path(_) => Some(
                "lower `network: mtu`, raise the MTU of the network between the hosts, or allow ICMP and the \
                 VXLAN port in their firewalls"
                    .to_owned(),
            ),
            Cause::LockLost => Some("run the command again; it continues from what is there".to_owned()),
            Cause::Missing(command) => Some(format!("install `{command}` on {host}")),
            Cause::Timeout(_) => Some(format!("check that {host} is reachable and not overloaded, and that its libvirtd responds")),
            Cause::Libvirt(error) => libvirt_hint(error, host),
            Cause::Script { words, .. } if words.contains("No space left") => {
                Some(format!("free disk space in /var/lib/libvirt/images on {host}"))
            }
            _ => None,
        }
    }

    /// The exit code of a command that ends with this.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::ApplyFailed
    }

    /// The same error, with what it may have left.
    #[must_use]
    pub fn leaving(mut self, what: impl Into<String>) -> Self {
        self.leaves = Leftovers::Maybe(what.into());
        self
    }
}

fn libvirt_hint(error: &virt::error::Error, host: &HostName) -> Option<String> {
    let message = error.message();
    if message.contains("No space left") {
        Some(format!("free disk space in /var/lib/libvirt/images on {host}"))
    } else if message.contains("Cannot allocate memory") || message.contains("cannot set up guest memory") {
        Some(format!(
            "{host} is out of memory: place fewer or smaller nodes on it"
        ))
    } else if message.contains("domain is not running") {
        Some(
            "run `vcluster up` to start it again; `vcluster console NODE --log` prints its last output"
                .to_owned(),
        )
    } else if message.contains("Permission denied") || message.contains("authentication") {
        Some(format!(
            "the user in the URI of {host} must be root or in the group `libvirt`"
        ))
    } else {
        None
    }
}

fn script_words(status: Option<&u32>, words: &str) -> String {
    let words = shown(words);
    match (status, words.is_empty()) {
        (_, false) => words,
        (Some(status), true) => format!("exit status {status}"),
        (None, true) => "ended by a signal".to_owned(),
    }
}

/// A host's output made safe to show: one line, bounded, control characters escaped.
pub(crate) fn shown(text: &str) -> String {
    let mut line = String::new();
    for (count, character) in text.trim().chars().enumerate() {
        if count == SHOWN {
            line.push_str(" ...");
            break;
        }
        match character {
            '\n' => line.push_str("; "),
            c if c.is_control() => line.extend(c.escape_default()),
            c => line.push(c),
        }
    }
    line
}

impl fmt::Display for Leftovers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => Ok(()),
            Self::Maybe(what) => write!(f, " (may have left {what})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_of_a_host_cannot_send_control_characters_to_the_terminal() {
        let text = shown("a\u{1b}[2Jb\nc\r");
        assert_eq!(text, "a\\u{1b}[2Jb; c");
        assert!(shown(&"x".repeat(10_000)).len() < SHOWN + 10);
    }

    #[test]
    fn an_error_names_host_operation_and_cause() {
        let error = HostError {
            host: "bm03".parse().unwrap(),
            doing: "start `worker017`".into(),
            cause: Cause::Timeout(Duration::from_secs(30)),
            leaves: Leftovers::Nothing,
        };
        assert_eq!(
            error.to_string(),
            "failed to start `worker017` on `bm03`: timed out after 30s"
        );
        assert!(error.hint().unwrap().contains("bm03"));
    }
}
