//! Packs local files once for all nodes: an archive in a temporary file, and the digests of its files.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::TransferError;
use crate::base::digest::hex;
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

/// Packed files, which can be sent any number of times.
pub struct Archive {
    pub(super) contents: File,
    /// Bytes of the archive.
    pub size: u64,
    /// Path under the destination and SHA-256 of each regular file.
    pub(super) digests: Vec<(String, String)>,
    /// Directory on the node.
    pub(super) directory: String,
    /// The path that must not be a directory there, if one file is renamed.
    pub(super) file: Option<String>,
}

impl Archive {
    /// Packs sources for a destination on the nodes. With one file and a destination that does not end in
    /// `/`, the destination is the file's new path; otherwise it is a directory, created if missing, that
    /// gets each source under its own name. Modes and symlinks are kept; the owner is the login user.
    pub fn pack(sources: &[PathBuf], destination: &str) -> Result<Self, TransferError> {
        let bad = |message: &str| TransferError::Source {
            path: PathBuf::from(destination),
            message: message.into(),
        };
        if destination.is_empty() || destination.contains(['\0', '\n']) {
            return Err(bad("not a valid destination"));
        }
        let single = match sources {
            [] => return Err(bad("nothing to send")),
            [one] => fs::metadata(one)
                .map_err(|e| TransferError::unreadable(one, e))?
                .is_file(),
            _ => false,
        };
        let (directory, renamed) = match destination.rsplit_once('/') {
            Some((_, "")) => (destination, None),
            Some(("", name)) if single => ("/", Some(name)),
            Some((directory, name)) if single => (directory, Some(name)),
            None if single => (".", Some(destination)),
            _ => (destination, None),
        };
        let archive = tempfile::tempfile().map_err(|e| TransferError::local(&std::env::temp_dir(), e))?;
        let mut packer = Packer {
            builder: Builder::new(io::BufWriter::new(archive)),
            digests: Vec::new(),
        };
        for source in sources {
            let name = match renamed {
                Some(name) => name.to_owned(),
                None => own_name(source)?,
            };
            // A source that is itself a symlink is followed, as cp and scp do; links inside are kept.
            packer.add(source, &format!("./{name}"), true)?;
        }
        let Packer { builder, digests } = packer;
        let finish = || {
            let archive = builder
                .into_inner()?
                .into_inner()
                .map_err(io::IntoInnerError::into_error)?;
            let size = archive.metadata()?.len();
            Ok((archive, size))
        };
        let (archive, size) = finish().map_err(|e| TransferError::local(&std::env::temp_dir(), e))?;
        Ok(Self {
            contents: archive,
            size,
            digests,
            directory: directory.to_owned(),
            file: renamed.map(|_| destination.to_owned()),
        })
    }

    /// Number of regular files.
    pub fn files(&self) -> usize {
        self.digests.len()
    }
}

fn own_name(source: &Path) -> Result<String, TransferError> {
    let whole = fs::canonicalize(source).map_err(|e| TransferError::unreadable(source, e))?;
    let named = source.file_name().or_else(|| whole.file_name());
    named
        .and_then(|name| name.to_str())
        .map(str::to_owned)
        .ok_or_else(|| TransferError::Source {
            path: source.to_owned(),
            message: "it has no valid name".into(),
        })
}

struct Packer {
    builder: Builder<io::BufWriter<File>>,
    digests: Vec<(String, String)>,
}

impl Packer {
    fn add(&mut self, path: &Path, name: &str, follow: bool) -> Result<(), TransferError> {
        // Reading the source and writing the archive can fail.
        let at_fault = |source: io::Error| match source.kind() {
            io::ErrorKind::StorageFull => TransferError::local(&std::env::temp_dir(), source),
            _ => TransferError::unreadable(path, source),
        };
        let refused = |message: &str| TransferError::Source {
            path: path.to_owned(),
            message: message.into(),
        };
        // The list for sha256sum has one name per line.
        if name.contains(['\n', '\r', '\\']) {
            return Err(refused("a name with a line end or a backslash cannot be sent"));
        }
        let meta = if follow {
            fs::metadata(path)
        } else {
            fs::symlink_metadata(path)
        }
        .map_err(at_fault)?;
        let mut header = Header::new_gnu();
        header.set_mode(meta.permissions().mode() & 0o7777);
        let modified = meta
            .modified()
            .ok()
            .and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
        header.set_mtime(modified.map_or(0, |t| t.as_secs()));
        header.set_uid(0);
        header.set_gid(0);
        if meta.is_dir() {
            header.set_entry_type(EntryType::Directory);
            header.set_size(0);
            self.builder
                .append_data(&mut header, name, io::empty())
                .map_err(at_fault)?;
            let mut entries: Vec<_> = fs::read_dir(path)
                .map_err(at_fault)?
                .collect::<Result<_, _>>()
                .map_err(at_fault)?;
            entries.sort_by_key(fs::DirEntry::file_name);
            for entry in entries {
                let child = entry.file_name();
                let child = child
                    .to_str()
                    .ok_or_else(|| refused("it contains a name that is not UTF-8"))?;
                self.add(&entry.path(), &format!("{name}/{child}"), false)?;
            }
        } else if meta.file_type().is_symlink() {
            header.set_entry_type(EntryType::Symlink);
            header.set_size(0);
            let target = fs::read_link(path).map_err(at_fault)?;
            self.builder
                .append_link(&mut header, name, target)
                .map_err(at_fault)?;
        } else if meta.is_file() {
            header.set_entry_type(EntryType::Regular);
            header.set_size(meta.len());
            let file = File::open(path).map_err(at_fault)?;
            let mut reader = Hashing {
                inner: file.take(meta.len()),
                hash: Sha256::new(),
                count: 0,
            };
            self.builder
                .append_data(&mut header, name, &mut reader)
                .map_err(at_fault)?;
            if reader.count != meta.len() {
                return Err(refused("it became shorter while it was being read"));
            }
            self.digests.push((name.to_owned(), hex(&reader.hash.finalize())));
        } else {
            return Err(refused("it is neither a file nor a directory nor a symlink"));
        }
        Ok(())
    }
}

struct Hashing<R> {
    inner: R,
    hash: Sha256,
    count: u64,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        self.hash.update(&buf[..read]);
        self.count += read as u64;
        Ok(read)
    }
}
