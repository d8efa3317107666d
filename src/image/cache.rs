//! The cache of built images: `KEY/` with its manifest and files, built elsewhere and
//! renamed when complete; `KEY.lock`; `KEY.log`; `debs-RECIPE/`; `digests/` of the user's files.

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use tokio_util::sync::CancellationToken;

use super::error::ImageError;
use super::manifest::{Format, MANIFEST_VERSION, Manifest, ManifestFile, Role};
use super::recipe::Recipe;
use super::{BuiltImage, ImageFile, Stamp, header};
use crate::base::text::is_lower_hex;
use crate::inventory::Firmware;
use crate::topology::CloudInitPolicy;

/// How often to check for the end of a build by another process.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// The directory of built images.
#[derive(Clone, Debug)]
pub struct Cache(PathBuf);

/// CacheLock while an image is built; released however the process ends.
#[derive(Debug)]
pub(super) struct CacheLock {
    lock: Flock<fs::File>,
}

impl CacheLock {
    /// The lock file, which is empty, as the standard input of a build: a build whose vcluster was killed holds
    /// the lock as long as it runs, so that no other build uses the same directory.
    pub(super) fn for_child(&self) -> std::io::Result<std::process::Stdio> {
        Ok(self.lock.try_clone()?.into())
    }
}

impl Cache {
    /// `$XDG_CACHE_HOME/vcluster/images`, or `~/.cache/vcluster/images` (XDG base directory specification).
    pub fn from_env() -> Result<Self, ImageError> {
        crate::base::directories::base_directory("XDG_CACHE_HOME", ".cache")
            .map(|base| Self(base.join("vcluster/images")))
            .ok_or(ImageError::NoPlace)
    }

    /// A cache in this directory.
    pub fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// The directory of the image with a key, whether or not it exists.
    pub fn image_dir(&self, key: &str) -> PathBuf {
        self.0.join(key)
    }

    /// The log of its build.
    pub(super) fn log(&self, key: &str) -> PathBuf {
        self.0.join(format!("{key}.log"))
    }

    /// The directory in which it is built.
    pub(super) fn making(&self, key: &str) -> PathBuf {
        self.0.join(format!("{key}.making"))
    }

    /// Downloaded packages.
    pub(super) fn debs(&self, recipe: Recipe) -> PathBuf {
        self.0.join(format!("debs-{}", recipe.name()))
    }

    /// Cached digests of the user's files.
    pub(super) fn digests(&self) -> PathBuf {
        self.0.join("digests")
    }

    /// The image with a key, if it exists; an error if it is incomplete.
    pub fn find(&self, name: &str, key: &str) -> Result<Option<BuiltImage>, ImageError> {
        let dir = self.image_dir(key);
        let path = dir.join("image.json");
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(ImageError::io("read", &path)(error)),
        };
        read(name, key, &dir, &text).map(Some)
    }

    /// Every complete image: its directory and manifest, by name.
    pub fn list(&self) -> Result<Vec<(PathBuf, Manifest)>, ImageError> {
        let entries = match fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(ImageError::io("read", &self.0)(error)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(ImageError::io("read", &self.0))?;
            let key = entry.file_name().to_string_lossy().into_owned();
            // Logs, locks and running builds have a dot in their names. Incomplete images are left out.
            if key.contains('.') {
                continue;
            }
            if let Ok(Some(image)) = self.find(&key, &key) {
                found.push((entry.path(), image.manifest));
            }
        }
        found.sort_by(|one, two| (&one.1.name, &one.0).cmp(&(&two.1.name, &two.0)));
        Ok(found)
    }

    /// Waits until no other process builds the image with a key.
    pub(super) async fn lock(
        &self,
        name: &str,
        key: &str,
        cancel: &CancellationToken,
    ) -> Result<CacheLock, ImageError> {
        // No other user may put an image there, whatever the umask.
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(&self.0)
            .map_err(ImageError::io("create", &self.0))?;
        let path = self.0.join(format!("{key}.lock"));
        let mut file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(ImageError::io("open", &path))?;
        loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => return Ok(CacheLock { lock }),
                Err((same, Errno::EWOULDBLOCK)) => file = same,
                Err((_, errno)) => return Err(ImageError::io("lock", &path)(errno.into())),
            }
            tokio::select! {
                () = cancel.cancelled() => return Err(ImageError::Cancelled(name.to_owned())),
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
        }
    }
}

