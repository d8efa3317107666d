//! What can boot a disk, by its first sectors: the boot code of the first one and the partition table (UEFI
//! specification 2.10, section 5).

use super::header::{HeaderError, read_at};
use super::manifest::Format;
use super::qcow2::Qcow2;
use crate::inventory::Firmware;

/// Bytes at the beginning of a disk that are examined: the first sector, the header of the GPT and its 128 entries.
pub(super) const HEAD: usize = 2 * SECTOR + 128 * 128;
/// Bytes of a sector. Disks with larger ones are not supported as images.
const SECTOR: usize = 512;
/// Bytes of the boot code in the first sector.
const BOOT_CODE: usize = 440;
/// An EFI system partition: C12A7328-F81F-11D2-BA4B-00A0C93EC93B, as it is stored.
pub(super) const ESP: [u8; 16] = [
    0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b,
];
/// A BIOS boot partition of GRUB: 21686148-6449-6E6F-744E-656564454649, as it is stored.
pub(super) const BIOS_BOOT: [u8; 16] = *b"Hah!IdontNeedEFI";

/// The firmware for a disk that begins with these bytes: UEFI if it has an EFI system partition and nothing that a BIOS
/// could run, else the BIOS.
pub(super) fn firmware(head: &[u8]) -> Firmware {
    let has_boot_code = head.iter().take(BOOT_CODE).any(|byte| *byte != 0);
    let types = partition_types(head);
    let has_esp = types.contains(&&ESP[..]) || has_old_esp(head);
    if has_esp && !types.contains(&&BIOS_BOOT[..]) && !has_boot_code {
        Firmware::Uefi
    } else {
        Firmware::Bios
    }
}

/// Whether a partition table of the BIOS (MBR) has an EFI system partition: type EF.
fn has_old_esp(head: &[u8]) -> bool {
    let mut types = (0..4).map(|entry| head.get(446 + 16 * entry + 4));
    head.get(510..512) == Some(&[0x55, 0xaa][..]) && types.any(|kind| kind == Some(&0xef))
}

/// The types of the partitions in a GPT; empty without one.
fn partition_types(head: &[u8]) -> Vec<&[u8]> {
    let Some(header) = head.get(SECTOR..2 * SECTOR) else {
        return Vec::new();
    };
    if !header.starts_with(b"EFI PART") {
        return Vec::new();
    }
    let number = |at: usize| {
        let bytes = header[at..at + 4].iter().rev();
        bytes.fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte))
    };
    // What does not fit into the bytes that were read is left out.
    let (first, count, size) = (number(72), number(80).min(128), number(84).clamp(128, SECTOR));
    (0..count)
        .filter_map(|entry| {
            let at = first.checked_mul(SECTOR)?.checked_add(entry * size)?;
            head.get(at..at.checked_add(16)?)
        })
        .collect()
}

/// The firmware for a disk image. A disk whose first sectors cannot be read, because they are compressed in a way that is
/// not supported here, gets the BIOS.
pub(super) fn detect(path: &std::path::Path, format: Format) -> Result<Firmware, HeaderError> {
    let file = std::fs::File::open(path)?;
    let head = match format {
        Format::Raw => read_at(&file, 0, HEAD)?,
        Format::Qcow2 => {
            let disk = Qcow2::open(&file)?;
            if disk.is_cut()? {
                return Err(HeaderError::Unfit {
                    cause: "it is incomplete: it ends before data that its tables name".to_owned(),
                    hint: "download it again, and give its `sha256` in the topology",
                });
            }
            disk.head(HEAD)?
        }
    };
    Ok(firmware(&head))
}
