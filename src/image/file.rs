//! A user's disk image: its format, read from its first bytes, what boots it, and its digest, cached by
//! path, size and modification time so that the file is read only once.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::boot;
use super::cache::Cache;
use super::error::ImageError;
use super::header::{HeaderError, header};
use super::manifest::Role;
use super::{ImageFile, Stamp};
use crate::base::digest::sha256_of;
use crate::inventory::Firmware;

/// The state of a file when its digest was computed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    path: String,
    size: u64,
    modified: i64,
    modified_nanoseconds: i64,
    inode: u64,
    device: u64,
}

#[derive(Serialize, Deserialize)]
struct Remembered {
    seen: Seen,
    sha256: String,
    /// Absent in what an earlier release wrote.
    #[serde(default)]
    firmware: Option<Firmware>,
}

/// Checks that a file exists, can be used, and has the expected digest.
pub(super) fn inspect(cache: &Cache, path: &Path, expected: Option<&str>) -> Result<ImageFile, ImageError> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(ImageError::Missing(path.to_owned()));
        }
        Err(error) => return Err(ImageError::io("examine", path)(error)),
    };
    let unusable = |cause: &str, hint: &str| ImageError::Unusable {
        path: path.to_owned(),
        cause: cause.to_owned(),
        hint: hint.to_owned(),
    };
    if !metadata.is_file() {
        return Err(unusable(
            "it is not a regular file",
            "give a qcow2 or raw disk image",
        ));
    }
    let unreadable = |error| match error {
        HeaderError::Io(source) => ImageError::io("read", path)(source),
        HeaderError::Unusable(cause) => unusable(
            &cause,
            "convert it to a standalone qcow2: qemu-img convert -O qcow2 OLD NEW",
        ),
        HeaderError::Unfit { cause, hint } => unusable(&cause, hint),
    };
    let (format, virtual_size) = header(path).map_err(unreadable)?;
    let seen = Seen {
        path: path.to_string_lossy().into_owned(),
        size: metadata.len(),
        modified: metadata.mtime(),
        modified_nanoseconds: metadata.mtime_nsec(),
        inode: metadata.ino(),
        device: metadata.dev(),
    };
    let known = recall(cache, &seen);
    let (sha256, firmware) = if let Some(Remembered {
        sha256,
        firmware: Some(firmware),
        ..
    }) = known
    {
        (sha256, firmware)
    } else {
        let firmware = boot::detect(path, format).map_err(unreadable)?;
        let sha256 = match known {
            Some(known) => known.sha256,
            None => digest(path).map_err(ImageError::io("read", path))?,
        };
        let remembered = Remembered {
            seen: seen.clone(),
            sha256,
            firmware: Some(firmware),
        };
        remember(cache, &remembered);
        (remembered.sha256, firmware)
    };
    if let Some(expected) = expected
        && expected != sha256
    {
        return Err(ImageError::Digest {
            path: path.to_owned(),
            found: sha256,
            expected: expected.to_owned(),
        });
    }
    Ok(ImageFile {
        role: Role::Disk,
        path: path.to_owned(),
        sha256,
        size: seen.size,
        format,
        stamp: Stamp::of(&metadata),
        virtual_size: Some(virtual_size),
        firmware,
    })
}

fn digest(path: &Path) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    sha256_of(|piece| file.read(piece))
}

fn record(cache: &Cache, seen: &Seen) -> std::path::PathBuf {
    cache
        .digests()
        .join(format!("{}.json", crate::base::digest::sha256(&seen.path)))
}

fn recall(cache: &Cache, seen: &Seen) -> Option<Remembered> {
    let text = fs::read(record(cache, seen)).ok()?;
    let remembered: Remembered = serde_json::from_slice(&text).ok()?;
    (remembered.seen == *seen && remembered.sha256.len() == 64).then_some(remembered)
}

/// What cannot be cached is found out again next time: no error.
fn remember(cache: &Cache, remembered: &Remembered) {
    let path = record(cache, &remembered.seen);
    let Ok(text) = serde_json::to_vec_pretty(remembered) else {
        return;
    };
    let write = || -> io::Result<()> {
        fs::create_dir_all(cache.digests())?;
        let mut file = tempfile::NamedTempFile::new_in(cache.digests())?;
        io::Write::write_all(&mut file, &text)?;
        file.persist(&path).map_err(|error| error.error)?;
        Ok(())
    };
    if let Err(error) = write() {
        tracing::debug!(path = %path.display(), %error, "digest not cached");
    }
}
