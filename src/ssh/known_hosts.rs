//! The known host keys: the files of `known_hosts(5)` (see sshd(8)), read-only except for `accept-new`.
//! Checks keys; makes no connection.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use hmac::{Hmac, KeyInit, Mac};
use russh::keys::ssh_key::known_hosts::HostPatterns;
use russh::keys::{Algorithm, HashAlg, PublicKey};
use sha1::Sha1;

use super::pattern;

/// The beginning of a binary list of revoked keys (PROTOCOL.krl of OpenSSH).
const KRL: &[u8] = b"SSHKRL\n\0";

/// A host key that is not trusted.
#[derive(Debug, thiserror::Error)]
pub enum HostKeyError {
    /// No key of the host is known.
    #[error("the host key of {host} is not known: {algorithm} {fingerprint}")]
    Unknown {
        /// The name looked up.
        host: String,
        /// Its algorithm.
        algorithm: String,
        /// Fingerprint, SHA256.
        fingerprint: String,
        /// The commands that accept it.
        accept: String,
    },
    /// Another key of the same algorithm is known.
    #[error(
        "the host key of {host} changed: {}:{line} has {old}, the host shows {new}; \
         possible man-in-the-middle attack, or the host was reinstalled", file.display()
    )]
    Changed {
        /// The name looked up.
        host: String,
        /// The file with the old key.
        file: PathBuf,
        /// Line there.
        line: usize,
        /// Old fingerprint.
        old: String,
        /// New fingerprint.
        new: String,
    },
    /// The key is marked as revoked.
    #[error("the host key of {host} ({fingerprint}) is revoked by {}:{line}", file.display())]
    Revoked {
        /// The name looked up.
        host: String,
        /// Fingerprint.
        fingerprint: String,
        /// The file that revokes it.
        file: PathBuf,
        /// Line there.
        line: usize,
    },
    /// Only a certificate authority is known for the host.
    #[error("{host} is known by a certificate authority only ({}:{line}); host certificates are not supported", file.display())]
    Authority {
        /// The name looked up.
        host: String,
        /// Where.
        file: PathBuf,
        /// Line there.
        line: usize,
    },
    /// A node shows another key than the one that we generated for it.
    #[error(
        "{node} shows the host key {got}, not the one that it was given ({expected}): another machine uses \
         its address, or this is a man-in-the-middle attack, or the node generated a new key"
    )]
    Pinned {
        /// The node.
        node: String,
        /// Ours.
        expected: String,
        /// Theirs.
        got: String,
    },
    /// A file cannot be read or written.
    #[error("cannot use the file of host keys {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

impl HostKeyError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown { accept, .. } => Some(format!(
                "compare the fingerprint with the host's own, then accept it: {accept}"
            )),
            Self::Changed { file, host, .. } => Some(format!(
                "nothing was sent to it. Compare with the host's own (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub, on \
                 its console); if the new key is right: ssh-keygen -f {} -R {}",
                crate::base::shell::quote(&file.to_string_lossy()),
                crate::base::shell::quote(host)
            )),
            Self::Authority { .. } => Some("add a plain host key line for it".into()),
            Self::Pinned { .. } => {
                Some(
                    "nothing was sent to it. `vcluster console` connects to the node itself; if its key was lost there, remove \
                     the node and run `vcluster up` to recreate it; if not, find out which machine uses its address"
                        .into(),
                )
            }
            Self::Revoked { file, line, .. } => Some(format!(
                "nothing was sent to it. Give the host a new key, or delete line {line} of {} if the key is trusted",
                file.display()
            )),
            Self::File { .. } => Some("check the owner, permissions and content of this file".into()),
        }
    }
}

/// What to do with a host without a known key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strictness {
    /// Fail.
    #[default]
    Strict,
    /// Store its key and trust it from then on. A changed key is still an error.
    AcceptNew,
}

