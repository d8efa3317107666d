//! What boots a disk, and the reader of qcow2 files beneath it.

use std::fs::File;
use std::io::Write as _;

use super::boot::{BIOS_BOOT, ESP, HEAD, detect, firmware};
use super::manifest::Format;
use super::qcow2::{COMPRESSED, Qcow2};
use crate::inventory::Firmware;

/// The beginning of a disk with a GPT of partitions of these types.
pub(super) fn gpt(types: &[[u8; 16]]) -> Vec<u8> {
    let mut head = vec![0_u8; HEAD];
    head[510..512].copy_from_slice(&[0x55, 0xaa]);
    head[512..520].copy_from_slice(b"EFI PART");
    head[512 + 72] = 2;
    head[512 + 80] = 128;
    head[512 + 84] = 128;
    for (at, kind) in types.iter().enumerate() {
        head[1024 + at * 128..][..16].copy_from_slice(kind);
    }
    head
}

pub(super) const EFI_ONLY: [[u8; 16]; 2] = [[7; 16], ESP];

#[test]
fn only_a_disk_that_nothing_else_can_boot_gets_uefi() {
    assert_eq!(firmware(&gpt(&EFI_ONLY)), Firmware::Uefi);
    assert_eq!(firmware(&gpt(&[ESP, BIOS_BOOT])), Firmware::Bios);
    assert_eq!(firmware(&gpt(&[[7; 16]])), Firmware::Bios);
    let mut with_code = gpt(&EFI_ONLY);
    with_code[0] = 0xeb;
    assert_eq!(firmware(&with_code), Firmware::Bios);
    let mut without_table = gpt(&EFI_ONLY);
    without_table[512] = 0;
    assert_eq!(firmware(&without_table), Firmware::Bios);
    // The same in a partition table of the BIOS.
    without_table[446 + 16 + 4] = 0xef;
    assert_eq!(firmware(&without_table), Firmware::Uefi);
    without_table[0] = 0xeb;
    assert_eq!(firmware(&without_table), Firmware::Bios);
}

#[test]
fn a_disk_that_is_short_or_lies_about_its_table_is_read_within_its_bounds() {
    for length in [0, 1, 511, 512, 1000, 1024, 1040, 1100] {
        let _ = firmware(&gpt(&EFI_ONLY)[..length]);
    }
    for at in 512..1024 {
        let mut head = gpt(&EFI_ONLY);
        head[at] = 0xff;
        let _ = firmware(&head);
    }
}

/// A qcow2 file of 4 GiB whose disk begins with these bytes, in clusters of this size.
pub(super) fn qcow2(head: &[u8], cluster_bits: u32, compress: bool) -> Vec<u8> {
    let size = 1_usize << cluster_bits;
    let mut file = vec![0_u8; 3 * size.max(512)];
    file[..4].copy_from_slice(b"QFI\xfb");
    file[7] = 3;
    file[20..24].copy_from_slice(&cluster_bits.to_be_bytes());
    file[24..32].copy_from_slice(&(4_u64 << 30).to_be_bytes());
    file[40..48].copy_from_slice(&(size as u64).to_be_bytes());
    let level_2 = 2 * size;
    file[size..size + 8].copy_from_slice(&((level_2 as u64) | 1 << 63).to_be_bytes());
    for (at, bytes) in head.chunks(size).enumerate() {
        let place = file.len() as u64;
        let entry = if compress {
            let mut packer = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
            packer.write_all(bytes).unwrap();
            let short = packer.finish().unwrap();
            let sectors = (place % 512 + short.len() as u64).div_ceil(512) - 1;
            file.extend(short);
            COMPRESSED | sectors << (62 - (cluster_bits - 8)) | place
        } else {
            file.resize(file.len().next_multiple_of(size), 0);
            let place = file.len() as u64;
            file.extend(bytes);
            place | 1 << 63
        };
        let slot = level_2 + at * 8;
        file[slot..slot + 8].copy_from_slice(&entry.to_be_bytes());
    }
    file
}

#[test]
fn the_beginning_of_a_disk_is_read_whatever_its_clusters_are() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("disk");
    for cluster_bits in [9, 12, 16, 21] {
        for compress in [false, true] {
            std::fs::write(&path, qcow2(&gpt(&EFI_ONLY), cluster_bits, compress)).unwrap();
            let file = File::open(&path).unwrap();
            let head = Qcow2::open(&file).unwrap().head(HEAD).unwrap();
            assert!(head == gpt(&EFI_ONLY), "2^{cluster_bits}, compressed: {compress}");
            assert_eq!(detect(&path, Format::Qcow2).unwrap(), Firmware::Uefi);
        }
    }
    std::fs::write(&path, gpt(&EFI_ONLY)).unwrap();
    assert_eq!(detect(&path, Format::Raw).unwrap(), Firmware::Uefi);
}

#[test]
fn an_interrupted_download_is_incomplete() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("disk");
    for (cluster_bits, compress) in [(9, false), (12, false), (12, true), (16, true)] {
        let mut whole = qcow2(&gpt(&EFI_ONLY), cluster_bits, compress);
        whole[39] = 1;
        std::fs::write(&path, &whole).unwrap();
        assert_eq!(detect(&path, Format::Qcow2).unwrap(), Firmware::Uefi);
        let size = 1_usize << cluster_bits;
        for length in [size + 4, 2 * size + 8, 3 * size] {
            std::fs::write(&path, &whole[..length]).unwrap();
            let error = detect(&path, Format::Qcow2).unwrap_err().to_string();
            assert!(
                error.contains("it is incomplete"),
                "2^{cluster_bits}, {length}: {error}"
            );
        }
    }
}

#[test]
fn a_file_that_lies_about_its_tables_is_read_within_its_bounds() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("disk");
    let good = qcow2(&gpt(&EFI_ONLY), 12, true);
    for at in (20..48).chain(4096..4104).chain(8192..8200) {
        let mut file = good.clone();
        file[at] = 0xff;
        std::fs::write(&path, file).unwrap();
        // An error or any firmware: it must end, and quickly.
        let _ = detect(&path, Format::Qcow2);
    }
}
