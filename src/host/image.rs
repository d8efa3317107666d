//! Images on a host: uploaded once, verified there by digest, then given their final name.
//! A file with a final name is whole; whatever a crash leaves has a name that nobody reads.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::connect::Host;
use super::error::{Cause, HostError};
use super::pool::{self, IMAGES_DIRECTORY, IMAGES_POOL};
use super::upload::Packed;

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
    /// Its format, where it is a disk.
    pub format: DiskFormat,
    /// What is sent in its place, shared by all hosts that it goes to.
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
    /// Base of the nodes' disks; without one a node has no disk but what its spec asks for.
    pub disk: Option<HostDisk>,
}

impl ImagePart {
    pub(super) fn volume(&self) -> String {
        let role = match self.role {
            PartRole::Kernel => "kernel",
            PartRole::Initrd => "initrd",
            PartRole::Disk => "disk",
        };
        format!("{}.{role}", self.sha256)
    }

    fn path_on_host(&self) -> String {
        format!("{IMAGES_DIRECTORY}/{}", self.volume())
    }

    fn check(&self) -> Result<(), Cause> {
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

impl Host {
    /// Brings the files of an image to the host, each only once ever. `progress` is told bytes done and bytes in all.
    pub async fn ensure_image(
        &self,
        key: &str,
        cmdline: &str,
        parts: &[ImagePart],
        progress: &mut (dyn FnMut(u64, u64) + Send),
    ) -> Result<HostImage, HostError> {
        let mut image = HostImage {
            key: key.to_owned(),
            kernel: None,
            initrd: None,
            cmdline: cmdline.to_owned(),
            disk: None,
        };
        let missing = self
            .missing(parts)
            .await
            .map_err(self.failed("look for images"))?;
        let total: u64 = missing.iter().map(|part| part.size).sum();
        let mut done = 0;
        for part in &missing {
            let doing = format!("upload `{}`", part.path.display());
            self.upload(part, &mut |bytes| progress(done + bytes, total))
                .await
                .map_err(self.failed(doing))?;
            done += part.size;
        }
        if !missing.is_empty() {
            self.refresh_images().await;
        }
        for part in parts {
            let path = part.path_on_host();
            match part.role {
                PartRole::Kernel => image.kernel = Some(path),
                PartRole::Initrd => image.initrd = Some(path),
                PartRole::Disk => {
                    let bytes =
                        virtual_size(part).map_err(self.failed(format!("read `{}`", part.path.display())))?;
                    image.disk = Some(HostDisk {
                        path,
                        format: part.format,
                        bytes,
                    });
                }
            }
        }
        Ok(image)
    }

    /// Tells libvirt of new files. Nothing of ours asks it about them; people might.
    async fn refresh_images(&self) {
        let refreshed = self
            .call(|connection| connection.lookup_storage_pool_by_name(IMAGES_POOL)?.refresh(0))
            .await;
        if let Err(cause) = refreshed {
            tracing::debug!("the pool {IMAGES_POOL} was not refreshed: {cause}");
        }
    }

    async fn missing(&self, parts: &[ImagePart]) -> Result<Vec<ImagePart>, Cause> {
        let mut script = format!(
            "{sweep}mkdir -p {IMAGES_DIRECTORY} && chmod 0711 {root} {IMAGES_DIRECTORY} && cd {IMAGES_DIRECTORY} || exit\n",
            sweep = sweep_script(),
            root = pool::ROOT
        );
        for part in parts {
            part.check()?;
            // Writing to a string cannot fail.
            let _ = writeln!(script, "[ ! -f {0} ] || stat -c '%n %s' {0}", part.volume());
        }
        let said = self.script(&script).await?;
        let there = |part: &ImagePart| {
            said.lines()
                .any(|line| line == format!("{} {}", part.volume(), part.size))
        };
        Ok(parts.iter().filter(|part| !there(part)).cloned().collect())
    }
}

/// Clears away what uploads left that were cut off, as by a host that lost power. An upload holds a lock on its
/// file for as long as any of its processes lives, so nothing that still comes in is touched.
pub(super) fn sweep_script() -> String {
    format!(
        "if cd {IMAGES_DIRECTORY} 2>/dev/null && command -v flock >/dev/null; then\n\
         for p in *.part; do [ ! -e \"$p\" ] || flock -n \"$p\" rm -f -- \"$p\" || :; done; cd /; fi\n"
    )
}

/// The size that a guest sees. qcow2 says it big-endian at byte 24 (docs/interop/qcow2.txt of QEMU).
fn virtual_size(part: &ImagePart) -> Result<u64, Cause> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_cut_off_upload_left_is_swept_away_and_a_running_one_goes_on() {
        use nix::fcntl::{Flock, FlockArg};
        let directory = tempfile::tempdir().unwrap();
        for name in ["dead.part", "alive.part", "whole.disk"] {
            std::fs::write(directory.path().join(name), "x").unwrap();
        }
        let alive = File::open(directory.path().join("alive.part")).unwrap();
        let _lock = Flock::lock(alive, FlockArg::LockExclusive).unwrap();
        let script = sweep_script().replace(IMAGES_DIRECTORY, directory.path().to_str().unwrap());
        let status = std::process::Command::new("sh").args(["-ec", &script]).status();
        assert!(status.unwrap().success());
        let mut left: Vec<_> = std::fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["alive.part", "whole.disk"]);
    }

    #[test]
    fn the_size_of_a_qcow2_image_is_what_its_header_says() {
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
