//! Why an operation on a host failed, and what it may have left there.

use std::sync::Arc;
use std::time::Duration;

use super::reason::Reason;
use crate::base::exit::ExitCode;
use crate::base::failure::{Leftovers, UserFacing};
use crate::base::failure_kind::FailureKind;
use crate::base::name::HostName;
use crate::ssh::{Requested, SshError};

/// The most characters of a host's output that are shown.
const SHOWN: usize = 600;

/// What to do about a guest that does not run.
const START_AGAIN: &str =
    "run `vcluster up` to start it again; `vcluster console NODE --log` prints its last output";

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
    #[error("libvirt: {}", shown(.error.message()))]
    Libvirt {
        /// The error.
        error: Box<virt::error::Error>,
        /// What it means, if that makes a difference.
        reason: Option<Reason>,
    },
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
    /// A script of ours failed there because a file system is full. These are its words.
    #[error("{}", shown(.0))]
    NoSpace(String),
    /// The user there cannot become root.
    #[error("root is required there, and sudo failed: {}", shown(.0))]
    NotRoot(String),
    /// The login user may not use libvirt's socket.
    #[error("`{user}` is not in the group `{group}` there, which may use libvirt")]
    NotInGroup {
        /// The login user.
        user: String,
        /// The group of the socket.
        group: String,
    },
    /// The login user is not root, and nobody else may use libvirt's socket.
    #[error("`{user}` may not use libvirt there: its socket is open to root only")]
    OnlyRoot {
        /// The login user.
        user: String,
    },
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
    /// The cause of several failures: of all files that one command writes.
    #[error("{0}")]
    Shared(Arc<Cause>),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl From<SshError> for Cause {
    fn from(error: SshError) -> Self {
        Self::Ssh(Box::new(error))
    }
}

impl From<virt::error::Error> for Cause {
    fn from(error: virt::error::Error) -> Self {
        Self::Libvirt {
            reason: Reason::of_libvirt(&error),
            error: Box::new(error),
        }
    }
}

impl Cause {
    /// An I/O error on the controller.
    pub(super) fn local(doing: &str, error: &std::io::Error) -> Self {
        Self::Local(format!("{doing}: {error}"))
    }

    /// A script of ours that failed, with its standard error.
    pub(super) fn script(status: Option<u32>, words: String) -> Self {
        match Reason::of_script(&words) {
            Some(Reason::NoSpace) => Self::NoSpace(words),
            _ => Self::Script { status, words },
        }
    }

    /// The cause itself, if several failures share it.
    fn itself(&self) -> &Self {
        match self {
            Self::Shared(cause) => cause.itself(),
            cause => cause,
        }
    }

    /// Whether libvirt refused the user.
    pub(super) fn is_denial(&self) -> bool {
        self.reason() == Some(Reason::NotAllowed)
    }

    /// Whether a connection to libvirt may have failed because the user lacks a right.
    pub(super) fn may_be_denial(&self) -> bool {
        match self {
            Self::Ssh(error) => is_of_socket(error),
            Self::Local(_) => true,
            cause => cause.is_denial(),
        }
    }

    /// What it means, if that makes a difference.
    fn reason(&self) -> Option<Reason> {
        match self {
            Self::Libvirt { reason, .. } => *reason,
            Self::NoSpace(_) => Some(Reason::NoSpace),
            Self::NotRoot(_) | Self::NotInGroup { .. } | Self::OnlyRoot { .. } => Some(Reason::NotAllowed),
            _ => None,
        }
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

    /// The same error, with what it may have left.
    #[must_use]
    pub fn leaving(mut self, what: impl Into<String>) -> Self {
        self.leaves = Leftovers::Maybe(what.into());
        self
    }
}

impl UserFacing for HostError {
    fn hint(&self) -> Option<String> {
        let host = &self.host;
        match self.cause.itself() {
            Cause::Ssh(error) if is_of_socket(error) => Some(format!(
                "check that libvirt is installed and running on {host} (`systemctl status libvirtd`), and that its \
                 sshd_config allows AllowStreamLocalForwarding"
            )),
            Cause::Ssh(error) => error.hint(),
            Cause::NotRoot(_) => Some(format!(
                "use root in the URI of {host}, or allow the user to run `sudo -n sh` there without a password"
            )),
            Cause::OnlyRoot { .. } => Some(format!(
                "use root in the URI of {host}, or open the socket to a group of the user there, with `unix_sock_group` \
                 and `unix_sock_rw_perms` in /etc/libvirt/libvirtd.conf"
            )),
            Cause::NotInGroup { user, group } => Some(format!(
                "run `sudo usermod -aG {group} {user}` on {host}, then log in again: vcluster does so with its next \
                 command, except on this machine"
            )),
            Cause::Path(_) => Some(
                "lower the `mtu` of the nodes' network, raise the MTU of the network between the hosts, or \
                 allow ICMP and the VXLAN port in their firewalls"
                    .to_owned(),
            ),
            Cause::LockLost => Some("run the command again; it continues from what is there".to_owned()),
            Cause::Missing(command) => Some(format!("install `{command}` on {host}")),
            Cause::Timeout(_) => Some(format!(
                "check that {host} is reachable and not overloaded, and that its libvirtd responds"
            )),
            cause => cause.reason().map(|reason| advice(reason, host)),
        }
    }

