//! A disk image of the user's: its format, read from its first bytes, and its digest,
//! remembered by path, length and time of change so that it is read once.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::ImageFile;
use super::cache::Cache;
use super::error::ImageError;
use super::manifest::{Format, Role};
use crate::digest::hex;

/// What was seen of a file when its digest was taken.
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
}

/// Looks at a file: it exists, can be used, and has the digest that is expected.
pub(super) fn inspect(cache: &Cache, path: &Path, expected: Option<&str>) -> Result<ImageFile, ImageError> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(ImageError::Missing(path.to_owned()));
        }
        Err(error) => return Err(ImageError::io("look at", path)(error)),
    };
    let unusable = |cause: &str, hint: &str| ImageError::Unusable {
        path: path.to_owned(),
        cause: cause.to_owned(),
        hint: hint.to_owned(),
    };
    if !metadata.is_file() {
        return Err(unusable(
            "it is not a regular file",
            "name a qcow2 or raw disk image",
        ));
    }
    let (format, virtual_size) = header(path).map_err(|error| match error {
        HeaderError::Io(source) => ImageError::io("read", path)(source),
        HeaderError::Unusable(cause) => unusable(
            &cause,
            "make a whole qcow2 of it: qemu-img convert -O qcow2 OLD NEW",
        ),
    })?;
    let seen = Seen {
        path: path.to_string_lossy().into_owned(),
        size: metadata.len(),
        modified: metadata.mtime(),
        modified_nanoseconds: metadata.mtime_nsec(),
        inode: metadata.ino(),
        device: metadata.dev(),
    };
    let sha256 = if let Some(sha256) = recall(cache, &seen) {
        sha256
    } else {
        let sha256 = digest(path).map_err(ImageError::io("read", path))?;
        remember(cache, &seen, &sha256);
        sha256
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
        virtual_size: Some(virtual_size),
    })
}

/// Why a header tells no usable disk.
#[derive(Debug, thiserror::Error)]
pub(super) enum HeaderError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Unusable(String),
}

/// Format and virtual size in bytes, from the first bytes (QEMU, docs/interop/qcow2).
pub(super) fn header(path: &Path) -> Result<(Format, u64), HeaderError> {
    let refuse = |cause: &str| Err(HeaderError::Unusable(cause.to_owned()));
    let file = fs::File::open(path)?;
    let length = file.metadata()?.len();
    let mut start = Vec::with_capacity(512);
    file.take(512).read_to_end(&mut start)?;
    let number = |at: usize, width: usize| {
        let bytes = start.get(at..at + width)?;
        Some(bytes.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte)))
    };
    if start.starts_with(b"QFI\xfb") {
        let (Some(version), Some(backing), Some(size)) = (number(4, 4), number(8, 8), number(24, 8)) else {
            return refuse("its qcow2 header is cut off");
        };
        if !matches!(version, 2 | 3) {
            return refuse(&format!("its qcow2 version is {version}"));
        }
        // Either would let the file point at any other file of the host.
        if backing != 0 {
            return refuse("it has a backing file");
        }
        if version == 3 && number(72, 8).is_none_or(|features| features & 0b100 != 0) {
            return refuse("it keeps its data in another file");
        }
        if number(32, 4).is_none_or(|encryption| encryption != 0) {
            return refuse("it is encrypted");
        }
        return Ok((Format::Qcow2, size));
    }
    let others: [(&[u8], &str); 9] = [
        (b"KDMV", "VMDK"),
        (b"# Disk DescriptorFile", "VMDK"),
        (b"vhdxfile", "VHDX"),
        (b"conectix", "VHD"),
        (b"<<< Oracle VM VirtualBox", "VDI"),
        (b"\xfd7zXZ", "xz"),
        (b"\x1f\x8b", "gzip"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"PK\x03\x04", "zip"),
    ];
    if let Some((_, kind)) = others.iter().find(|(magic, _)| start.starts_with(magic)) {
        return refuse(&format!("it is {kind}, not qcow2 or raw"));
    }
    if length == 0 || length % 512 != 0 {
        return refuse("it is neither qcow2 nor whole sectors of a raw disk");
    }
    Ok((Format::Raw, length))
}

fn digest(path: &Path) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0_u8; 1 << 20];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(hex(&digest.finalize()));
        }
        digest.update(&buffer[..read]);
    }
}

fn record(cache: &Cache, seen: &Seen) -> std::path::PathBuf {
    cache
        .digests()
        .join(format!("{}.json", crate::digest::sha256(&seen.path)))
}

fn recall(cache: &Cache, seen: &Seen) -> Option<String> {
    let text = fs::read(record(cache, seen)).ok()?;
    let remembered: Remembered = serde_json::from_slice(&text).ok()?;
    (remembered.seen == *seen && remembered.sha256.len() == 64).then_some(remembered.sha256)
}

/// A digest that cannot be remembered is taken again next time: no error.
fn remember(cache: &Cache, seen: &Seen, sha256: &str) {
    let path = record(cache, seen);
    let remembered = Remembered {
        seen: seen.clone(),
        sha256: sha256.to_owned(),
    };
    let Ok(text) = serde_json::to_vec_pretty(&remembered) else {
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
        tracing::debug!(path = %path.display(), %error, "digest not remembered");
    }
}