/// Reads a manifest and checks it against the files next to it.
pub(super) fn read(name: &str, key: &str, dir: &Path, text: &[u8]) -> Result<BuiltImage, ImageError> {
    let broken = |cause: String| ImageError::Incomplete {
        image: name.to_owned(),
        path: dir.to_owned(),
        cause,
    };
    let manifest: Manifest =
        serde_json::from_slice(text).map_err(|error| broken(format!("image.json: {error}")))?;
    if manifest.format != MANIFEST_VERSION {
        return Err(broken(format!(
            "image.json has the unknown format {}",
            manifest.format
        )));
    }
    let files = manifest
        .files
        .iter()
        .map(|file| check(dir, file).map_err(broken))
        .collect::<Result<_, _>>()?;
    Ok(BuiltImage {
        name: name.to_owned(),
        key: key.to_owned(),
        manifest,
        firmware: Firmware::Bios,
        cloud_init: CloudInitPolicy::default(),
        files,
    })
}

fn check(dir: &Path, file: &ManifestFile) -> Result<ImageFile, String> {
    if file.name.contains('/') || file.name.starts_with('.') || file.name.is_empty() {
        return Err(format!("`{}` is not a file name", file.name.escape_debug()));
    }
    if file.sha256.len() != 64 || !is_lower_hex(&file.sha256) {
        return Err(format!("the digest of {} is malformed", file.name));
    }
    let path = dir.join(&file.name);
    // Length only: reading hundreds of megabytes at each start costs too much.
    // The digest is checked when the file is uploaded to a host.
    let metadata = fs::metadata(&path).map_err(|error| format!("{}: {error}", file.name))?;
    let size = metadata.len();
    if size != file.size {
        return Err(format!("{} has {size} bytes instead of {}", file.name, file.size));
    }
    let virtual_size = match (file.role, file.format) {
        (Role::Disk, Format::Qcow2) => Some(
            header::header(&path)
                .map_err(|error| format!("{}: {error}", file.name))?
                .1,
        ),
        (Role::Disk, Format::Raw) => Some(size),
        _ => None,
    };
    Ok(ImageFile {
        role: file.role,
        path,
        sha256: file.sha256.clone(),
        size,
        format: file.format,
        stamp: Stamp::of(&metadata),
        virtual_size,
        // The disks of built-in images have no boot code: QEMU loads their kernel.
        firmware: Firmware::Bios,
    })
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;

    use super::*;

    #[tokio::test]
    async fn a_build_keeps_the_lock_of_a_vcluster_that_was_killed() {
        let temp = tempfile::tempdir().unwrap();
        let cache = Cache(temp.path().to_owned());
        let held = cache.lock("i", "key", &CancellationToken::new()).await.unwrap();
        let mut build = std::process::Command::new("sleep")
            .arg("60")
            .stdin(held.for_child().unwrap())
            .spawn()
            .unwrap();
        // Like a kill: our descriptor is closed without unlocking.
        let file = std::mem::ManuallyDrop::new(held.lock);
        nix::unistd::close(file.as_raw_fd()).unwrap();
        let now = CancellationToken::new();
        now.cancel();
        assert!(cache.lock("i", "key", &now).await.is_err());
        build.kill().unwrap();
        build.wait().unwrap();
        assert!(cache.lock("i", "key", &CancellationToken::new()).await.is_ok());
    }
}
