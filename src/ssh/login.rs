//! Public-key authentication with the agent's keys, key files and certificates, in the order of OpenSSH
//! (`pubkey_prepare` in sshconnect2.c). Never a password.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::client::{AuthResult, Handle};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Algorithm, Certificate, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey};
use tokio::net::UnixStream;

use super::error::SshError;
use super::keys::{self, Agent, KeyFile, SigningKey};
use super::reason::LoginNote;
use super::transport::Client;

/// The keys that may be offered.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys {
    /// The key file that the topology names: offered before everything else.
    pub(super) first: Option<PathBuf>,
    /// The other key files in order, and whether each was named explicitly (else a missing file is not reported).
    pub(super) files: Vec<(PathBuf, bool)>,
    /// Files with certificates. Without any, those beside the key files count.
    pub(super) certificates: Vec<PathBuf>,
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
    keys: &Keys,
) -> Result<(), SshError> {
    let mut attempt = Attempt {
        handle,
        user,
        tried: Vec::new(),
        notes: keys.notes.clone(),
        agent: None,
        held: Vec::new(),
        offered: Vec::new(),
        certified: Vec::new(),
    };
    if attempt.all(keys).await {
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
    /// What was offered, for the error.
    tried: Vec<String>,
    notes: Vec<LoginNote>,
    agent: Option<Agent>,
    /// What the agent has.
    held: Vec<AgentIdentity>,
    /// The keys that were offered already.
    offered: Vec<KeyData>,
    /// The certificates that were offered already.
    certified: Vec<Certificate>,
}

impl Attempt<'_> {
    async fn all(&mut self, keys: &Keys) -> bool {
        let beside = keys.certificates.is_empty();
        let mut files = Vec::new();
        if let Some(path) = &keys.first {
            files.push(KeyFile::read(path, true, beside));
        }
        let configured = keys.files.iter();
        files.extend(configured.map(|(path, is_named)| KeyFile::read(path, *is_named, beside)));
        if let Some(socket) = &keys.agent
            && let Err(cause) = self.open(socket).await
        {
            self.notes.push(LoginNote::Agent {
                socket: socket.clone(),
                cause,
            });
        }
        if keys.first.is_some() && self.file(0, &files).await {
            return true;
        }
        for path in &keys.certificates {
            if self.certificate_file(path, &files).await {
                return true;
            }
        }
        if self.agent(keys.only, &files).await {
            return true;
        }
        for number in usize::from(keys.first.is_some())..files.len() {
            if self.file(number, &files).await {
                return true;
            }
        }
        false
    }

    /// Connects to the agent and asks what it has.
    async fn open(&mut self, socket: &Path) -> Result<(), String> {
        let stream = UnixStream::connect(socket)
            .await
            .map_err(|error| error.to_string())?;
        let mut agent = AgentClient::connect(stream);
        if let Some(binding) = self.handle.agent_session_binding() {
            // Agents other than OpenSSH's may refuse this, which is fine.
            let _ = agent.bind_session(binding, false).await;
        }
        let held = agent.request_identities().await;
        self.held = held.map_err(|error| error.to_string())?;
        self.agent = Some(agent);
        Ok(())
    }

    /// What the agent has: first what the files name, then the rest, each in the agent's own order.
    async fn agent(&mut self, only: bool, files: &[KeyFile]) -> bool {
        let (named, others): (Vec<_>, Vec<_>) = self
            .held
            .clone()
            .into_iter()
            .partition(|identity| files.iter().any(|file| names(file, identity)));
        let others = if only { Vec::new() } else { others };
        for identity in named.into_iter().chain(others) {
            if self.identity(&identity).await {
                return true;
            }
        }
        false
    }

    /// A key or a certificate of the agent.
    async fn identity(&mut self, identity: &AgentIdentity) -> bool {
        let Some(agent) = &mut self.agent else {
            return false;
        };
        let is_known = match identity {
            AgentIdentity::PublicKey { key, .. } => self.offered.contains(key.key_data()),
            AgentIdentity::Certificate { certificate, .. } => self.certified.contains(certificate),
        };
        if is_known || self.handle.is_closed() {
            return false;
        }
        let result = match identity {
            AgentIdentity::PublicKey { key, comment } => {
                let hash = hash(self.handle, &key.algorithm()).await;
                self.tried
                    .push(format!("`{}` of the agent", comment.escape_debug()));
                self.offered.push(key.key_data().clone());
                let user = self.user;
                let offer = self
                    .handle
                    .authenticate_publickey_with(user, key.clone(), hash, agent);
                offer.await
            }
            AgentIdentity::Certificate { certificate, comment } => {
                let hash = hash(self.handle, &certificate.algorithm()).await;
                let comment = comment.escape_debug();
                self.tried
                    .push(format!("the certificate `{comment}` of the agent"));
                self.certified.push(certificate.clone());
                let user = self.user;
                let offer = self
                    .handle
                    .authenticate_certificate_with(user, certificate.clone(), hash, agent);
                offer.await
            }
        };
        match result {
            Ok(AuthResult::Success) => true,
            Ok(AuthResult::Failure { .. }) => false,
            Err(error) => {
                self.notes.push(LoginNote::NotSigned(error.to_string()));
                false
            }
        }
    }

    /// The key of a file, signed by the agent if that has it, then the certificate beside it.
    async fn file(&mut self, number: usize, files: &[KeyFile]) -> bool {
        let file = &files[number];
        if let Some(public) = &file.public
            && let Some(identity) = self.in_agent(public.key_data())
            && self.identity(&identity).await
        {
            return true;
        }
        if self.handle.is_closed() {
            return false;
        }
        let is_offered = |public: &PublicKey| self.offered.contains(public.key_data());
        let is_done = file.public.as_ref().is_some_and(is_offered);
        let is_absent = !file.is_named && !file.path.exists();
        if !is_done && !is_absent {
            match keys::load(&file.path) {
                Ok(key) => {
                    if self.private(&file.path, Arc::new(key)).await {
                        return true;
                    }
                }
                Err(note) => self.notes.push(note),
            }
        }
        match &file.certificate {
            Some(certificate) => {
                let name = format!("the certificate of {}", file.path.display());
                self.certificate(name, certificate, files).await
            }
            None => false,
        }
    }

    async fn private(&mut self, path: &Path, key: Arc<PrivateKey>) -> bool {
        let hash = hash(self.handle, &key.algorithm()).await;
        self.tried.push(path.display().to_string());
        self.offered.push(key.public_key().key_data().clone());
        let offer = PrivateKeyWithHashAlg::new(key, hash);
        matches!(
            self.handle.authenticate_publickey(self.user, offer).await,
            Ok(AuthResult::Success)
        )
    }

    async fn certificate_file(&mut self, path: &Path, files: &[KeyFile]) -> bool {
        if let Some(certificate) = keys::certificate(path) {
            return self
                .certificate(path.display().to_string(), &certificate, files)
                .await;
        }
        self.notes.push(LoginNote::Unreadable {
            path: path.to_owned(),
            cause: "no certificate of a user".into(),
        });
        false
    }

    /// A certificate, signed for with its private key, which the agent or a file has.
    async fn certificate(&mut self, name: String, certificate: &Certificate, files: &[KeyFile]) -> bool {
        if self.certified.contains(certificate) || self.handle.is_closed() {
            return false;
        }
        let key = certificate.public_key();
        let held = self
            .in_agent(key)
            .map(|identity| identity.public_key().into_owned());
        let signer = match (&held, &mut self.agent) {
            (Some(public), Some(agent)) => Ok(SigningKey::Agent(agent, public)),
            _ => private_of(key, files).map(SigningKey::File),
        };
        let mut signer = match signer {
            Ok(signer) => signer,
            Err(note) => {
                self.notes.extend(note);
                return false;
            }
        };
        let hash = hash(self.handle, &certificate.algorithm()).await;
        self.tried.push(name);
        self.certified.push(certificate.clone());
        let user = self.user;
        let offer = self
            .handle
            .authenticate_certificate_with(user, certificate.clone(), hash, &mut signer);
        match offer.await {
            Ok(AuthResult::Success) => true,
            Ok(AuthResult::Failure { .. }) => false,
            Err(error) => {
                self.notes.push(LoginNote::NotSigned(error.to_string()));
                false
            }
        }
    }

    /// The plain key of the agent with this public half.
    fn in_agent(&self, public: &KeyData) -> Option<AgentIdentity> {
        let is_it = |identity: &&AgentIdentity| matches!(identity, AgentIdentity::PublicKey { key, .. } if key.key_data() == public);
        self.held.iter().find(is_it).cloned()
    }
}

