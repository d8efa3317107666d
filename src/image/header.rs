//! The header of a disk image: its format and the size of its disk.

use std::fs;
use std::io;
use std::path::Path;

use super::manifest::Format;

/// Why a header does not describe a usable disk.
#[derive(Debug, thiserror::Error)]
pub(super) enum HeaderError {
    #[error("{0}")]
    Io(#[from] io::Error),
    /// What `qemu-img convert` turns into a usable disk.
    #[error("{0}")]
    Unusable(String),
    /// What needs something else.
    #[error("{cause}")]
    Unfit { cause: String, hint: &'static str },
}

/// What is not the image of a disk, by the bytes at a place: what it is, and what to do.
const OTHERS: [(usize, &[u8], &str, &str); 13] = [
    (0, b"\xfd7zXZ", "compressed (xz)", UNPACK),
    (0, b"\x1f\x8b", "compressed (gzip)", UNPACK),
    (0, b"\x28\xb5\x2f\xfd", "compressed (zstd)", UNPACK),
    (0, b"\x04\x22\x4d\x18", "compressed (lz4)", UNPACK),
    (0, b"BZh", "compressed (bzip2)", UNPACK),
    (0, b"7z\xbc\xaf\x27\x1c", "an archive (7z)", UNPACK),
    (0, b"PK\x03\x04", "an archive (zip)", UNPACK),
    (257, b"ustar", "an archive (tar, as an OVA is)", UNPACK),
    (32_769, b"CD001", "the image of a CD", WHOLE),
    (0, b"hsqs", "a file system (squashfs), not a whole disk", WHOLE),
    (0, b"XFSB", "a file system (XFS), not a whole disk", WHOLE),
    (0, b"LUKS\xba\xbe", "encrypted", WHOLE),
    (
        0,
        b"<!",
        "a page (HTML), not a disk",
        "check where it was downloaded from",
    ),
];
const UNPACK: &str = "unpack it, and name the disk in it; convert that with `qemu-img convert -O qcow2 OLD NEW` if it is neither qcow2 nor raw";
const WHOLE: &str =
    "use the image of a whole disk that boots and has cloud-init, as distributions publish it";

/// Format and virtual size in bytes, from the first bytes (QEMU, docs/interop/qcow2).
pub(super) fn header(path: &Path) -> Result<(Format, u64), HeaderError> {
    let refuse = |cause: &str| Err(HeaderError::Unusable(cause.to_owned()));
    let file = fs::File::open(path)?;
    let length = file.metadata()?.len();
    let start = read_at(&file, 0, 512)?;
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
        if version == 3 && number(72, 8).is_some_and(|features| features & 0b10 != 0) {
            return Err(HeaderError::Unfit {
                cause: "it is marked as corrupt".to_owned(),
                hint: "get it again, or repair it with `qemu-img check -r all FILE`",
            });
        }
        if size == 0 {
            return Err(HeaderError::Unfit {
                cause: "its disk has no bytes".to_owned(),
                hint: WHOLE,
            });
        }
        return Ok((Format::Qcow2, size));
    }
    let convertible: [(&[u8], &str); 8] = [
        (b"KDMV", "VMDK"),
        (b"# Disk DescriptorFile", "VMDK"),
        (b"vhdxfile", "VHDX"),
        (b"conectix", "VHD"),
        (b"<<< Oracle VM VirtualBox", "VDI"),
        (b"QED\0", "QED"),
        (b"WithoutFreeSpace", "Parallels"),
        (b"WithouFreSpacExt", "Parallels"),
    ];
    if let Some((_, kind)) = convertible.iter().find(|(magic, _)| start.starts_with(magic)) {
        return refuse(&format!("it is {kind}, not qcow2 or raw"));
    }
    for (at, magic, kind, hint) in OTHERS {
        if read_at(&file, at as u64, magic.len())? == magic {
            let cause = format!("it is {kind}");
            return Err(HeaderError::Unfit { cause, hint });
        }
    }
    // A file system of ext2, ext3 or ext4, without the boot sector of a disk.
    if start.get(510..512) != Some(&[0x55, 0xaa][..]) && read_at(&file, 1080, 2)? == [0x53, 0xef] {
        return Err(HeaderError::Unfit {
            cause: "it is a file system (ext4), not a whole disk".to_owned(),
            hint: WHOLE,
        });
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
