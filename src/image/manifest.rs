//! `image.json`: a recipe's description of the image that it built, documented in docs/images.md.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::ImageFile;

/// Version of the manifest's format, and part of every image's key.
pub const MANIFEST_VERSION: u32 = 1;

/// How an image boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Kernel and initramfs, no disk.
    Kernel,
    /// A disk with cloud-init, and optionally kernel and initramfs.
    Disk,
}

/// What a file of an image is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Kernel for a direct boot.
    Kernel,
    /// Its initramfs.
    Initrd,
    /// The disk that overlays back on.
    Disk,
}

impl Role {
    /// Its name, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Initrd => "initrd",
            Self::Disk => "disk",
        }
    }
}

/// Format of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Plain bytes.
    Raw,
    /// QEMU copy-on-write, version 2 or 3.
    Qcow2,
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
        })
    }
}

/// A file of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestFile {
    /// What it is for.
    pub role: Role,
    /// Its name, in the directory of the manifest.
    pub name: String,
    /// Its format.
    pub format: Format,
    /// Digest, 64 lower-case hex digits.
    pub sha256: String,
    /// Length in bytes.
    pub size: u64,
}

/// A Debian package in an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
}

/// What an image is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`MANIFEST_VERSION`].
    pub format: u32,
    /// Recipe, or the name of the user's file.
    pub name: String,
    /// How it boots.
    pub kind: Kind,
    /// Debian's name of the architecture.
    pub arch: String,
    /// Kernel command line for a direct boot.
    pub cmdline: String,
    /// Whether it prints the READY line on its console.
    pub ready_marker: bool,
    /// Login user; empty if the topology must set it.
    pub user: String,
    /// Minimum memory for a boot, MiB.
    pub minimum_memory_mib: u64,
    /// Its files.
    pub files: Vec<ManifestFile>,
    /// The Debian packages in it, with versions.
    pub packages: Vec<Package>,
}

impl Manifest {
    /// The manifest of a user's disk image.
    pub(super) fn of_file(path: &Path, file: &ImageFile, user: String) -> Self {
        let name = path
            .file_name()
            .unwrap_or(path.as_os_str())
            .to_string_lossy()
            .into_owned();
        Self {
            format: MANIFEST_VERSION,
            name: name.clone(),
            kind: Kind::Disk,
            arch: "amd64".into(),
            cmdline: String::new(),
            // Its cloud-init prints the line too, but perhaps on another console.
            ready_marker: false,
            user,
            minimum_memory_mib: 0,
            files: vec![ManifestFile {
                role: Role::Disk,
                name,
                format: file.format,
                sha256: file.sha256.clone(),
                size: file.size,
            }],
            packages: Vec::new(),
        }
    }
}