    fn exit_code(&self) -> ExitCode {
        ExitCode::ApplyFailed
    }

    fn kind(&self) -> FailureKind {
        let cause = self.cause.itself();
        match (cause, cause.reason()) {
            (Cause::Ssh(error), _) => error.kind(),
            (Cause::Closed, _) => FailureKind::Unreachable,
            (Cause::Timeout(_), _) => FailureKind::Timeout,
            (Cause::LockLost, _) => FailureKind::LockLost,
            (_, Some(Reason::NoSpace)) => FailureKind::NoSpace,
            (_, Some(Reason::NoMemory)) => FailureKind::NoMemory,
            (_, Some(Reason::GuestOff)) => FailureKind::GuestDied,
            (_, Some(Reason::NotAllowed)) => FailureKind::NotAllowed,
            (_, None) => FailureKind::Other,
        }
    }

    fn leftovers(&self) -> Leftovers {
        self.leaves.clone()
    }
}

/// Whether the host refused a connection to its libvirt: no other sockets are opened there.
fn is_of_socket(error: &SshError) -> bool {
    matches!(
        error,
        SshError::Channel {
            what: Requested::Socket(_),
            ..
        }
    )
}

fn advice(reason: Reason, host: &HostName) -> String {
    match reason {
        Reason::NoSpace => format!("free disk space in /var/lib/libvirt/images on {host}"),
        Reason::NoMemory => format!("{host} is out of memory: place fewer or smaller nodes on it"),
        Reason::GuestOff => START_AGAIN.to_owned(),
        Reason::NotAllowed => format!("the user in the URI of {host} must be root or in the group `libvirt`"),
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

    #[test]
    fn a_user_without_the_group_of_libvirt_gets_the_command_that_adds_it() {
        let host: HostName = "bm03".parse().unwrap();
        let cause = Cause::NotInGroup {
            user: "admin".into(),
            group: "libvirt".into(),
        };
        let error = HostError::new(&host, "connect to libvirt", cause);
        assert_eq!(
            error.to_string(),
            "failed to connect to libvirt on `bm03`: `admin` is not in the group `libvirt` there, which may use libvirt"
        );
        let hint = error.hint().unwrap();
        assert!(
            hint.contains("`sudo usermod -aG libvirt admin` on bm03"),
            "{hint}"
        );
        assert_eq!(error.kind(), FailureKind::NotAllowed);
    }

    #[test]
    fn a_full_disk_is_a_kind_of_its_own_and_what_may_be_left_is_named_once() {
        let host: HostName = "bm03".parse().unwrap();
        let cause = Cause::script(Some(1), "cp: No space left on device\n".into());
        let cause = Cause::Shared(Arc::new(cause));
        let error = HostError::new(&host, "create the disk", cause).leaving("files in /x");
        assert_eq!(
            error.to_string(),
            "failed to create the disk on `bm03`: cp: No space left on device (may have left files in /x)"
        );
        assert_eq!(error.kind(), FailureKind::NoSpace);
        assert_eq!(error.leftovers().what().as_deref(), Some("files in /x"));
        assert!(error.hint().unwrap().contains("free disk space"));
    }
}
