//! Key files and certificates of the user, and signing with them or with an agent. Makes no connection to a server.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::signature::Signer as _;
use russh::keys::ssh_encoding::Encode as _;
use russh::keys::ssh_key::Signature;
use russh::keys::ssh_key::private::KeypairData;
use russh::keys::{Algorithm, Certificate, HashAlg, PrivateKey, PublicKey};
use tokio::net::UnixStream;

use super::reason::LoginNote;

/// A connection to an agent.
pub(super) type Agent = AgentClient<UnixStream>;

/// A key file with what can be read without its passphrase.
pub(super) struct KeyFile {
    pub(super) path: PathBuf,
    /// Whether it was named explicitly; else a missing file is not reported.
    pub(super) is_named: bool,
    /// Its public half, from `PATH.pub` or from the file itself.
    pub(super) public: Option<PublicKey>,
    /// The certificate beside it, `PATH-cert.pub`.
    pub(super) certificate: Option<Certificate>,
}

impl KeyFile {
    /// Reads the public parts. The certificate beside the file counts unless others are configured, as in `ssh`.
    pub(super) fn read(path: &Path, is_named: bool, with_certificate: bool) -> Self {
        Self {
            path: path.to_owned(),
            is_named,
            public: public_half(path),
            certificate: with_certificate.then(|| beside(path, "-cert.pub")).flatten(),
        }
    }
}

fn beside(path: &Path, suffix: &str) -> Option<Certificate> {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    certificate(Path::new(&name))
}

/// A certificate of a user; `None` if the file has none.
pub(super) fn certificate(path: &Path) -> Option<Certificate> {
    let certificate = Certificate::read_file(path).ok()?;
    certificate.cert_type().is_user().then_some(certificate)
}

/// The public half of a key file, which is readable even if the key is encrypted.
pub(super) fn public_half(path: &Path) -> Option<PublicKey> {
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

/// The private key of a file.
pub(super) fn load(path: &Path) -> Result<PrivateKey, LoginNote> {
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
        // The other half is in a hardware token, which only an agent can use.
        Ok(key) if is_in_token(&key.algorithm()) => Err(LoginNote::NotPrivate(path.to_owned())),
        Ok(key) => Ok(key),
        Err(russh::keys::Error::KeyIsEncrypted) => Err(LoginNote::Encrypted(path.to_owned())),
        Err(_) if public_half(path).is_some() => Err(LoginNote::NotPrivate(path.to_owned())),
        Err(error) => Err(unreadable(error.to_string())),
    }
}

fn is_in_token(algorithm: &Algorithm) -> bool {
    matches!(algorithm, Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256)
}

/// What signs for a certificate: the private key of its public half.
pub(super) enum SigningKey<'a> {
    /// In an agent, which need not have the certificate.
    Agent(&'a mut Agent, &'a PublicKey),
    /// In a file.
    File(Arc<PrivateKey>),
}

/// Why signing failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum SigningError {
    /// The connection to the server ended.
    #[error("the connection was closed")]
    Closed(#[from] russh::SendError),
    /// The agent refused, or failed.
    #[error(transparent)]
    Agent(#[from] russh::keys::Error),
    /// The key of the file cannot sign.
    #[error(transparent)]
    Key(#[from] russh::keys::ssh_key::Error),
}

impl russh::Signer for SigningKey<'_> {
    type Error = SigningError;

    async fn auth_sign(
        &mut self,
        _certificate: &AgentIdentity,
        hash: Option<HashAlg>,
        mut data: Vec<u8>,
    ) -> Result<Vec<u8>, SigningError> {
        match self {
            Self::Agent(agent, public) => {
                let identity = AgentIdentity::from((*public).clone());
                Ok(agent.sign_request(&identity, hash, data).await?)
            }
            Self::File(key) => {
                let signature = sign(key, hash, &data)?;
                // The signature follows what it signs, with its length.
                signature
                    .encode_prefixed(&mut data)
                    .map_err(russh::keys::ssh_key::Error::from)?;
                Ok(data)
            }
        }
    }
}

fn sign(
    key: &PrivateKey,
    hash: Option<HashAlg>,
    data: &[u8],
) -> Result<Signature, russh::keys::ssh_key::Error> {
    let signed: Result<Signature, russh::keys::signature::Error> = match key.key_data() {
        KeypairData::Rsa(pair) => (pair, hash).try_sign(data),
        pair => pair.try_sign(data),
    };
    signed.map_err(|_| russh::keys::ssh_key::Error::Crypto)
}
