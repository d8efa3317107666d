//! The keys of a cluster: one client key, and the nodes' host keys.
//!
//! Host keys are derived: the ed25519 secret of a node is SHA-256 of 32 random bytes
//! (`keys/host-seed`) and the node's name. So one small file is enough for all of them, and a
//! recreated node keeps its host key.

use std::sync::Arc;

use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::{Ed25519Keypair, Ed25519PrivateKey};
use russh::keys::{HashAlg, PrivateKey, PublicKey};
use sha2::{Digest, Sha256};

use super::dir::ClusterDir;
use super::error::StateError;
use crate::base::name::NodeName;

const CLIENT: &str = "keys/client";
const HOST_SEED: &str = "keys/host-seed";

/// The keys of one cluster.
#[derive(Clone)]
pub struct ClusterKeys {
    client: Arc<PrivateKey>,
    host_seed: [u8; 32],
}

impl ClusterKeys {
    /// The keys of a cluster from disk; `None` if any is missing.
    pub fn load(dir: &ClusterDir) -> Result<Option<Self>, StateError> {
        let (Some(client), Some(seed)) = (dir.read_secret(CLIENT)?, dir.read_secret(HOST_SEED)?) else {
            return Ok(None);
        };
        let client = PrivateKey::from_openssh(&client).map_err(|error| StateError::Damaged {
            path: dir.join(CLIENT),
            cause: error.to_string(),
        })?;
        let host_seed = seed.try_into().map_err(|_| StateError::Damaged {
            path: dir.join(HOST_SEED),
            cause: "its length is not 32 bytes".into(),
        })?;
        Ok(Some(Self {
            client: Arc::new(client),
            host_seed,
        }))
    }

    /// New keys; nothing is written.
    pub fn generate() -> Result<Self, StateError> {
        Ok(Self {
            client: Arc::new(key_of(random()?)),
            host_seed: random()?,
        })
    }

    /// Writes the keys, mode 0600, and the public client key beside them.
    pub fn store(&self, dir: &ClusterDir) -> Result<(), StateError> {
        let damaged = |error: russh::keys::ssh_key::Error| StateError::Damaged {
            path: dir.join(CLIENT),
            cause: error.to_string(),
        };
        dir.write(HOST_SEED, &self.host_seed)?;
        dir.write(
            "keys/client.pub",
            format!("{}\n", self.authorized_key()).as_bytes(),
        )?;
        let pem = self.client.to_openssh(LineEnding::LF).map_err(damaged)?;
        dir.write(CLIENT, pem.as_bytes())
    }

    /// The key that vcluster logs in with.
    pub fn client(&self) -> Arc<PrivateKey> {
        Arc::clone(&self.client)
    }

    /// Its line for `authorized_keys`.
    pub fn authorized_key(&self) -> String {
        // Encoding our own key cannot fail; an empty line would authorize no key.
        self.client.public_key().to_openssh().unwrap_or_default()
    }

    /// Its fingerprint, `SHA256:...`.
    pub fn fingerprint(&self) -> String {
        self.client.public_key().fingerprint(HashAlg::Sha256).to_string()
    }

    /// The private host key of a node.
    pub fn host_key(&self, node: &NodeName) -> PrivateKey {
        let digest = Sha256::new()
            .chain_update(self.host_seed)
            .chain_update(b"vcluster host key\0")
            .chain_update(node.as_str())
            .finalize();
        key_of(digest.into())
    }

    /// The public host key of a node, to pin.
    pub fn host_public_key(&self, node: &NodeName) -> PublicKey {
        self.host_key(node).public_key().clone()
    }
}

fn key_of(secret: [u8; 32]) -> PrivateKey {
    let mut key = PrivateKey::from(Ed25519Keypair::from(Ed25519PrivateKey::from_bytes(&secret)));
    key.set_comment("vcluster");
    key
}

fn random() -> Result<[u8; 32], StateError> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|error| StateError::Io {
        doing: "read random bytes for",
        path: CLIENT.into(),
        source: std::io::Error::other(error.to_string()),
    })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_from_disk_as_they_were_written() {
        let temp = tempfile::tempdir().unwrap();
        let dir = super::super::StateRoot::at(temp.path().into()).cluster(&"a".parse().unwrap());
        dir.create().unwrap();
        let made = ClusterKeys::generate().unwrap();
        made.store(&dir).unwrap();
        let read = ClusterKeys::load(&dir).unwrap().unwrap();
        let node = "n001".parse().unwrap();
        assert_eq!(made.fingerprint(), read.fingerprint());
        assert_eq!(made.host_public_key(&node), read.host_public_key(&node));
        assert_ne!(
            made.host_public_key(&node),
            read.host_public_key(&"n002".parse().unwrap())
        );
        assert!(made.authorized_key().starts_with("ssh-ed25519 "));
    }
}
