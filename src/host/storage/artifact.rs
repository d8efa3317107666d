//! The files of an image: on the controller, compressed for sending, and on a host.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

use crate::host::error::Cause;
use crate::host::layout::IMAGES_DIRECTORY;

/// What a file of an image is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PartRole {
    /// Kernel of a direct boot.
    Kernel,
    /// Its initial RAM file system.
    Initrd,
    /// Disk.
    Disk,
}

/// Format of a disk image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DiskFormat {
    /// Plain bytes.
    Raw,
    /// QEMU's copy-on-write format.
    Qcow2,
}

impl std::fmt::Display for DiskFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
        })
    }
}

/// A file of an image on the controller.
#[derive(Clone, Debug)]
pub struct ImagePart {
    /// What it is for.
    pub role: PartRole,
    /// Where it is.
    pub path: PathBuf,
    /// Its digest: 64 lower-case hex digits.
    pub sha256: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its format, if it is a disk.
    pub format: DiskFormat,
    /// Its compressed form, shared by all hosts that it is sent to.
    pub packed: Packed,
}

/// The base of a node's disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostDisk {
    /// File on the host.
    pub path: String,
    /// Its format.
    pub format: DiskFormat,
    /// Size that a guest sees, in bytes.
    pub bytes: u64,
}

/// An image as it is on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostImage {
    /// Key of the image.
    pub key: String,
    /// Kernel of a direct boot.
    pub kernel: Option<String>,
    /// Initial RAM file system.
    pub initrd: Option<String>,
    /// Kernel command line.
    pub cmdline: String,
    /// Base of the nodes' disks; without one, a node has a disk only if its spec asks for one.
    pub disk: Option<HostDisk>,
}

impl ImagePart {
    pub(crate) fn volume(&self) -> String {
        let role = match self.role {
            PartRole::Kernel => "kernel",
            PartRole::Initrd => "initrd",
            PartRole::Disk => "disk",
        };
        format!("{}.{role}", self.sha256)
    }

    pub(crate) fn path_on_host(&self) -> String {
        format!("{IMAGES_DIRECTORY}/{}", self.volume())
    }

    pub(crate) fn check(&self) -> Result<(), Cause> {
        let digest = self.sha256.len() == 64
            && self
                .sha256
                .bytes()
                .all(|byte| b"0123456789abcdef".contains(&byte));
        if digest {
            Ok(())
        } else {
            Err(Cause::Other("its digest is malformed".into()))
        }
    }
}

/// The size that a guest sees. In qcow2: big-endian at byte 24 (docs/interop/qcow2.txt of QEMU).
pub(crate) fn virtual_size(part: &ImagePart) -> Result<u64, Cause> {
    if part.format == DiskFormat::Raw {
        return Ok(part.size);
    }
    let local = |error: std::io::Error| Cause::local("cannot read its header", &error);
    let mut header = [0; 32];
    let mut file = File::open(&part.path).map_err(local)?;
    file.read_exact(&mut header).map_err(local)?;
    let (magic, rest) = header.split_at(4);
    if magic != b"QFI\xfb" {
        return Err(Cause::Other("it is not a qcow2 image".into()));
    }
    let mut size = [0; 8];
    size.copy_from_slice(&rest[20..28]);
    Ok(u64::from_be_bytes(size))
}

/// Where compressed files are stored during a command: on a disk, unlike `/tmp`. They have no name, so nothing stays
/// after a crash.
const ROOM: &str = "/var/tmp";

/// A file in its compressed form, created when the first host needs it. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Packed(Arc<OnceCell<Arc<File>>>);

impl Packed {
    pub(crate) async fn of(&self, path: &Path) -> Result<Arc<File>, Cause> {
        let path = path.to_owned();
        let pack = || async move {
            let shown = path.display().to_string();
            let packed = tokio::task::spawn_blocking(move || pack(&path)).await;
            match packed {
                Ok(packed) => packed
                    .map(Arc::new)
                    .map_err(|error| Cause::local(&format!("cannot compress {shown}"), &error)),
                Err(_) => Err(Cause::Closed),
            }
        };
        self.0.get_or_try_init(pack).await.cloned()
    }
}

/// gzip, because it is on every host; the fastest level, because networks are faster than compressors.
pub(crate) fn pack(path: &Path) -> std::io::Result<File> {
    let mut file = File::open(path)?;
    let mut encoder = GzEncoder::new(tempfile::tempfile_in(ROOM)?, Compression::fast());
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => encoder.write_all(&buffer[..count])?,
        }
    }
    let mut packed = encoder.finish()?;
    packed.rewind()?;
    Ok(packed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_a_qcow2_image_is_read_from_its_header() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x");
        let mut header = b"QFI\xfb\0\0\0\x03".to_vec();
        header.extend([0; 16]);
        header.extend((5_u64 << 30).to_be_bytes());
        std::fs::write(&path, &header).unwrap();
        let mut part = ImagePart {
            role: PartRole::Disk,
            path: path.clone(),
            sha256: "0".repeat(64),
            size: 32,
            format: DiskFormat::Qcow2,
            packed: Packed::default(),
        };
        assert_eq!(virtual_size(&part).unwrap(), 5 << 30);
        std::fs::write(&path, vec![0; 32]).unwrap();
        assert!(virtual_size(&part).is_err());
        part.format = DiskFormat::Raw;
        assert_eq!(virtual_size(&part).unwrap(), 32);
        part.sha256 = "../x".into();
        assert!(part.check().is_err());
    }
}
