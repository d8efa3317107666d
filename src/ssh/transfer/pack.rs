//! Packs local files once for all nodes: an archive in a temporary file, and the digests of its files.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use nix::fcntl::OFlag;

use super::TransferError;
use super::names::{encoded, from_home, plain, shown};
use super::noted::Noted;
use super::tarfile::{Entry, Fault, TarFile};

/// The most bytes that are read of a file whose size is reported as 0, as those of `/proc`.
const UNKNOWN_SIZE: u64 = 64 << 20;

/// The most parts of a name: each level of a tree takes space on the stack.
const DEPTH_LIMIT: usize = 256;

/// Packed files, which can be sent any number of times.
pub struct Archive {
    pub(super) contents: File,
    /// Bytes of the archive.
    pub size: u64,
    /// A line `MODE PATH` for each directory, parents first; the path is encoded.
    pub(super) directories: String,
    /// SHA-256 of each regular file, by its path under the destination.
    pub(super) digests: HashMap<Vec<u8>, String>,
    /// Directory on the node.
    pub(super) directory: Vec<u8>,
    /// The path that must not be a directory there, if one file is renamed.
    pub(super) file: Option<Vec<u8>>,
    /// Entries of the sources that are not in the archive, with the reason: sockets, named pipes, devices, and what
    /// could not be read.
    pub skipped: Noted,
    /// Files that changed while they were read: their bytes up to some moment are in the archive.
    pub changed: Noted,
}

impl Archive {
    /// Packs sources for a destination on the nodes. With one file and a destination that does not end in
    /// `/`, the destination is the file's new path; otherwise it is a directory, created if missing, that
    /// gets each source under its own name. Modes and symlinks are kept; the owner is the login user.
    ///
    /// It is an error if a source does not exist, or if the only one cannot be sent.
    pub fn pack(sources: &[PathBuf], destination: impl AsRef<OsStr>) -> Result<Self, TransferError> {
        let destination = from_home(destination.as_ref().as_bytes());
        let bad = |message: &str| TransferError::Source {
            path: PathBuf::from(OsStr::from_bytes(destination)),
            message: message.into(),
        };
        if destination.is_empty() || destination.contains(&0) {
            return Err(bad("not a valid destination"));
        }
        let is_file = match sources {
            [] => return Err(bad("nothing to send")),
            [one] => fs::metadata(one)
                .map_err(|e| TransferError::unreadable(one, e))?
                .is_file(),
            _ => false,
        };
        let (directory, renamed) = parts(destination, is_file);
        let archive = tempfile::tempfile().map_err(unwritten)?;
        let mut packer = Packer {
            archive: TarFile::new(archive),
            directories: String::new(),
            digests: HashMap::new(),
            skipped: Noted::default(),
            changed: Noted::default(),
        };
        for source in sources {
            let name = match renamed {
                Some(name) => name.to_vec(),
                None => own_name(source)?,
            };
            packer.source(source, &[&b"./"[..], &name].concat(), sources.len() == 1)?;
        }
        let (contents, size) = packer.archive.finish().map_err(unwritten)?;
        Ok(Self {
            contents,
            size,
            directories: packer.directories,
            digests: packer.digests,
            directory: directory.to_vec(),
            file: renamed.map(|_| destination.to_vec()),
            skipped: packer.skipped,
            changed: packer.changed,
        })
    }

    /// Number of regular files.
    pub fn files(&self) -> usize {
        self.digests.len()
    }
}

/// The directory of a destination, and the new name of a file.
fn parts(destination: &[u8], is_file: bool) -> (&[u8], Option<&[u8]>) {
    let (directory, name) = match destination.iter().rposition(|byte| *byte == b'/') {
        Some(0) => (&b"/"[..], &destination[1..]),
        Some(at) => (&destination[..at], &destination[at + 1..]),
        None => (&b"."[..], destination),
    };
    if is_file && !matches!(name, b"" | b"." | b"..") {
        (directory, Some(name))
    } else {
        (destination, None)
    }
}

fn own_name(source: &Path) -> Result<Vec<u8>, TransferError> {
    let whole = fs::canonicalize(source).map_err(|e| TransferError::unreadable(source, e))?;
    let named = source.file_name().or_else(|| whole.file_name());
    named
        .map(|name| name.as_bytes().to_vec())
        .ok_or_else(|| TransferError::Source {
            path: source.to_owned(),
            message: "it has no valid name".into(),
        })
}

fn unwritten(error: io::Error) -> TransferError {
    TransferError::local(&std::env::temp_dir(), error)
}

