//! The seed as a vfat volume with the label `CIDATA`, as small as its contents allow.

use std::io::{Cursor, Write as _};

use fatfs::{Date, DateTime, FileSystem, FormatVolumeOptions, FsOptions, Time, TimeProvider, format_volume};
use sha2::{Digest as _, Sha256};

use super::{SeedError, SeedFiles};

const SECTOR: usize = 512;

/// The same time for every entry, so that equal seeds are equal bytes.
#[derive(Debug)]
struct NoTime;

impl TimeProvider for NoTime {
    fn get_current_date(&self) -> Date {
        Date {
            year: 1980,
            month: 1,
            day: 1,
        }
    }

    fn get_current_date_time(&self) -> DateTime {
        DateTime {
            date: self.get_current_date(),
            time: Time {
                hour: 0,
                min: 0,
                sec: 0,
                millis: 0,
            },
        }
    }
}

static NO_TIME: NoTime = NoTime;

/// The volume with the files, as the bytes of a raw disk.
pub fn volume(files: &SeedFiles) -> Result<Vec<u8>, SeedError> {
    let contents: [(&str, &[u8]); 4] = [
        ("meta-data", files.meta_data.as_bytes()),
        ("network-config", files.network_config.as_bytes()),
        ("user-data", files.user_data.as_bytes()),
        ("files.tar", &files.files_tar),
    ];
    // Clusters of one sector; there are two FATs with at most 4 bytes per cluster; root directory,
    // boot sector and a reserve for rounding take 32 sectors.
    let data: usize = contents
        .iter()
        .map(|(_, bytes)| bytes.len().div_ceil(SECTOR))
        .sum();
    let sectors = data + data.div_ceil(SECTOR / 8) + 32;
    let mut bytes = vec![0_u8; sectors * SECTOR];
    write(&mut bytes, &contents, serial(&files.instance_id)).map_err(SeedError::Volume)?;
    Ok(bytes)
}

fn write(bytes: &mut [u8], contents: &[(&str, &[u8])], serial: u32) -> std::io::Result<()> {
    let mut disk = Cursor::new(bytes);
    let format = FormatVolumeOptions::new()
        .bytes_per_cluster(SECTOR as u32)
        .max_root_dir_entries(64)
        .volume_id(serial)
        .volume_label(*b"CIDATA     ");
    format_volume(&mut disk, format)?;
    let system = FileSystem::new(&mut disk, FsOptions::new().time_provider(&NO_TIME))?;
    let root = system.root_dir();
    for (name, content) in contents {
        let mut file = root.create_file(name)?;
        file.truncate()?;
        file.write_all(content)?;
        file.flush()?;
    }
    drop(root);
    system.unmount()
}

/// The serial number of the volume: a digest of the instance id instead of the clock.
fn serial(instance_id: &str) -> u32 {
    let digest = Sha256::digest(instance_id.as_bytes());
    u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
}
