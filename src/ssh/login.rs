//! Public-key authentication with the agent's keys and key files, in the order of OpenSSH. Never a password.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::client::{AuthResult, Handle};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{Algorithm, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey};
use tokio::net::UnixStream;

use super::error::SshError;
use super::reason::LoginNote;
use super::transport::Client;

/// The keys that may be offered.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys {
    /// Key files in order, and whether each was named explicitly (else a missing file is not reported).
    pub(super) files: Vec<(PathBuf, bool)>,
    /// Socket of the agent.
    pub(super) agent: Option<PathBuf>,
    /// Whether only named keys are offered.
    pub(super) only: bool,
    /// Notes for the error message.
    pub(super) notes: Vec<LoginNote>,
}

/// Logs in with one given key.
pub(super) async fn with_key(
    handle: &mut Handle<Client>,
    target: &str,
    user: &str,
    key: &Arc<PrivateKey>,
) -> Result<(), SshError> {
    let hash = hash(handle, &key.algorithm()).await;
    let offer = PrivateKeyWithHashAlg::new(key.clone(), hash);
    match handle.authenticate_publickey(user, offer).await {
        Ok(AuthResult::Success) => Ok(()),
        Ok(AuthResult::Failure { .. }) if handle.is_closed() => Err(closed(target)),
        Ok(AuthResult::Failure { .. }) => Err(SshError::Login {
            target: target.to_owned(),
            user: user.to_owned(),
            tried: vec![format!(
                "{} {}",
                key.algorithm(),
                super::fingerprint(key.public_key())
            )],
            notes: Vec::new(),
        }),
        Err(_) => Err(closed(target)),
    }
}

fn closed(target: &str) -> SshError {
    SshError::Handshake {
        target: target.to_owned(),
        message: "the connection was closed during the login".into(),
        transient: true,
    }
}

/// Logs in with the user's keys.
pub(super) async fn with_keys(
    handle: &mut Handle<Client>,
    target: &str,
    user: &str,
    keys: Keys,
) -> Result<(), SshError> {
    let mut attempt = Attempt {
        handle,
        user,
        tried: Vec::new(),
        notes: keys.notes.clone(),
    };
    if attempt.all(&keys).await {
        return Ok(());
    }
    let Attempt {
        tried,
        mut notes,
        handle,
        ..
    } = attempt;
    if handle.is_closed() {
        if tried.is_empty() {
            return Err(closed(target));
        }
        notes.push(LoginNote::TooMany);
    }
    Err(SshError::Login {
        target: target.to_owned(),
        user: user.to_owned(),
        tried,
        notes,
    })
}

struct Attempt<'a> {
    handle: &'a mut Handle<Client>,
    user: &'a str,
    tried: Vec<String>,
    notes: Vec<LoginNote>,
}