/// Why an entry is not in the archive.
enum Omission {
    /// It cannot be read.
    Unreadable(io::Error),
    /// It is of a kind that is not sent.
    Kind(&'static str),
    /// The archive cannot be written.
    Fatal(TransferError),
}

impl From<Fault> for Omission {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Source(error) => Self::Unreadable(error),
            Fault::Archive(error) => Self::Fatal(unwritten(error)),
        }
    }
}

struct Packer {
    archive: TarFile,
    directories: String,
    digests: HashMap<Vec<u8>, String>,
    skipped: Noted,
    changed: Noted,
}

impl Packer {
    /// Adds a source. One that is itself a symlink is followed, as cp and scp do; links inside are kept.
    fn source(&mut self, path: &Path, name: &[u8], is_only: bool) -> Result<(), TransferError> {
        let added = match fs::metadata(path) {
            Ok(meta) => self.add(path, name, &meta),
            Err(error) => Err(Omission::Unreadable(error)),
        };
        match added {
            Err(Omission::Unreadable(error)) if is_only || error.kind() == io::ErrorKind::NotFound => {
                Err(TransferError::unreadable(path, error))
            }
            Err(Omission::Kind(kind)) if is_only => Err(TransferError::Source {
                path: path.to_owned(),
                message: format!("it is {kind}"),
            }),
            other => self.noted(path, other),
        }
    }

    /// Notes an entry that is not in the archive.
    fn noted(&mut self, path: &Path, added: Result<(), Omission>) -> Result<(), TransferError> {
        let shown = || shown(path.as_os_str().as_bytes());
        match added {
            Ok(()) => {}
            Err(Omission::Unreadable(error)) => self.skipped.add(format!("{} ({error})", shown())),
            Err(Omission::Kind(kind)) => self.skipped.add(format!("{} ({kind})", shown())),
            Err(Omission::Fatal(error)) => return Err(error),
        }
        Ok(())
    }

    fn add(&mut self, path: &Path, name: &[u8], meta: &Metadata) -> Result<(), Omission> {
        let kind = meta.file_type();
        if name.split(|byte| *byte == b'/').count() > DEPTH_LIMIT {
            Err(Omission::Kind("nested too deeply"))
        } else if kind.is_dir() {
            self.directory(path, name, meta)
        } else if kind.is_symlink() {
            let to = fs::read_link(path).map_err(Omission::Unreadable)?;
            let added = self.archive.symlink(entry(name, meta), to.as_os_str().as_bytes());
            added.map_err(|error| Omission::Fatal(unwritten(error)))
        } else if kind.is_file() {
            self.file(path, name)
        } else if kind.is_socket() {
            Err(Omission::Kind("a socket"))
        } else if kind.is_fifo() {
            Err(Omission::Kind("a named pipe"))
        } else {
            Err(Omission::Kind("a device"))
        }
    }

    fn directory(&mut self, path: &Path, name: &[u8], meta: &Metadata) -> Result<(), Omission> {
        let mode = meta.permissions().mode() & 0o7777;
        self.directories
            .push_str(&format!("{mode:04o} {}\n", encoded(name)));
        let mut children = Vec::new();
        for child in fs::read_dir(path).map_err(Omission::Unreadable)? {
            children.push(child.map_err(Omission::Unreadable)?.file_name());
        }
        children.sort();
        for child in children {
            let path = path.join(&child);
            let name = [name, b"/", &child.into_vec()].concat();
            let added = match fs::symlink_metadata(&path) {
                Ok(meta) => self.add(&path, &name, &meta),
                Err(error) => Err(Omission::Unreadable(error)),
            };
            self.noted(&path, added).map_err(Omission::Fatal)?;
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, name: &[u8]) -> Result<(), Omission> {
        // Should it be a named pipe by now, it must not block.
        let mut options = fs::OpenOptions::new();
        let options = options.read(true).custom_flags(OFlag::O_NONBLOCK.bits());
        let mut file = options.open(path).map_err(Omission::Unreadable)?;
        let before = file.metadata().map_err(Omission::Unreadable)?;
        if !before.is_file() {
            return Err(Omission::Kind("no longer a file"));
        }
        let most = match before.len() {
            0 => UNKNOWN_SIZE,
            size => size,
        };
        let mut content = Read::by_ref(&mut file).take(most);
        let digest = self
            .archive
            .file(entry(name, &before), before.len(), &mut content)?;
        if before.len() == 0 && content.limit() == 0 {
            let path = shown(path.as_os_str().as_bytes());
            let cut = "all but its first 64 MiB, because its size is reported as 0";
            self.skipped.add(format!("{path} ({cut})"));
        }
        let name = plain(name);
        if self.digests.get(&name).is_some_and(|other| *other != digest) {
            let name = shown(&name);
            return Err(Omission::Fatal(TransferError::Source {
                path: path.to_owned(),
                message: format!("another source has the file {name} too, and one would replace the other"),
            }));
        }
        self.digests.insert(name, digest);
        let is_same =
            |after: &Metadata| after.len() == before.len() && after.modified().ok() == before.modified().ok();
        if !file.metadata().is_ok_and(|after| is_same(&after)) {
            self.changed.add(shown(path.as_os_str().as_bytes()));
        }
        Ok(())
    }
}

fn entry<'a>(name: &'a [u8], meta: &Metadata) -> Entry<'a> {
    Entry {
        name,
        mode: meta.permissions().mode() & 0o7777,
        modified: modified(meta),
    }
}

