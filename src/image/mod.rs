//! Images: built from the recipes under `images/`, or disk images of the user.
//!
//! Owns the recipes (embedded in the binary), the cache of built images and the digests of
//! the user's files. Must not use hosts: `host` uploads images.

mod boot;
mod build;
mod cache;
mod error;
mod file;
mod header;
mod manifest;
mod qcow2;
mod recipe;

use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

pub use cache::Cache;
pub use error::ImageError;
pub use manifest::{Format, Kind, MANIFEST_VERSION, Manifest, ManifestFile, Package, Role};
pub use recipe::Recipe;

use crate::base::event::Events;
use crate::base::waiting;
use crate::inventory::Firmware;
use crate::plan::ImageFacts;
use crate::topology::{BootFirmware, CloudInitPolicy, Image, ImageSource};

/// Reads the head of a disk image, for the fuzzer.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz_header(path: &std::path::Path) {
    if let Ok((format, _)) = header::header(path) {
        let _ = boot::detect(path, format);
    }
}

/// Options of a build.
#[derive(Clone, Debug, Default)]
pub struct BuildOptions {
    /// Build even if the cache has it.
    pub rebuild: bool,
    /// Stops the build and everything it started.
    pub cancel: CancellationToken,
    /// The cache; the one in the user's cache directory if absent.
    pub cache: Option<Cache>,
}

/// The state of a file when its digest was computed: size, modification time, inode and device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp(String);

impl Stamp {
    /// The stamp of a file.
    pub(crate) fn of(metadata: &std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        Self(format!(
            "{} {}.{:09} {} {}",
            metadata.len(),
            metadata.mtime(),
            metadata.mtime_nsec(),
            metadata.ino(),
            metadata.dev()
        ))
    }

    /// As `stat -c '%s %.9Y %i %d'` of GNU prints it.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A file of an image, on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFile {
    /// What it is for.
    pub role: Role,
    /// Where it is.
    pub path: PathBuf,
    /// Digest, 64 lower-case hex digits.
    pub sha256: String,
    /// Length in bytes.
    pub size: u64,
    /// Its format.
    pub format: Format,
    /// Its state when its digest was computed, or when it was found in the cache.
    pub stamp: Stamp,
    /// Size in bytes of the disk that the guest sees; `None` for files that are not a disk.
    pub virtual_size: Option<u64>,
    /// What its own boot code needs; the BIOS for files that are not a disk.
    pub firmware: Firmware,
}

/// An image that can be uploaded to hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltImage {
    /// Name of the image in the topology.
    pub name: String,
    /// Its key, as in its [`ImageFacts`].
    pub key: String,
    /// What it is.
    pub manifest: Manifest,
    /// What boots its disk, as the topology chooses.
    pub firmware: Firmware,
    /// What an error of its cloud-init means.
    pub cloud_init: CloudInitPolicy,
    /// Its files.
    pub files: Vec<ImageFile>,
}

impl BuiltImage {
    /// Whether the guest prints `VCLUSTER-READY INSTANCE-ID` on its console when it accepts logins.
    pub fn has_ready_marker(&self) -> bool {
        self.manifest.ready_marker
    }

    /// Whether cloud-init configures the guest.
    pub fn has_cloud_init(&self) -> bool {
        self.manifest.kind == Kind::Disk
    }

    /// What the planner needs of it.
    pub fn facts(&self) -> ImageFacts {
        ImageFacts {
            key: self.key.clone(),
            disk: self.file(Role::Disk).and_then(|disk| disk.virtual_size),
            firmware: self.firmware,
        }
    }

    /// The file with a role.
    pub fn file(&self, role: Role) -> Option<&ImageFile> {
        self.files.iter().find(|file| file.role == role)
    }
}

/// What is known of an image: its key, of its recipe and packages or of the contents of the user's file, and the size of
/// its disk, if it is built. Builds nothing; reads a file only the first time.
pub async fn facts(image: &Image, events: &Events) -> Result<ImageFacts, ImageError> {
    let recipe = match &image.source {
        ImageSource::Micro => Recipe::Micro,
        ImageSource::Debian => Recipe::Debian,
        ImageSource::File(path) => {
            let built = user_file(image, path, Cache::from_env()?, events).await?;
            return Ok(built.facts());
        }
    };
    let key = recipe.key(&image.packages);
    // An incomplete image in the cache is an error once the image is needed.
    let built = Cache::from_env().and_then(|cache| cache.find(image.name.as_str(), &key));
    Ok(match built {
        Ok(Some(built)) => built.facts(),
        _ => ImageFacts::of_key(key),
    })
}

/// The image, built if the cache does not have it. Of several processes that need the same
/// image, one builds it.
pub async fn ensure_built(
    image: &Image,
    options: &BuildOptions,
    events: &Events,
) -> Result<BuiltImage, ImageError> {
    let cache = match &options.cache {
        Some(cache) => cache.clone(),
        None => Cache::from_env()?,
    };
    let recipe = match &image.source {
        ImageSource::Micro => Recipe::Micro,
        ImageSource::Debian => Recipe::Debian,
        ImageSource::File(path) => return user_file(image, path, cache, events).await,
    };
    let key = recipe.key(&image.packages);
    let name = image.name.to_string();
    let wanted = |built: BuiltImage| BuiltImage {
        cloud_init: image.cloud_init,
        ..built
    };
    if !options.rebuild
        && let Some(built) = cache.find(&name, &key)?
    {
        return Ok(wanted(built));
    }
    let other = || Some(format!("another build of image `{name}`"));
    let lock = waiting::shown(events, other, cache.lock(&name, &key, &options.cancel)).await?;
    // Another process may have built it while we waited; a requested rebuild still happens.
    if !options.rebuild
        && let Some(built) = cache.find(&name, &key)?
    {
        return Ok(wanted(built));
    }
    let work = build::Wanted {
        name: &name,
        recipe,
        packages: &image.packages,
        key: &key,
    };
    build::run(&cache, &work, &lock, &options.cancel, events).await?;
    drop(lock);
    let built = cache.find(&name, &key)?;
    built.map(wanted).ok_or(ImageError::Incomplete {
        image: name,
        path: cache.image_dir(&key),
        cause: "it was removed after the build".into(),
    })
}

/// Examines the user's file; on another thread, because the first time reads all of it.
async fn inspect(image: &Image, path: &Path, cache: Cache, events: &Events) -> Result<ImageFile, ImageError> {
    let (file, expected) = (path.to_owned(), image.sha256.clone());
    let work = tokio::task::spawn_blocking(move || file::inspect(&cache, &file, expected.as_deref()));
    let what = || Some(format!("the digest of {}", path.display()));
    let found = waiting::shown(events, what, work).await;
    found.map_err(|error| ImageError::Io {
        doing: "read",
        path: path.to_owned(),
        source: std::io::Error::other(error),
    })?
}

async fn user_file(
    image: &Image,
    path: &Path,
    cache: Cache,
    events: &Events,
) -> Result<BuiltImage, ImageError> {
    let found = inspect(image, path, cache, events).await?;
    let user = image.user.clone().unwrap_or_default();
    Ok(BuiltImage {
        name: image.name.to_string(),
        key: found.sha256.clone(),
        manifest: Manifest::of_file(path, &found, user),
        firmware: match image.firmware {
            BootFirmware::Auto => found.firmware,
            BootFirmware::Bios => Firmware::Bios,
            BootFirmware::Uefi => Firmware::Uefi,
        },
        cloud_init: image.cloud_init,
        files: vec![found],
    })
}

#[cfg(test)]
mod boot_tests;
#[cfg(test)]
mod tests;
