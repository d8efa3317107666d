//! The SSH transport: algorithms, limits, the handshake and the check of the host key.
//! The given check decides whether a key is accepted.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use russh::client::{self, ChannelOpenHandle, DisconnectReason, Handle, Msg};
use russh::keys::{Algorithm, PublicKey, PublicKeyOrCertificate};
use russh::{Channel, Names, Preferred, SshId, cipher, kex};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::cuttable::Cuttable;
use super::error::SshError;
use super::known_hosts::{HostKeyError, KnownHosts, fingerprint};

/// How the host key is checked.
pub(super) enum KeyCheck {
    /// Against the known hosts files.
    Known {
        known: KnownHosts,
        /// The names of the algorithms that the user allows; none: all.
        algorithms: Vec<String>,
    },
    /// It must be this one.
    Pinned { node: String, key: PublicKey },
}

impl KeyCheck {
    fn verify(&self, key: &PublicKey) -> Result<(), HostKeyError> {
        match self {
            Self::Known { known, .. } => known.check(key),
            Self::Pinned { key: pinned, .. } if pinned.key_data() == key.key_data() => Ok(()),
            Self::Pinned { node, key: pinned } => Err(HostKeyError::Pinned {
                node: node.clone(),
                expected: fingerprint(pinned),
                got: fingerprint(key),
            }),
        }
    }

    /// The key algorithms to request first.
    fn algorithms(&self) -> Result<Vec<Algorithm>, HostKeyError> {
        match self {
            Self::Known { known, .. } => known.known_algorithms(),
            Self::Pinned { key, .. } => Ok(vec![key.algorithm()]),
        }
    }

    /// Whether the user allows an algorithm.
    fn allows(&self, algorithm: &Algorithm) -> bool {
        match self {
            Self::Known { algorithms, .. } if !algorithms.is_empty() => {
                algorithms.iter().any(|name| name == algorithm.as_str())
            }
            Self::Known { .. } | Self::Pinned { .. } => true,
        }
    }
}

/// State that the handler shares with the session.
#[derive(Default)]
pub(super) struct Shared {
    refused: Mutex<Option<HostKeyError>>,
    reason: Mutex<Option<String>>,
    dropbear: AtomicBool,
    /// Ends the connection at once, whatever it waits for.
    pub(super) cut: CancellationToken,
}

impl Shared {
    /// Why the connection ended, once it has.
    pub(super) fn reason(&self) -> Option<String> {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether commands must run one at a time. When a command ends, Dropbear (2022.83 `check_close` in
    /// common-channel.c) closes any open session channel of the connection that has no command yet, and
    /// may or may not run a command that is requested on it afterwards.
    pub(super) fn one_at_a_time(&self) -> bool {
        self.dropbear.load(Ordering::Relaxed)
    }
}

/// The handler that russh calls.
pub(super) struct Client {
    check: KeyCheck,
    shared: Arc<Shared>,
}

impl client::Handler for Client {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        // No certificate algorithm is offered, so no certificate is expected; if one arrives, its key is checked.
        match self.check.verify(&shown.public_key()) {
            Ok(()) => Ok(true),
            Err(error) => {
                *self.shared.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                Ok(false)
            }
        }
    }

    async fn kex_done(
        &mut self,
        _secret: Option<&[u8]>,
        _names: &Names,
        session: &mut client::Session,
    ) -> Result<(), russh::Error> {
        let dropbear = session
            .remote_sshid()
            .windows(8)
            .any(|part| part.eq_ignore_ascii_case(b"dropbear"));
        self.shared.dropbear.store(dropbear, Ordering::Relaxed);
        Ok(())
    }

    // Nothing is forwarded to us, so no server has a reason to open a channel. By default russh accepts them, and
    // a hostile node could use memory without limit. Dropping the reply refuses the channel.

    async fn server_channel_open_session(
        &mut self,
        _: Channel<Msg>,
        _: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), russh::Error> {
        Ok(())
    }

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), russh::Error> {
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), russh::Error> {
        Ok(())
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        _: Channel<Msg>,
        _: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), russh::Error> {
        Ok(())
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), russh::Error> {
        Ok(())
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), russh::Error> {
        Ok(())
    }

    async fn server_channel_open_x11(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), russh::Error> {
        Ok(())
    }

    async fn disconnected(&mut self, reason: DisconnectReason<russh::Error>) -> Result<(), russh::Error> {
        let text = match &reason {
            DisconnectReason::ReceivedDisconnect(info) if info.message.is_empty() => {
                "the remote side ended it".to_owned()
            }
            DisconnectReason::ReceivedDisconnect(info) => {
                format!("the remote side ended it: {}", info.message.escape_debug())
            }
            DisconnectReason::Error(russh::Error::Disconnect | russh::Error::HUP) => {
                "the connection was closed".to_owned()
            }
            // Cut by `monitor`, or by the kernel during a send.
            DisconnectReason::Error(russh::Error::IO(error))
                if error.kind() == std::io::ErrorKind::TimedOut =>
            {
                "the remote side stopped answering".to_owned()
            }
            DisconnectReason::Error(error) => error.to_string(),
        };
        *self.shared.reason.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
        Ok(())
    }
}

/// The window of a channel of a node.
const NODE_WINDOW: u32 = 1 << 20;

/// The two kinds of peer, which differ in some settings.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    /// A bare-metal host.
    Host,
    /// A node, which may be silent as long as its host reports that it runs.
    Node,
}

