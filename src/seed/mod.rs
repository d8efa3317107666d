//! The NoCloud seed of a node: its configuration for the first boot, as a small vfat volume.
//!
//! Owns the texts (user-data, meta-data, network-config version 2) and the volume. Pure: no
//! I/O, no clock, no randomness; equal input gives equal bytes. cloud-init reads the three
//! texts. The micro image reads meta-data and network-config too, and unpacks `files.tar`,
//! which has the contents of user-data, so that it does not have to parse YAML.

mod archive;
mod multipart;
mod network;
mod text;
mod volume;

use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;
use russh::keys::PrivateKey;
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::KeypairData;

use crate::base::name::NodeName;
use crate::inventory::{InterfaceSpec, Mac};

pub use volume::volume;

/// Precedes the instance ID on the console once a node accepts logins.
pub const READY_MARKER: &str = "VCLUSTER-READY";

/// Precedes the reason on the console if the micro or the debian image fails to boot.
pub const FAILED_MARKER: &str = "VCLUSTER-FAILED";

/// Input for the seed of a node.
#[derive(Clone, Debug)]
pub struct SeedInput<'a> {
    /// Unique per boot identity: cloud-init configures again when it changes. Letters, digits, `.`, `_`, `-`.
    pub instance_id: &'a str,
    /// Host name.
    pub hostname: &'a NodeName,
    /// Login user; `root` on the micro image.
    pub user: &'a str,
    /// Lines for `authorized_keys`.
    pub authorized_keys: &'a [String],
    /// The node's host key: ed25519, not encrypted.
    pub host_key: &'a PrivateKey,
    /// Address with the prefix length of the subnet.
    pub address: Ipv4Net,
    /// Ethernet address that identifies the node's first interface.
    pub mac: Mac,
    /// MTU of the interface, bytes.
    pub mtu: u32,
    /// Default gateway, if it is reached through this interface.
    pub gateway: Option<Ipv4Addr>,
    /// The further interfaces, in order: `eth1`, `eth2` and so on.
    pub interfaces: &'a [InterfaceSpec],
    /// Name servers.
    pub dns: &'a [IpAddr],
    /// Whole content of `/etc/hosts`.
    pub hosts_file: &'a str,
    /// The user's own cloud-configs, each a text that begins with `#cloud-config`. They cannot override the rest.
    pub user_data: &'a [&'a str],
}

/// The files of a seed volume.
#[derive(Clone, PartialEq, Eq)]
pub struct SeedFiles {
    /// Instance id; the serial number of the volume comes from it.
    pub instance_id: String,
    /// cloud-config, as JSON (which is YAML); with cloud-configs of the user a MIME message of all of them.
    pub user_data: String,
    /// Instance id and host name.
    pub meta_data: String,
    /// Network configuration, version 2.
    pub network_config: String,
    /// For the micro image: its files as an ustar archive.
    pub files_tar: Vec<u8>,
}

// The texts contain a private key, which must not get into a log by `{:?}`.
impl std::fmt::Debug for SeedFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SeedFiles")
            .field("instance_id", &self.instance_id)
            .finish_non_exhaustive()
    }
}

/// Why a seed could not be created.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// Cannot be a plain scalar on the node.
    #[error("the instance ID `{}` contains characters other than letters, digits, `.`, `_` and `-`", .0.escape_debug())]
    InstanceId(String),
    /// Not a user name.
    #[error("`{}` is not a user name", .0.escape_debug())]
    User(String),
    /// Empty, or with a line break.
    #[error("an authorized key is not one line")]
    AuthorizedKey,
    /// Not an unencrypted ed25519 key.
    #[error("the host key of `{0}` is not an unencrypted ed25519 key")]
    HostKey(NodeName),
    /// Not an absolute path without `..`, or too long for the archive.
    #[error("the seed cannot contain the file `{}`", .0.escape_debug())]
    Path(String),
    /// Writing the volume failed.
    #[error("failed to write the seed volume")]
    Volume(#[source] std::io::Error),
}

impl SeedInput<'_> {
    /// The files of the seed.
    pub fn files(&self) -> Result<SeedFiles, SeedError> {
        self.check()?;
        Ok(SeedFiles {
            instance_id: self.instance_id.to_owned(),
            user_data: text::user_data(self)?,
            meta_data: text::meta_data(self),
            network_config: network::network_config(self),
            files_tar: self.files_tar()?,
        })
    }

    fn check(&self) -> Result<(), SeedError> {
        let plain = |text: &str| {
            !text.is_empty()
                && text.len() <= 253
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        };
        if !plain(self.instance_id) {
            return Err(SeedError::InstanceId(self.instance_id.to_owned()));
        }
        if !plain(self.user) || self.user.starts_with('-') {
            return Err(SeedError::User(self.user.to_owned()));
        }
        let one_line = |key: &String| !key.trim().is_empty() && !key.contains(['\n', '\r', '\0']);
        if !self.authorized_keys.iter().all(one_line) {
            return Err(SeedError::AuthorizedKey);
        }
        Ok(())
    }

    fn files_tar(&self) -> Result<Vec<u8>, SeedError> {
        let mut archive = archive::Archive::new();
        let mut keys = self.authorized_keys.join("\n");
        keys.push('\n');
        archive.add("/etc/hosts", 0o644, self.hosts_file.as_bytes())?;
        archive.add("/etc/dropbear/host_key", 0o600, &self.dropbear_host_key()?)?;
        archive.add("/root/.ssh/authorized_keys", 0o600, keys.as_bytes())?;
        Ok(archive.finish())
    }

    /// The host key in the format of dropbear's key files: the name, then the secret and the
    /// public half as one string of 64 bytes (`buf_put_ed25519_priv_key` of dropbear).
    fn dropbear_host_key(&self) -> Result<Vec<u8>, SeedError> {
        let KeypairData::Ed25519(pair) = self.host_key.key_data() else {
            return Err(SeedError::HostKey(self.hostname.clone()));
        };
        let name = b"ssh-ed25519";
        let mut key = Vec::with_capacity(83);
        key.extend(u32::try_from(name.len()).unwrap_or_default().to_be_bytes());
        key.extend(name);
        key.extend(64_u32.to_be_bytes());
        key.extend(pair.private.as_ref());
        key.extend(pair.public.as_ref());
        Ok(key)
    }

    /// The host key as an OpenSSH private key file.
    fn openssh_host_key(&self) -> Result<String, SeedError> {
        let refused = || SeedError::HostKey(self.hostname.clone());
        if !matches!(self.host_key.key_data(), KeypairData::Ed25519(_)) {
            return Err(refused());
        }
        let pem = self.host_key.to_openssh(LineEnding::LF).map_err(|_| refused())?;
        Ok(pem.to_string())
    }
}

#[cfg(test)]
mod tests;
