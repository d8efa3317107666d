//! Why a node was not raised.

use std::time::Duration;

use crate::base::exit::ExitCode;
use crate::base::failure::{Leftovers, UserFacing};
use crate::base::failure_kind::FailureKind;
use crate::base::name::{HostName, ImageName, NodeName};
use crate::host::HostError;
use crate::ssh::SshError;

/// Why a node was not raised.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// Something failed on its host.
    #[error(transparent)]
    Host(Box<HostError>),
    /// Its image was not uploaded.
    #[error("image `{image}` is not on `{host}`")]
    NoImage {
        /// The image.
        image: ImageName,
        /// The host.
        host: HostName,
    },
    /// How its host runs guests was not determined.
    #[error("the acceleration of guests on `{0}` was not determined")]
    NoAcceleration(HostName),
    /// Its seed could not be created.
    #[error("{0}")]
    Seed(String),
    /// The guest reported that it cannot boot.
    #[error("the guest reported a boot failure: {0}")]
    BootFailed(String),
    /// Its firmware found nothing that it could boot.
    #[error("the firmware found nothing on the image's disk that it can boot")]
    NothingToBoot,
    /// The guest stopped.
    #[error("the guest stopped while it was booting")]
    Died,
    /// Its host no longer answers.
    #[error("host unreachable: {0}")]
    HostLost(String),
    /// Nothing watches its console any more.
    #[error("the watch of its console ended")]
    Unwatched,
    /// Its image did not print that it is ready.
    #[error("did not become ready within {}", humantime::format_duration(*.0))]
    NotReady(Duration),
    /// The login, or a command after it, failed.
    #[error(transparent)]
    Login(Box<SshError>),
    /// The wait for cloud-init ended with this.
    #[error("waiting for cloud-init")]
    Waiting(#[source] Box<NodeError>),
    /// cloud-init failed.
    #[error("cloud-init failed: {text}")]
    CloudInit {
        /// The node.
        node: NodeName,
        /// What it reported.
        text: String,
    },
    /// The login user cannot become root.
    #[error(
        "the login user `{user}` of image `{image}` cannot become root{}",
        after_colon(text)
    )]
    NotRoot {
        /// The image.
        image: ImageName,
        /// The user.
        user: String,
        /// What sudo or the shell reported.
        text: String,
    },
    /// cloud-init is done, and the node still accepts no login.
    #[error("cloud-init is done, but {0}")]
    NoLogin(Box<SshError>),
    /// The user interrupted.
    #[error("interrupted")]
    Interrupted,
}

fn after_colon(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!(": {text}")
    }
}

impl From<HostError> for NodeError {
    fn from(error: HostError) -> Self {
        Self::Host(Box::new(error))
    }
}

impl UserFacing for NodeError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Host(error) => error.hint(),
            Self::Login(error) => error.hint(),
            Self::Waiting(error) => error.hint(),
            Self::NotReady(_) => {
                Some("raise `--boot-timeout`, or watch the boot with `vcluster console NODE`".into())
            }
            Self::CloudInit { node, .. } => Some(format!(
                "see /var/log/cloud-init-output.log with `vcluster ssh {node}`"
            )),
            Self::NotRoot { image, .. } => Some(format!(
                "install sudo in image `{image}`, or set `user: root` for it"
            )),
            Self::NothingToBoot => Some(
                "check that the image is a whole disk with a boot loader, and set `firmware` of the image to `uefi` or \
                 `bios`"
                    .into(),
            ),
            Self::NoLogin(_) => Some(
                "check in the image that the user's shell exists, and AllowUsers, PermitRootLogin and \
                 PubkeyAuthentication in its sshd_config"
                    .into(),
            ),
            _ => None,
        }
    }

    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Interrupted => ExitCode::Interrupted,
            Self::Waiting(error) => error.exit_code(),
            _ => ExitCode::ApplyFailed,
        }
    }

    fn kind(&self) -> FailureKind {
        match self {
            Self::Host(error) => error.kind(),
            Self::BootFailed(_) | Self::Died => FailureKind::GuestDied,
            Self::HostLost(_) => FailureKind::Unreachable,
            Self::NotReady(_) => FailureKind::BootTimeout,
            Self::Login(error) => match error.kind() {
                // The host is there: it is the node that accepts no connection.
                FailureKind::Unreachable
                    if !matches!(**error, SshError::Unreachable { .. } | SshError::Lost { .. }) =>
                {
                    FailureKind::BootTimeout
                }
                FailureKind::Timeout => FailureKind::BootTimeout,
                kind => kind,
            },
            Self::Waiting(error) => error.kind(),
            Self::Interrupted => FailureKind::Interrupted,
            Self::CloudInit { .. } | Self::NotRoot { .. } | Self::NoLogin(_) | Self::NothingToBoot => {
                FailureKind::Image
            }
            Self::NoImage { .. } | Self::NoAcceleration(_) | Self::Seed(_) | Self::Unwatched => {
                FailureKind::Other
            }
        }
    }

    fn leftovers(&self) -> Leftovers {
        match self {
            Self::Host(error) => error.leftovers(),
            Self::Waiting(error) => error.leftovers(),
            _ => Leftovers::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_accepts_no_connection_did_not_boot_in_time_unless_its_host_is_away() {
        let login = |error| NodeError::Login(Box::new(error)).kind();
        let refused = std::io::ErrorKind::ConnectionRefused.into();
        let node = SshError::Connect {
            target: "n1".into(),
            source: refused,
        };
        let host = SshError::Unreachable {
            host: "bm01".into(),
            reason: "it is left out".into(),
        };
        assert_eq!(login(node), FailureKind::BootTimeout);
        assert_eq!(login(host), FailureKind::Unreachable);
        assert_eq!(NodeError::Died.kind(), FailureKind::GuestDied);
    }
}
