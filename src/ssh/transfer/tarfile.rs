//! Writes a tar archive whose entries may become shorter, or fail, while they are read: their size is known only
//! afterwards. The format is that of GNU tar, which busybox reads as well.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};

use sha2::{Digest, Sha256};
use tar::{EntryType, Header};

use crate::base::digest::hex;

const BLOCK: u64 = 512;

/// The fewest zeros that become a hole.
const HOLE: usize = 4096;

/// The longest name that a header has room for, with its end.
const NAME: usize = 99;

/// Why an entry was not written.
#[derive(Debug)]
pub(super) enum Fault {
    /// Its content cannot be read. The archive is as before.
    Source(io::Error),
    /// The archive cannot be written.
    Archive(io::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Archive(error)
    }
}

/// What all entries have.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) name: &'a [u8],
    pub(super) mode: u32,
    /// Seconds since 1970.
    pub(super) modified: u64,
}

/// An archive in a file.
pub(super) struct TarFile {
    file: BufWriter<File>,
    length: u64,
}

impl TarFile {
    /// Writes to an empty file.
    pub(super) fn new(file: File) -> Self {
        Self {
            file: BufWriter::new(file),
            length: 0,
        }
    }

    pub(super) fn symlink(&mut self, entry: Entry<'_>, to: &[u8]) -> io::Result<()> {
        self.long(EntryType::GNULongLink, to)?;
        self.long(EntryType::GNULongName, entry.name)?;
        let mut header = header(entry, EntryType::Symlink, 0);
        let short = &to[..to.len().min(NAME)];
        header.as_old_mut().linkname[..short.len()].copy_from_slice(short);
        header.set_cksum();
        self.write(header.as_bytes())
    }

    /// Writes a file that has `size` bytes at first. Returns the digest of those that were read.
    pub(super) fn file(
        &mut self,
        entry: Entry<'_>,
        size: u64,
        content: &mut dyn Read,
    ) -> Result<String, Fault> {
        let start = self.length;
        self.long(EntryType::GNULongName, entry.name)?;
        let header_at = self.length;
        self.write(header(entry, EntryType::Regular, size).as_bytes())?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match content.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => {
                    hash.update(&buffer[..read]);
                    self.content(&buffer[..read])?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.cut(start)?;
                    return Err(Fault::Source(error));
                }
            }
        }
        let length = self.length - header_at - BLOCK;
        self.pad()?;
        if length != size {
            self.file.seek(SeekFrom::Start(header_at))?;
            self.file
                .write_all(header(entry, EntryType::Regular, length).as_bytes())?;
            self.file.seek(SeekFrom::Start(self.length))?;
        }
        Ok(hex(&hash.finalize()))
    }

    /// The complete archive and its length.
    pub(super) fn finish(mut self) -> io::Result<(File, u64)> {
        self.write(&[0; 2 * BLOCK as usize])?;
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok((file, self.length))
    }

    /// An entry with a name that the header of the next one has no room for.
    fn long(&mut self, kind: EntryType, name: &[u8]) -> io::Result<()> {
        if name.len() <= NAME {
            return Ok(());
        }
        let entry = Entry {
            name: b"././@LongLink",
            mode: 0o644,
            modified: 0,
        };
        self.write(header(entry, kind, name.len() as u64 + 1).as_bytes())?;
        self.write(name)?;
        self.write(&[0])?;
        self.pad()
    }

    /// Zeros become holes: the archive of a sparse file takes no more room here than the file. What follows an entry is
    /// written, so the archive does not end in a hole.
    fn content(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() < HOLE || bytes.iter().any(|byte| *byte != 0) {
            return self.write(bytes);
        }
        self.length += bytes.len() as u64;
        self.file.seek(SeekFrom::Start(self.length)).map(drop)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn pad(&mut self) -> io::Result<()> {
        let rest = self.length.next_multiple_of(BLOCK) - self.length;
        self.write(&[0; BLOCK as usize][..rest as usize])
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(length))?;
        self.file.get_ref().set_len(length)?;
        self.length = length;
        Ok(())
    }
}

fn header(entry: Entry<'_>, kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(entry.mode);
    header.set_mtime(entry.modified);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(size);
    // Not `set_path`, which normalises names and rejects some.
    let short = &entry.name[..entry.name.len().min(NAME)];
    header.as_old_mut().name[..short.len()].copy_from_slice(short);
    header.set_cksum();
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails after some bytes.
    struct Failing(usize);

    impl Read for Failing {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let count = self.0.min(buf.len());
            self.0 -= count;
            match count {
                0 => Err(io::ErrorKind::PermissionDenied.into()),
                _ => Ok(count),
            }
        }
    }

    #[test]
    fn entries_that_end_early_or_fail_leave_a_valid_archive() {
        let mut archive = TarFile::new(tempfile::tempfile().unwrap());
        let long = [b"./".as_slice(), &[0xff; 150]].concat();
        let entry = |name| Entry {
            name,
            mode: 0o640,
            modified: 7,
        };
        let names: [&[u8]; 3] = [b"./short", b"./more", &long];
        for (name, size) in names.into_iter().zip([9, 1, 3]) {
            archive
                .file(entry(name), size, &mut &b"abc"[..])
                .unwrap_or_else(|error| panic!("{error:?}"));
        }
        let failed = archive.file(entry(&long), 100_000, &mut Failing(90_000));
        assert!(matches!(failed, Err(Fault::Source(_))));
        archive.symlink(entry(b"./link"), &long).unwrap();
        let (mut file, length) = archive.finish().unwrap();
        assert_eq!(file.metadata().unwrap().len(), length);
        file.rewind().unwrap();
        let mut found = Vec::new();
        for entry in tar::Archive::new(file).entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut content = String::new();
            entry.read_to_string(&mut content).unwrap();
            let link = entry.link_name_bytes().map(std::borrow::Cow::into_owned);
            found.push((entry.path_bytes().into_owned(), content, link));
        }
        let file = |name: &[u8]| (name.to_vec(), "abc".to_owned(), None);
        let link = (b"./link".to_vec(), String::new(), Some(long.clone()));
        assert_eq!(found, [file(b"./short"), file(b"./more"), file(&long), link]);
    }

    #[test]
    fn the_archive_of_a_sparse_file_is_sparse() {
        use std::os::unix::fs::MetadataExt as _;
        let mut archive = TarFile::new(tempfile::tempfile().unwrap());
        let size = 8 << 20;
        let entry = Entry {
            name: b"./sparse",
            mode: 0o640,
            modified: 7,
        };
        let mut content = io::repeat(0)
            .take(size)
            .chain(&b"end"[..])
            .chain(io::repeat(0).take(size));
        let digest = archive.file(entry, 2 * size + 3, &mut content);
        let (mut file, length) = archive.finish().unwrap();
        let meta = file.metadata().unwrap();
        assert!(meta.len() == length && meta.blocks() * 512 < 1 << 20, "{meta:?}");
        file.rewind().unwrap();
        let mut archive = tar::Archive::new(file);
        let mut entry = archive.entries().unwrap().next().unwrap().unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len() as u64, 2 * size + 3);
        assert_eq!(crate::base::digest::sha256(&bytes), digest.unwrap());
    }
}
