//! The files of an image: on the controller, compressed for sending, and on a host.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

use crate::host::error::Cause;
use crate::host::layout::{IMAGES_DIRECTORY, image_file};
use crate::image::{Format, ImageFile};

/// A file of an image, to be sent to hosts.
#[derive(Clone, Debug)]
pub struct ImagePart {
    /// The file on the controller.
    pub file: ImageFile,
    /// Its compressed form, shared by all hosts that it is sent to.
    pub packed: Packed,
}

/// The base of a node's disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostDisk {
    /// File on the host.
    pub path: String,
    /// Its format.
    pub format: Format,
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
    /// A file that is not compressed yet.
    pub fn of(file: &ImageFile) -> Self {
        Self {
            file: file.clone(),
            packed: Packed::default(),
        }
    }

    pub(crate) fn volume(&self) -> String {
        image_file(&self.file.sha256, self.file.role)
    }

    pub(crate) fn path_on_host(&self) -> String {
        format!("{IMAGES_DIRECTORY}/{}", self.volume())
    }

    pub(crate) fn check(&self) -> Result<(), Cause> {
        let sha256 = &self.file.sha256;
        let digest = sha256.len() == 64 && sha256.bytes().all(|byte| b"0123456789abcdef".contains(&byte));
        if digest {
            Ok(())
        } else {
            Err(Cause::Other("its digest is malformed".into()))
        }
    }
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
    use crate::image::Role;

    #[test]
    fn only_a_digest_names_a_file_on_a_host() {
        let mut part = ImagePart::of(&ImageFile {
            role: Role::Disk,
            path: "x".into(),
            sha256: "0".repeat(64),
            size: 32,
            format: Format::Raw,
            stamp: crate::image::Stamp::of(&std::fs::metadata("/").unwrap()),
            virtual_size: Some(32),
            firmware: crate::inventory::Firmware::Bios,
        });
        assert!(part.check().is_ok());
        part.file.sha256 = "../x".into();
        assert!(part.check().is_err());
    }
}
