//! SSH with russh: one connection per bare-metal host, one per node, all channels through these.
//! Checks host keys on both hops. Knows nothing of plans or topologies.

mod command;
mod config;
mod cuttable;
mod error;
pub mod fanout;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod host;
mod known_hosts;
mod lines;
mod login;
mod monitor;
mod node;
mod pattern;
mod pool;
mod session;
mod shell;
mod slow;
pub mod transfer;
mod transport;
mod tunnel;
mod turns;
mod way;

pub use command::Input;
pub use config::{HostSettings, SshConfig};
pub use error::SshError;
pub use known_hosts::{HostKeyError, KnownHosts, Strictness, fingerprint};
pub(crate) use node::jitter;
pub use node::{Backoff, login_with_backoff};
pub use pool::{Evidence, Nodes, Reach, SlowNodes, Via};
pub use session::{ByteStream, Bytes, ExecEvent, ExecRequest, HostTarget, NodeTarget, Output, Session};
pub use shell::{Shell, ShellRequest};
pub use slow::Waits;
pub use turns::{FANOUT, Load, Turn};
pub use way::HostWay;

/// Quotes a word for a POSIX shell.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Raises the soft limit of open files to the hard one: each node reached directly is one socket.
/// Best effort; call it once at the start.
pub fn raise_file_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::warn!("cannot raise the limit of open files above {soft}: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_word_comes_out_of_a_shell_as_it_went_in() {
        for word in [
            "", "plain", "a b", "it's", "$(x)", "`x`", "a\nb", "*", "\\", "~", "é", "a'b'c\"d",
        ] {
            let output = std::process::Command::new("sh")
                .arg("-c")
                .arg(format!("printf %s {}", quote(word)))
                .output()
                .unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
        }
    }
}