/// A query about one host.
#[derive(Clone, Debug)]
pub struct KnownHosts {
    /// The name in the files: an alias, a name, or `[name]:port`.
    pub entry: String,
    /// The files, in order; a new key is written to the first.
    pub files: Vec<PathBuf>,
    /// Files with keys that are never accepted, one on each line (`RevokedHostKeys`).
    pub revoked: Vec<PathBuf>,
    /// What to do with an unknown host.
    pub strictness: Strictness,
    /// The command with which OpenSSH asks about the key.
    pub accept: String,
}

/// The name under which OpenSSH stores a host.
pub(super) fn entry_name(host: &str, port: u16) -> String {
    let host = host.to_lowercase();
    if port == 22 {
        host
    } else {
        format!("[{host}]:{port}")
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Marker {
    None,
    Revoked,
    Authority,
}

/// A line about the host.
pub(super) struct Entry {
    file: PathBuf,
    line: usize,
    marker: Marker,
    key: PublicKey,
}

impl KnownHosts {
    /// The algorithms of the known keys, to be requested first: a host with a known RSA key must not
    /// look unknown because it prefers to show an Ed25519 key.
    pub fn known_algorithms(&self) -> Result<Vec<Algorithm>, HostKeyError> {
        let entries = self.entries()?;
        Ok(entries
            .into_iter()
            .filter(|e| e.marker == Marker::None)
            .map(|e| e.key.algorithm())
            .collect())
    }

    /// Checks a key.
    pub fn check(&self, key: &PublicKey) -> Result<(), HostKeyError> {
        for file in &self.revoked {
            self.check_revoked(file, key)?;
        }
        self.check_against(self.entries()?, key)
    }

    /// Fails if the key is in a file of revoked keys, or if that cannot be read, as in OpenSSH.
    fn check_revoked(&self, file: &Path, key: &PublicKey) -> Result<(), HostKeyError> {
        let unusable = |source| HostKeyError::File {
            path: file.to_owned(),
            source,
        };
        let bytes = fs::read(file).map_err(unusable)?;
        if bytes.starts_with(KRL) {
            let why = "it is a binary list of revoked keys, which is not supported";
            return Err(unusable(io::Error::other(why)));
        }
        let text = String::from_utf8_lossy(&bytes);
        let is_it = |line: &str| {
            PublicKey::from_openssh(line.trim()).is_ok_and(|revoked| revoked.key_data() == key.key_data())
        };
        match text.lines().position(is_it) {
            Some(number) => Err(HostKeyError::Revoked {
                host: self.entry.clone(),
                fingerprint: fingerprint(key),
                file: file.to_owned(),
                line: number + 1,
            }),
            None => Ok(()),
        }
    }

    /// Checks a key against the known entries.
    pub(super) fn check_against(&self, entries: Vec<Entry>, key: &PublicKey) -> Result<(), HostKeyError> {
        let same = |entry: &&Entry| entry.key.key_data() == key.key_data();
        if let Some(entry) = entries.iter().filter(|e| e.marker == Marker::Revoked).find(same) {
            return Err(HostKeyError::Revoked {
                host: self.entry.clone(),
                fingerprint: fingerprint(key),
                file: entry.file.clone(),
                line: entry.line,
            });
        }
        let plain: Vec<&Entry> = entries.iter().filter(|e| e.marker == Marker::None).collect();
        if plain.iter().copied().any(|entry| same(&entry)) {
            return Ok(());
        }
        // For OpenSSH a key of another algorithm decides nothing. For `accept-new` it counts as a
        // change: a host with a known key is not new.
        let changed = plain.iter().find(|e| e.key.algorithm() == key.algorithm());
        let other = plain.first().filter(|_| self.strictness == Strictness::AcceptNew);
        if let Some(entry) = changed.or(other) {
            return Err(HostKeyError::Changed {
                host: self.entry.clone(),
                file: entry.file.clone(),
                line: entry.line,
                old: fingerprint(&entry.key),
                new: fingerprint(key),
            });
        }
        if self.strictness == Strictness::AcceptNew {
            return self.learn(key);
        }
        if let Some(entry) = entries.iter().find(|e| e.marker == Marker::Authority) {
            return Err(HostKeyError::Authority {
                host: self.entry.clone(),
                file: entry.file.clone(),
                line: entry.line,
            });
        }
        Err(HostKeyError::Unknown {
            host: self.entry.clone(),
            algorithm: key.algorithm().to_string(),
            fingerprint: fingerprint(key),
            accept: self.accept.clone(),
        })
    }

    fn entries(&self) -> Result<Vec<Entry>, HostKeyError> {
        let mut found = Vec::new();
        for path in &self.files {
            let text = match fs::read(path) {
                Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => {
                    return Err(HostKeyError::File {
                        path: path.clone(),
                        source,
                    });
                }
            };
            found.extend(entries_of(&text, &self.entry).into_iter().map(|entry| Entry {
                file: path.clone(),
                ..entry
            }));
        }
        Ok(found)
    }

    fn learn(&self, key: &PublicKey) -> Result<(), HostKeyError> {
        // Many hosts may be new at once: their lines must not interleave.
        static WRITING: Mutex<()> = Mutex::new(());
        let _writing = WRITING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Some(path) = self.files.first() else {
            return Err(HostKeyError::Unknown {
                host: self.entry.clone(),
                algorithm: key.algorithm().to_string(),
                fingerprint: fingerprint(key),
                accept: self.accept.clone(),
            });
        };
        let at_fault = |source| HostKeyError::File {
            path: path.clone(),
            source,
        };
        append(path, &self.entry, key).map_err(at_fault)
    }
}

fn append(path: &Path, entry: &str, key: &PublicKey) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    }
    let open = fs::read(path).is_ok_and(|bytes| bytes.last().is_some_and(|&b| b != b'\n'));
    let plain = PublicKey::new(key.key_data().clone(), "");
    let text = plain.to_openssh().map_err(io::Error::other)?;
    let line = format!("{}{entry} {}\n", if open { "\n" } else { "" }, text.trim_end());
    let mut file = fs::OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(line.as_bytes())
}

