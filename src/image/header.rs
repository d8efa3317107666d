//! The header of a disk image: its format and the size of its disk.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use super::manifest::Format;

/// Why a header does not describe a usable disk.
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
            return refuse("its qcow2 header is truncated");
        };
        if !matches!(version, 2 | 3) {
            return refuse(&format!("its qcow2 version is {version}"));
        }
        // A backing file or a separate data file could be any file of the host.
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
        return refuse("it is neither a qcow2 file nor a raw disk of whole sectors");
    }
    Ok((Format::Raw, length))
}

/// Bytes of a file from an offset, fewer at its end.
pub(super) fn read_at(file: &std::fs::File, at: u64, length: usize) -> std::io::Result<Vec<u8>> {
    use std::io::{Read as _, Seek as _};
    let mut file = file;
    file.seek(std::io::SeekFrom::Start(at))?;
    let mut bytes = Vec::new();
    file.take(length as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}
