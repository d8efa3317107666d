//! The parts of SSH errors that hints depend on: what was requested, what is not supported, what a login lacked.

use std::fmt;
use std::path::PathBuf;

/// What was requested of the remote side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requested {
    /// A channel for a command or a terminal.
    Session,
    /// A TCP connection to this address.
    Address(String),
    /// A connection to this UNIX socket.
    Socket(String),
}

/// What an ssh config uses that is not supported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnsupportedSetting {
    /// `ProxyUseFdpass`: a `ProxyCommand` that passes a socket on.
    ProxyUseFdpass,
    /// `ProxyJump`, with what is not supported about it.
    ProxyJump(String),
    /// A path or a command with a part that cannot be expanded.
    Value {
        /// The value.
        value: String,
        /// The part.
        part: String,
    },
}

/// Why a key was not offered, or another reason for a refused login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginNote {
    /// A setting of the ssh config by which keys are not offered.
    Config(String),
    /// The agent failed.
    Agent {
        /// Its socket.
        socket: PathBuf,
        /// The cause.
        cause: String,
    },
    /// The agent did not sign with a key.
    NotSigned(String),
    /// The key file is encrypted, and the agent does not have its key.
    Encrypted(PathBuf),
    /// Other users can read the key file.
    Exposed(PathBuf),
    /// The file has no usable private key, and the agent does not have its key.
    NotPrivate(PathBuf),
    /// The key file cannot be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        cause: String,
    },
    /// The server closed the connection while keys were offered.
    TooMany,
}

impl fmt::Display for Requested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session => f.write_str("a session channel"),
            Self::Address(address) => write!(f, "a connection to {address}"),
            Self::Socket(path) => write!(f, "a connection to its socket {path}"),
        }
    }
}

impl fmt::Display for UnsupportedSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ProxyUseFdpass => f.write_str("ProxyUseFdpass"),
            Self::ProxyJump(what) => write!(f, "ProxyJump {what}"),
            Self::Value { value, part } => write!(f, "`{value}` with {part}"),
        }
    }
}

impl fmt::Display for LoginNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(text) => f.write_str(text),
            Self::Agent { socket, cause } => write!(f, "the agent at {}: {cause}", socket.display()),
            Self::NotSigned(cause) => write!(f, "the agent refused to sign: {cause}"),
            Self::Encrypted(path) => write!(f, "{} is encrypted and no agent has it", path.display()),
            Self::Exposed(path) => write!(
                f,
                "{0} is readable by others, so it is not used (fix: chmod 600 {0})",
                path.display()
            ),
            Self::NotPrivate(path) => write!(
                f,
                "{} cannot be used as a private key, and no agent has its key",
                path.display()
            ),
            Self::Unreadable { path, cause } => write!(f, "{}: {cause}", path.display()),
            Self::TooMany => f.write_str(
                "the server closed the connection: it allows only a few attempts (`MaxAuthTries`)",
            ),
        }
    }
}
