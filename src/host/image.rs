//! Images on a host: uploaded once, verified there by digest, then given their final name.
//! A file with a final name is whole; whatever a crash leaves has a name that nobody reads.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::mpsc as blocking;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use virt::connect::Connect;
use virt::error::Error;
use virt::storage_vol::StorageVol;
use virt::stream::Stream;

use super::connect::Host;
use super::error::{Cause, HostError};
use super::pool::{self, IMAGES_DIRECTORY, IMAGES_POOL};
use super::xml;

/// Read and sent at once. libvirt splits it into messages of 256 KiB.
const CHUNK: usize = 1 << 20;
/// Zeros at least so long are not sent: the volume begins as one hole.
const HOLE: u64 = 16 << 20;
/// Time for an upload: a floor, and a rate below which something is wrong.
const UPLOAD_FLOOR: Duration = Duration::from_mins(2);
const UPLOAD_BYTES_PER_SECOND: u64 = 2 << 20;

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
#[derive(Clone, Debug, PartialEq, Eq)]
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
    fn volume(&self) -> String {
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

    async fn missing(&self, parts: &[ImagePart]) -> Result<Vec<ImagePart>, Cause> {
        // Also clears away what uploads left that died a day ago or longer.
        let mut script = format!(
            "mkdir -p {IMAGES_DIRECTORY} && chmod 0711 {root} {IMAGES_DIRECTORY} && cd {IMAGES_DIRECTORY} || exit\n\
             find . -maxdepth 1 -type f -name '*.part' -mtime +0 -exec rm -f {{}} +\n",
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

    async fn upload(&self, part: &ImagePart, progress: &mut (dyn FnMut(u64) + Send)) -> Result<(), Cause> {
        // A name of its own for every attempt: two controllers may upload the same image at once.
        let temporary = format!("{}.{}.part", &part.sha256[..16], Uuid::new_v4().simple());
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let deadline = UPLOAD_FLOOR + Duration::from_secs(part.size / UPLOAD_BYTES_PER_SECOND);
        let work = {
            let (part, temporary) = (part.clone(), temporary.clone());
            let (failed, failure) = blocking::channel::<Cause>();
            let call = self.inner.libvirt.call_within(deadline, move |connection| {
                match send_file(connection, &part, &temporary, &|bytes| {
                    // Nobody waits for progress of an upload that was given up.
                    let _ = sender.send(bytes);
                }) {
                    Ok(()) => Ok(()),
                    Err(Upload::Libvirt(error)) => Err(error),
                    Err(Upload::Local(cause)) => {
                        // The receiver outlives the call.
                        let _ = failed.send(cause);
                        Ok(())
                    }
                }
            });
            async move {
                call.await?;
                match failure.try_recv() {
                    Ok(cause) => Err(cause),
                    Err(_) => Ok(()),
                }
            }
        };
        tokio::pin!(work);
        let sent = loop {
            tokio::select! {
                Some(bytes) = receiver.recv() => progress(bytes),
                result = &mut work => break result,
            }
        };
        // Renaming is the last step: only a file with the right digest ever has the final name.
        let finish = format!(
            r#"cd {IMAGES_DIRECTORY} || exit
s=$(sha256sum {temporary}) && [ "${{s%% *}}" = {sha256} ] && chmod 0444 {temporary} && mv -f {temporary} {name} && exit
rm -f {temporary}; echo "the digest of what arrived is ${{s%% *}} and not {sha256}" >&2; exit 1
"#,
            sha256 = part.sha256,
            name = part.volume()
        );
        match sent {
            Ok(()) => {
                self.inner.link.script(&finish, deadline).await?;
            }
            Err(cause) => {
                let _ = self
                    .script(&format!("rm -f {IMAGES_DIRECTORY}/{temporary}"))
                    .await;
                return Err(cause);
            }
        }
        // For libvirt the file is still called as before; nothing of ours asks it, people might.
        let refreshed = self
            .call(|connection| connection.lookup_storage_pool_by_name(IMAGES_POOL)?.refresh(0))
            .await;
        if let Err(cause) = refreshed {
            tracing::debug!("the pool {IMAGES_POOL} was not refreshed: {cause}");
        }
        Ok(())
    }
}

/// Why an upload stopped.
enum Upload {
    Libvirt(Error),
    Local(Cause),
}

impl From<Error> for Upload {
    fn from(error: Error) -> Self {
        Self::Libvirt(error)
    }
}

fn send_file(
    connection: &Connect,
    part: &ImagePart,
    name: &str,
    progress: &dyn Fn(u64),
) -> Result<(), Upload> {
    let local = |error: std::io::Error| Upload::Local(Cause::local(&part.path.display().to_string(), &error));
    let mut file = File::open(&part.path).map_err(local)?;
    let (pool, _) = pool::ensure(connection, IMAGES_POOL, IMAGES_DIRECTORY)?;
    let volume = StorageVol::create_xml(&pool, &xml::raw_volume(name, part.size), 0)?;
    let mut buffer = vec![0; CHUNK];
    let mut at = 0;
    while at < part.size {
        // One stream for each stretch between long holes.
        let (start, end) = next_stretch(&mut file, at, part.size, &mut buffer).map_err(local)?;
        if start == end {
            break;
        }
        file.seek(SeekFrom::Start(start)).map_err(local)?;
        let stream = Stream::new(connection, 0)?;
        volume.upload(&stream, start, end - start, 0)?;
        let mut sent = start;
        while sent < end {
            let wanted = buffer.len().min((end - sent) as usize);
            file.read_exact(&mut buffer[..wanted]).map_err(local)?;
            let mut piece = &buffer[..wanted];
            while !piece.is_empty() {
                let count = stream.send(piece)?;
                piece = &piece[usize::try_from(count).unwrap_or(0).min(piece.len())..];
            }
            sent += wanted as u64;
            progress(sent);
        }
        stream.finish()?;
        at = end;
    }
    progress(part.size);
    Ok(())
}

/// The next bytes from `at` that must be sent, in whole chunks: up to the next hole or the end.
fn next_stretch(
    file: &mut (impl Read + Seek),
    at: u64,
    size: u64,
    buffer: &mut [u8],
) -> std::io::Result<(u64, u64)> {
    file.seek(SeekFrom::Start(at))?;
    let (mut start, mut end, mut position) = (None, at, at);
    while position < size {
        let wanted = buffer.len().min((size - position) as usize);
        file.read_exact(&mut buffer[..wanted])?;
        let next = position + wanted as u64;
        if buffer[..wanted].iter().any(|byte| *byte != 0) {
            start.get_or_insert(position);
            end = next;
        } else if start.is_some() && next - end >= HOLE {
            break;
        }
        position = next;
    }
    Ok(match start {
        Some(start) => (start, end),
        None => (size, size),
    })
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
    use std::io::Cursor;

    use super::*;

    #[test]
    fn long_holes_are_not_sent_and_short_ones_are() {
        let mut bytes = vec![0_u8; 40 << 20];
        bytes[3 << 20] = 1;
        bytes[5 << 20] = 1;
        bytes[30 << 20] = 1;
        let size = bytes.len() as u64;
        let mut file = Cursor::new(bytes);
        let mut buffer = vec![0; CHUNK];
        let mut next = |at| next_stretch(&mut file, at, size, &mut buffer).unwrap();
        assert_eq!(next(0), (3 << 20, 6 << 20));
        assert_eq!(next(6 << 20), (30 << 20, 31 << 20));
        assert_eq!(next(31 << 20), (size, size));
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