/// The lines of a file about the host; the caller sets the file.
pub(super) fn entries_of(text: &str, host: &str) -> Vec<Entry> {
    let lines = text.lines().enumerate();
    lines
        .filter_map(|(index, line)| {
            let (marker, key) = parse(line, host)?;
            Some(Entry {
                file: PathBuf::new(),
                line: index + 1,
                marker,
                key,
            })
        })
        .collect()
}

/// One line, if it is about the host. Malformed lines are ignored, as in OpenSSH.
fn parse(line: &str, entry: &str) -> Option<(Marker, PublicKey)> {
    let mut fields = line.split_ascii_whitespace();
    let mut hosts = fields.next().filter(|field| !field.starts_with('#'))?;
    let marker = match hosts {
        "@revoked" => Marker::Revoked,
        "@cert-authority" => Marker::Authority,
        other if other.starts_with('@') => return None,
        _ => Marker::None,
    };
    if marker != Marker::None {
        hosts = fields.next()?;
    }
    let matches = match hosts.parse::<HostPatterns>().ok()? {
        HostPatterns::HashedName { salt, hash } => Hmac::<Sha1>::new_from_slice(&salt)
            .is_ok_and(|hmac| hmac.chain_update(entry).verify_slice(&hash).is_ok()),
        HostPatterns::Patterns(patterns) => {
            pattern::list_matches(patterns.iter().map(|p| p.to_lowercase()), entry)
        }
    };
    if !matches {
        return None;
    }
    let (kind, blob) = (fields.next()?, fields.next()?);
    let key = PublicKey::from_openssh(&format!("{kind} {blob}")).ok()?;
    Some((marker, key))
}

/// A key's fingerprint as `ssh-keygen -l` prints it.
pub fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}
