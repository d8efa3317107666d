//! Reads the beginning of the disk in a qcow2 file (QEMU, docs/interop/qcow2.rst). Whatever the file claims, little is
//! read and all of it is checked: an image may be of anybody.

use std::fs::File;
use std::io::Read as _;

use flate2::read::DeflateDecoder;

use super::header::{HeaderError, read_at};

/// Flags of an entry of a level 2 table.
pub(super) const COMPRESSED: u64 = 1 << 62;
const ZERO: u64 = 1;
/// The bits of an entry that are the place of its cluster.
const PLACE: u64 = 0x00ff_ffff_ffff_fe00;
/// Incompatible features: another compression than zlib's, and entries with subclusters.
const COMPRESSION_TYPE: u64 = 1 << 3;
const SUBCLUSTERS: u64 = 1 << 4;

/// Bytes of level 2 tables that are examined at most.
const MAX_TABLES: usize = 64 << 20;

/// A qcow2 file.
pub(super) struct Qcow2<'a> {
    file: &'a File,
    cluster_bits: u32,
    level_1: u64,
    /// Entries of the level 1 table.
    tables: u64,
    features: u64,
    compression: u8,
}

impl<'a> Qcow2<'a> {
    /// Reads the header. Its first checks are those of `header`.
    pub(super) fn open(file: &'a File) -> Result<Self, HeaderError> {
        let start = read_at(file, 0, 112)?;
        let refuse = || HeaderError::Unusable("its qcow2 header is invalid".to_owned());
        let version = number(&start, 4, 4).ok_or_else(refuse)?;
        let cluster_bits = number(&start, 20, 4).ok_or_else(refuse)?;
        // QEMU's own limits: 512 bytes to 2 MiB.
        let cluster_bits = u32::try_from(cluster_bits)
            .ok()
            .filter(|bits| (9..=21).contains(bits));
        let is_3 = version == 3;
        Ok(Self {
            file,
            cluster_bits: cluster_bits.ok_or_else(refuse)?,
            level_1: number(&start, 40, 8).ok_or_else(refuse)?,
            tables: number(&start, 36, 4).ok_or_else(refuse)?,
            features: number(&start, 72, 8).filter(|_| is_3).unwrap_or(0),
            compression: start.get(104).copied().filter(|_| is_3).unwrap_or(0),
        })
    }

    /// The first bytes of the disk; zeros where it has no data, and where its data cannot be read here.
    pub(super) fn head(&self, length: usize) -> Result<Vec<u8>, HeaderError> {
        let mut head = Vec::with_capacity(length);
        let wide = self.features & SUBCLUSTERS != 0;
        let width = if wide { 16 } else { 8 };
        let level_2 = match self.level_1 {
            0 => 0,
            table => number(&self.read(table, 8)?, 0, 8).unwrap_or(0) & PLACE,
        };
        let mut index = 0;
        while head.len() < length {
            let entry = match level_2 {
                0 => 0,
                table => number(&self.read(table + index * width, 8)?, 0, 8).unwrap_or(0),
            };
            let mut cluster = self.cluster(entry, wide)?;
            cluster.resize(1 << self.cluster_bits, 0);
            head.extend(cluster);
            index += 1;
        }
        head.truncate(length);
        Ok(head)
    }

    /// Whether the file ends before data that its tables name, as after an interrupted download. Examines the first half
    /// TiB of a disk with the usual clusters.
    pub(super) fn is_cut(&self) -> Result<bool, HeaderError> {
        let length = self.file.metadata()?.len();
        let size = 1_usize << self.cluster_bits;
        let width = if self.features & SUBCLUSTERS != 0 { 16 } else { 8 };
        let tables = usize::try_from(self.tables).unwrap_or(0).min(MAX_TABLES / size);
        let level_1 = self.read(self.level_1, 8 * tables)?;
        if level_1.len() < 8 * tables {
            return Ok(true);
        }
        for entry in level_1.chunks_exact(8) {
            let table = number(entry, 0, 8).unwrap_or(0) & PLACE;
            if table == 0 {
                continue;
            }
            if table + size as u64 > length {
                return Ok(true);
            }
            let level_2 = self.read(table, size)?;
            let mut entries = level_2
                .chunks_exact(width)
                .map(|entry| number(entry, 0, 8).unwrap_or(0));
            if entries.any(|entry| self.place(entry).is_some_and(|place| place >= length)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Where the data of an entry of a level 2 table begins; `None` if it has none.
    fn place(&self, entry: u64) -> Option<u64> {
        if entry & COMPRESSED != 0 {
            return Some(entry & ((1 << self.split()) - 1));
        }
        let is_zero = self.features & SUBCLUSTERS == 0 && entry & ZERO != 0;
        Some(entry & PLACE).filter(|place| *place != 0 && !is_zero)
    }

    /// Bits of the entry of a compressed cluster that are its place.
    fn split(&self) -> u32 {
        62 - (self.cluster_bits - 8)
    }

    /// Reads from a place that the file names, which may be one that no file can have.
    fn read(&self, at: u64, length: usize) -> Result<Vec<u8>, HeaderError> {
        read_at(self.file, at, length).map_err(|error| match error.kind() {
            std::io::ErrorKind::InvalidInput => {
                HeaderError::Unusable("its qcow2 tables are invalid".to_owned())
            }
            _ => error.into(),
        })
    }

    /// The bytes of a cluster, fewer if the rest are zeros.
    fn cluster(&self, entry: u64, wide: bool) -> Result<Vec<u8>, HeaderError> {
        let size = 1_usize << self.cluster_bits;
        if entry & COMPRESSED != 0 {
            return self.compressed(entry, size);
        }
        // With subclusters, this bit has no meaning; a subcluster of zeros has zeros or old data, and the latter only
        // after it was written to once.
        if entry & PLACE == 0 || (!wide && entry & ZERO != 0) {
            return Ok(Vec::new());
        }
        self.read(entry & PLACE, size)
    }

    fn compressed(&self, entry: u64, size: usize) -> Result<Vec<u8>, HeaderError> {
        if self.features & COMPRESSION_TYPE != 0 && self.compression != 0 {
            return Ok(Vec::new());
        }
        let split = self.split();
        let place = entry & ((1 << split) - 1);
        let sectors = ((entry & (COMPRESSED - 1)) >> split) + 1;
        let length = sectors * 512 - place % 512;
        let packed = self.read(place, usize::try_from(length).unwrap_or(0).min(2 * size))?;
        let mut bytes = Vec::new();
        // What follows the stream in its last sector is not part of it, and damaged data gives what came before.
        let _ = DeflateDecoder::new(packed.as_slice())
            .take(size as u64)
            .read_to_end(&mut bytes);
        Ok(bytes)
    }
}

/// A big-endian number.
fn number(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let bytes = bytes.get(at..at + width)?;
    Some(bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}
