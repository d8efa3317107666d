//! Why something on a host failed, and what the failure may have left there.

use std::fmt;
use std::time::Duration;

use crate::exit::ExitCode;
use crate::name::HostName;
use crate::ssh::SshError;

/// The most characters of a host's words that are shown.
const SHOWN: usize = 600;

/// Something on a bare-metal host failed.
#[derive(Debug, thiserror::Error)]
#[error("failed to {doing} on `{host}`: {cause}")]
pub struct HostError {
    /// The host.
    pub host: HostName,
    /// What was being done, as a verb phrase: `start \`worker017\``.
    pub doing: String,
    /// Why it failed.
    pub cause: Cause,
    /// What the failure may have left on the host.
    pub leaves: Leftovers,
}

/// What a failed action may have left on a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Leftovers {
    /// Nothing that was not there before.
    #[default]
    Nothing,
    /// Perhaps this.
    Maybe(String),
}

/// Why something on a host failed.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// The URI of the host cannot be used.
    #[error("{0}")]
    Uri(String),
    /// SSH failed.
    #[error(transparent)]
    Ssh(Box<SshError>),
    /// libvirt refused.
    #[error("libvirt: {}", shown(.0.message()))]
    Libvirt(#[from] virt::error::Error),
    /// A call or command did not end in time.
    #[error("no answer within {}", humantime::format_duration(*.0))]
    Timeout(Duration),
    /// The connection was ended before.
    #[error("the connection is closed")]
    Closed,
    /// Our lock there may be free, because its host heard nothing of us for too long.
    #[error(
        "vcluster lost its lock there: it was not heard for too long, and others may be at work on the cluster"
    )]
    LockLost,
    /// A script of ours failed there.
    #[error("{}", script_words(.status.as_ref(), .words))]
    Script {
        /// Exit status, if it ended by itself.
        status: Option<u32>,
        /// What it said on standard error.
        words: String,
    },
    /// The user there may not become root.
    #[error("root is needed there and sudo refuses: {}", shown(.0))]
    NotRoot(String),
    /// A command is missing there.
    #[error("`{0}` is not installed there")]
    Missing(String),
    /// Something that is not ours is in the way.
    #[error("{0}")]
    Foreign(String),
    /// Packets do not get through between hosts.
    #[error("{0}")]
    Path(String),
    /// What the host said makes no sense.
    #[error("cannot understand what it says: {0}")]
    Nonsense(String),
    /// The controller's own file or socket.
    #[error("{0}")]
    Local(String),
    /// Anything else with its own words.
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

impl HostError {
    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<String> {
        let host = &self.host;
        match &self.cause {
            Cause::Ssh(error) if error.to_string().contains("libvirt-sock") => Some(format!(
                "see that libvirt is installed and running on {host} (`systemctl status libvirtd`), and that its \
                 sshd_config allows AllowStreamLocalForwarding"
            )),
            Cause::Ssh(error) => error.hint(),
            Cause::NotRoot(_) => Some(format!(
                "name root in the URI of {host}, or let the user run `sudo -n sh` there without a password"
            )),
            Cause::Path(_) => Some(
                "set `network: mtu` lower, raise the MTU of the network between the hosts, or let ICMP and the \
                 VXLAN port through their firewalls"
                    .to_owned(),
            ),
            Cause::LockLost => Some("give the same command again: it goes on from what is there".to_owned()),
            Cause::Missing(command) => Some(format!("install `{command}` on {host}")),
            Cause::Timeout(_) => Some(format!("see whether {host} and its libvirtd are alive and not overloaded")),
            Cause::Libvirt(error) => libvirt_hint(error, host),
            Cause::Script { words, .. } if words.contains("No space left") => {
                Some(format!("free room below /var/lib/libvirt/images on {host}"))
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
        Some(format!("free room below /var/lib/libvirt/images on {host}"))
    } else if message.contains("Cannot allocate memory") || message.contains("cannot set up guest memory") {
        Some(format!(
            "{host} is out of memory: place fewer or smaller nodes on it"
        ))
    } else if message.contains("domain is not running") {
        Some(
            "`vcluster up` starts it again; `vcluster console NODE --log` shows what it said last".to_owned(),
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

/// A host's own words made safe to show: one line, bounded, control characters escaped.
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
            Self::Nothing => f.write_str("nothing"),
            Self::Maybe(what) => write!(f, "perhaps {what}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_host_cannot_reach_the_terminal_as_control_characters() {
        let text = shown("a\u{1b}[2Jb\nc\r");
        assert_eq!(text, "a\\u{1b}[2Jb; c");
        assert!(shown(&"x".repeat(10_000)).len() < SHOWN + 10);
    }

    #[test]
    fn an_error_names_host_deed_and_cause() {
        let error = HostError {
            host: "bm03".parse().unwrap(),
            doing: "start `worker017`".into(),
            cause: Cause::Timeout(Duration::from_secs(30)),
            leaves: Leftovers::Nothing,
        };
        assert_eq!(
            error.to_string(),
            "failed to start `worker017` on `bm03`: no answer within 30s"
        );
        assert!(error.hint().unwrap().contains("bm03"));
    }
}