/// Whether a file names what an agent has: the same key, or the same certificate.
fn names(file: &KeyFile, identity: &AgentIdentity) -> bool {
    match identity {
        AgentIdentity::PublicKey { key, .. } => {
            let public = file.public.as_ref();
            public.is_some_and(|public| public.key_data() == key.key_data())
        }
        AgentIdentity::Certificate { certificate, .. } => file.certificate.as_ref() == Some(certificate),
    }
}

/// The private key with this public half, from the files; else why there is none, if that was not said already.
fn private_of(public: &KeyData, files: &[KeyFile]) -> Result<Arc<PrivateKey>, Option<LoginNote>> {
    let has_it = |file: &&KeyFile| file.public.as_ref().is_some_and(|own| own.key_data() == public);
    let file = files.iter().find(has_it).ok_or(None::<LoginNote>)?;
    keys::load(&file.path).map(Arc::new).map_err(Some)
}

/// RSA keys sign with SHA-2: with the variant that the server announces, else with SHA-512.
async fn hash(handle: &Handle<Client>, algorithm: &Algorithm) -> Option<HashAlg> {
    if !matches!(algorithm, Algorithm::Rsa { .. }) {
        return None;
    }
    let announced = handle.best_supported_rsa_hash().await.ok().flatten().flatten();
    Some(announced.unwrap_or(HashAlg::Sha512))
}