/// Seconds since 1970.
fn modified(meta: &Metadata) -> u64 {
    let modified = meta.modified().ok();
    let age = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    age.map_or(0, |age| age.as_secs())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    fn parts(destination: &str, is_file: bool) -> (&str, Option<&str>) {
        let text = |bytes| std::str::from_utf8(bytes).unwrap();
        let (directory, name) = super::parts(destination.as_bytes(), is_file);
        (text(directory), name.map(text))
    }

    #[test]
    fn one_file_may_get_a_new_name() {
        assert_eq!(parts("/etc/x.conf", true), ("/etc", Some("x.conf")));
        assert_eq!(parts("/x", true), ("/", Some("x")));
        assert_eq!(parts("-x", true), (".", Some("-x")));
        for directory in ["/etc/", "/", ".", "a/.."] {
            assert_eq!(parts(directory, true), (directory, None));
        }
        assert_eq!(parts("/etc/x", false), ("/etc/x", None));
    }

    #[test]
    fn odd_entries_of_a_source_are_named_and_cost_no_other() {
        let temp = tempfile::tempdir().unwrap();
        let tree = temp.path().join("tree");
        fs::create_dir(&tree).unwrap();
        let _socket = UnixListener::bind(tree.join("socket")).unwrap();
        nix::unistd::mkfifo(&tree.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        fs::write(tree.join("z"), "text").unwrap();
        let archive = Archive::pack(std::slice::from_ref(&tree), "/to/").unwrap();
        assert_eq!(archive.files(), 1);
        assert_eq!(archive.skipped.count(), 2);
        let named = archive.skipped.lines(9).join("\n");
        assert!(
            named.contains("socket (a socket)") && named.contains("pipe (a named pipe)"),
            "{named}"
        );
        // As the only source, one is an error; so is any that does not exist.
        let pipe = tree.join("pipe");
        assert!(Archive::pack(std::slice::from_ref(&pipe), "/to/").is_err());
        let archive = Archive::pack(&[pipe, tree.join("z")], "/to/").unwrap();
        assert_eq!((archive.files(), archive.skipped.count()), (1, 1));
        assert!(Archive::pack(&[tree.join("z"), tree.join("missing")], "/to/").is_err());
    }

    #[test]
    fn sources_of_one_name_may_be_equal_but_not_replace_each_other() {
        let temp = tempfile::tempdir().unwrap();
        let [a, b, c] = [("a", "same"), ("b", "same"), ("c", "other")].map(|(name, content)| {
            let directory = temp.path().join(name).join("etc");
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join("conf"), content).unwrap();
            directory
        });
        assert_eq!(Archive::pack(&[a.clone(), b], "/").unwrap().files(), 1);
        let error = Archive::pack(&[a, c.clone()], "/").err().unwrap().to_string();
        let expected = format!(
            "{}: another source has the file etc/conf too, and one would replace the other",
            c.join("conf").display()
        );
        assert_eq!(error, expected);
    }

    #[test]
    fn a_tree_without_end_is_named_and_costs_no_other() {
        let temp = tempfile::tempdir().unwrap();
        let tree = temp.path().join("tree");
        fs::create_dir_all(tree.join("d/".repeat(400))).unwrap();
        fs::write(tree.join("z"), "text").unwrap();
        let archive = Archive::pack(&[tree], "/to/").unwrap();
        assert_eq!((archive.files(), archive.skipped.count()), (1, 1));
        assert!(archive.skipped.lines(1).concat().ends_with("(nested too deeply)"));
    }

    #[test]
    fn the_content_counts_and_not_the_size_that_is_reported() {
        let archive = Archive::pack(&["/proc/self/status".into()], "/to/").unwrap();
        assert!(archive.size > 512 + 512 + 1024, "{}", archive.size);
    }
}