/// Packets (of 32 KiB at most, from an honest peer) that may wait for the reader of a channel.
///
/// russh renews a window when it has queued the data, not when they were read. So windows alone stop nobody. Only this
/// limit does: with so many packets, russh does nothing for the whole connection until that reader takes one. It then
/// renews no window either, so what the remote side still sends is limited by the windows of its channels.
fn waiting_packets(peer: Peer) -> usize {
    match peer {
        // A reader may be the connection of a node. If that waited to write to this connection while this one waited for
        // it to read, neither would ever continue. So the buffer must hold all that a node sends while its connection
        // reads nothing: the windows of at most 10 session channels, 1 MiB each. It does, unless the packets have less
        // than 640 bytes on average; the `Backlog` of a command makes it rare that a connection of a node waits at all.
        // Only packets that wait use memory.
        Peer::Host => 16_384,
        // All channels are commands and terminals. They depend on no other channel of the node, and a command is read
        // until its `Backlog` is full. So a small buffer (2 MiB, twice the window) costs no throughput: a command whose
        // reader is slow holds 2 MiB here and 6 MiB on its way, and everything beyond stays on the node.
        Peer::Node => 64,
    }
}

fn config(peer: Peer, check: &KeyCheck) -> Result<client::Config, HostKeyError> {
    let mut keys: Vec<Algorithm> = Vec::new();
    for algorithm in check.algorithms()? {
        // A known RSA key is requested only under its SHA-2 names.
        let rsa = matches!(algorithm, Algorithm::Rsa { .. });
        let names = Preferred::DEFAULT.key.iter().filter(|a| match a {
            Algorithm::Rsa { hash } => rsa && hash.is_some(),
            other => **other == algorithm,
        });
        keys.extend(names.cloned());
    }
    let rest = Preferred::DEFAULT
        .key
        .iter()
        .filter(|a| !matches!(a, Algorithm::Rsa { hash: None }));
    keys.extend(rest.cloned());
    let mut seen = Vec::new();
    keys.retain(|key| {
        let new = !seen.contains(key);
        seen.push(key.clone());
        new
    });
    // Where we have none of those that the user allows, the known hosts alone decide.
    if keys.iter().any(|key| check.allows(key)) {
        keys.retain(|key| check.allows(key));
    }
    Ok(client::Config {
        client_id: SshId::Standard(Cow::Borrowed(concat!(
            "SSH-2.0-vcluster_",
            env!("CARGO_PKG_VERSION")
        ))),
        window_size: match peer {
            Peer::Host => 2 << 20,
            // So all session channels of a node together stay below the buffers of the host's
            // connection: see `waiting_packets`.
            Peer::Node => NODE_WINDOW,
        },
        channel_buffer_size: waiting_packets(peer),
        preferred: Preferred {
            // Curve25519 first: the post-quantum exchange costs several times the CPU time on both
            // ends, and these sessions only live as long as a test.
            kex: Cow::Borrowed(&[
                kex::CURVE25519,
                kex::CURVE25519_PRE_RFC_8731,
                kex::ECDH_SHA2_NISTP256,
                kex::MLKEM768X25519_SHA256,
                kex::DH_G16_SHA512,
                kex::DH_G14_SHA256,
                kex::EXTENSION_SUPPORT_AS_CLIENT,
                kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
            ]),
            key: Cow::Owned(keys),
            // Measured: AES-GCM moves 1 GiB in two thirds of the time of ChaCha20. Dropbear lacks it.
            cipher: Cow::Borrowed(&[
                cipher::AES_256_GCM,
                cipher::AES_128_GCM,
                cipher::CHACHA20_POLY1305,
                cipher::AES_128_CTR,
                cipher::AES_256_CTR,
            ]),
            ..Preferred::DEFAULT
        },
        // No timeouts here: see `monitor` for hosts, and [`super::Evidence`] for nodes.
        keepalive_interval: None,
        inactivity_timeout: None,
        nodelay: true,
        ..client::Config::default()
    })
}

/// Performs the handshake over a stream and checks the host key.
pub(super) async fn handshake<S>(
    stream: S,
    target: &str,
    peer: Peer,
    check: KeyCheck,
) -> Result<(Handle<Client>, Arc<Shared>), SshError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let shared = Arc::new(Shared::default());
    let config = Arc::new(config(peer, &check)?);
    let client = Client {
        check,
        shared: shared.clone(),
    };
    let stream = Cuttable::new(stream, shared.cut.clone());
    match client::connect_stream(config, stream, client).await {
        Ok(handle) => Ok((handle, shared)),
        Err(error) => {
            let refused = shared
                .refused
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            Err(refused.map_or_else(|| explain(target, &error), SshError::from))
        }
    }
}

fn explain(target: &str, error: &russh::Error) -> SshError {
    let closed = matches!(
        error,
        russh::Error::HUP | russh::Error::Disconnect | russh::Error::IO(_) | russh::Error::SendError
    );
    SshError::Handshake {
        target: target.to_owned(),
        message: if closed {
            "the server closed the connection (its MaxStartups may be reached, or it is starting)".to_owned()
        } else {
            error.to_string()
        },
        transient: closed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Data in a packet, at most: `maximum_packet_size` of russh's default.
    const PACKET: usize = 32 << 10;

    #[test]
    fn a_node_fits_into_the_buffer_of_its_host_and_is_never_stopped_within_its_window() {
        let windows = 10 * NODE_WINDOW as usize;
        assert!(waiting_packets(Peer::Host) * 640 >= windows);
        assert!(waiting_packets(Peer::Node) * PACKET >= 2 * NODE_WINDOW as usize);
        assert_eq!(client::Config::default().maximum_packet_size as usize, PACKET);
    }
}
