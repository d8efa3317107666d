//! The recipes, embedded so that the binary needs no other files.

use std::fs;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use super::error::ImageError;
use super::manifest::MANIFEST_VERSION;
use crate::base::digest::hex;
use sha2::{Digest as _, Sha256};

/// A recipe under `images/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipe {
    /// Kernel and small initramfs.
    Micro,
    /// Debian with systemd and cloud-init.
    Debian,
}

macro_rules! files {
    ($recipe:literal: $($name:literal),+) => {
        &[$(($name, include_str!(concat!("../../images/", $recipe, "/", $name)))),+]
    };
}

impl Recipe {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Micro => "micro",
            Self::Debian => "debian",
        }
    }

    /// Its files: name and text. `build` is the one to run.
    pub fn files(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Micro => files!("micro": "build", "init", "prune.list", "ssh-server"),
            Self::Debian => files!("debian": "build", "init"),
        }
    }

    /// Digest of all that the image depends on: 64 hex digits. Versions of packages are not
    /// part of it: a built image does not change until the user rebuilds it.
    pub fn key(self, packages: &[String]) -> String {
        let mut digest = Sha256::new();
        // Lengths before contents, so that different inputs never give the same bytes.
        let mut add = |text: &str| {
            digest.update((text.len() as u64).to_be_bytes());
            digest.update(text);
        };
        add(&format!(
            "vcluster image {MANIFEST_VERSION} {} {}",
            self.name(),
            std::env::consts::ARCH
        ));
        for (name, text) in self.files() {
            add(name);
            add(text);
        }
        let mut packages: Vec<&str> = packages.iter().map(String::as_str).collect();
        packages.sort_unstable();
        packages.dedup();
        for package in packages {
            add(package);
        }
        hex(&digest.finalize())
    }

    /// Writes the files into a fresh directory.
    pub(super) fn write_to(self, dir: &Path) -> Result<(), ImageError> {
        fs::create_dir_all(dir).map_err(ImageError::io("create", dir))?;
        for (name, text) in self.files() {
            let path = dir.join(name);
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o755)
                .open(&path)
                .map_err(ImageError::io("create", &path))?;
            std::io::Write::write_all(&mut file, text.as_bytes())
                .and_then(|()| file.set_permissions(fs::Permissions::from_mode(0o755)))
                .map_err(ImageError::io("write", &path))?;
        }
        Ok(())
    }
}