impl Attempt<'_> {
    async fn all(&mut self, keys: &Keys) -> bool {
        let publics: Vec<Option<PublicKey>> = keys.files.iter().map(|(path, _)| public_half(path)).collect();
        let mut offered = Vec::new();
        if let Some(socket) = &keys.agent {
            match self.agent(socket, &publics, keys.only, &mut offered).await {
                Ok(true) => return true,
                Ok(false) => {}
                Err(cause) => self.notes.push(LoginNote::Agent {
                    socket: socket.clone(),
                    cause,
                }),
            }
        }
        for ((path, named), public) in keys.files.iter().zip(&publics) {
            if self.handle.is_closed() {
                return false;
            }
            if public.as_ref().is_some_and(|p| offered.contains(p.key_data())) {
                continue;
            }
            if !named && !path.exists() {
                continue;
            }
            match load(path) {
                Ok(key) => {
                    if self.file(path, Arc::new(key)).await {
                        return true;
                    }
                }
                Err(note) => self.notes.push(note),
            }
        }
        false
    }

    async fn file(&mut self, path: &Path, key: Arc<PrivateKey>) -> bool {
        let hash = hash(self.handle, &key.algorithm()).await;
        self.tried.push(path.display().to_string());
        let offer = PrivateKeyWithHashAlg::new(key, hash);
        matches!(
            self.handle.authenticate_publickey(self.user, offer).await,
            Ok(AuthResult::Success)
        )
    }

    /// Named keys of the agent come first, in the order of the names.
    async fn agent(
        &mut self,
        socket: &Path,
        named: &[Option<PublicKey>],
        only: bool,
        offered: &mut Vec<russh::keys::ssh_key::public::KeyData>,
    ) -> Result<bool, String> {
        let stream = UnixStream::connect(socket)
            .await
            .map_err(|error| error.to_string())?;
        let mut agent = AgentClient::connect(stream);
        if let Some(binding) = self.handle.agent_session_binding() {
            // Agents other than OpenSSH's may refuse this, which is fine.
            let _ = agent.bind_session(binding, false).await;
        }
        let held = agent
            .request_identities()
            .await
            .map_err(|error| error.to_string())?;
        let mut keys: Vec<(usize, PublicKey, String)> = Vec::new();
        for identity in held {
            let AgentIdentity::PublicKey { key, comment } = identity else {
                continue;
            };
            let same = |n: &Option<PublicKey>| n.as_ref().is_some_and(|n| n.key_data() == key.key_data());
            match named.iter().position(same) {
                Some(rank) => keys.push((rank, key, comment)),
                None if only => {}
                None => keys.push((usize::MAX, key, comment)),
            }
        }
        keys.sort_by_key(|(rank, ..)| *rank);
        for (_, key, comment) in keys {
            if self.handle.is_closed() {
                return Ok(false);
            }
            let hash = hash(self.handle, &key.algorithm()).await;
            self.tried
                .push(format!("`{}` of the agent", comment.escape_debug()));
            offered.push(key.key_data().clone());
            match self
                .handle
                .authenticate_publickey_with(self.user, key, hash, &mut agent)
                .await
            {
                Ok(AuthResult::Success) => return Ok(true),
                Ok(AuthResult::Failure { .. }) => {}
                Err(error) => self.notes.push(LoginNote::NotSigned(error.to_string())),
            }
        }
        Ok(false)
    }
}

/// RSA keys sign with SHA-2: with the variant that the server announces, else with SHA-512.
async fn hash(handle: &Handle<Client>, algorithm: &Algorithm) -> Option<HashAlg> {
    if !matches!(algorithm, Algorithm::Rsa { .. }) {
        return None;
    }
    let announced = handle.best_supported_rsa_hash().await.ok().flatten().flatten();
    Some(announced.unwrap_or(HashAlg::Sha512))
}

/// The public half of a key file, which is readable even if the key is encrypted.
fn public_half(path: &Path) -> Option<PublicKey> {
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    let beside = fs::read_to_string(name)
        .ok()
        .and_then(|text| PublicKey::from_openssh(text.trim()).ok());
    beside.or_else(|| {
        let text = fs::read_to_string(path).ok()?;
        // `IdentityFile` may name a public key whose private half the agent has.
        PublicKey::from_openssh(text.trim()).ok().or_else(|| {
            PrivateKey::from_openssh(&text)
                .ok()
                .map(|key| key.public_key().clone())
        })
    })
}

fn load(path: &Path) -> Result<PrivateKey, LoginNote> {
    let unreadable = |cause: String| LoginNote::Unreadable {
        path: path.to_owned(),
        cause,
    };
    let meta = fs::metadata(path).map_err(|error| unreadable(error.to_string()))?;
    if meta.mode() & 0o077 != 0 && meta.uid() == nix::unistd::getuid().as_raw() {
        return Err(LoginNote::Exposed(path.to_owned()));
    }
    match russh::keys::load_secret_key(path, None) {
        Ok(key) if key.is_encrypted() => Err(LoginNote::Encrypted(path.to_owned())),
        Ok(key) => Ok(key),
        Err(russh::keys::Error::KeyIsEncrypted) => Err(LoginNote::Encrypted(path.to_owned())),
        Err(_) if public_half(path).is_some() => Err(LoginNote::NotPrivate(path.to_owned())),
        Err(error) => Err(unreadable(error.to_string())),
    }
}
