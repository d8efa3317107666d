//! Unpacks a tar stream from a node that may be hostile. The `tar` crate only parses the stream;
//! every name, link and size is checked here.
//!
//! - Names stay under the destination: no absolute names, no `..`, and no symlink in the path.
//! - Symlinks are created last; those that point outside the destination, and devices, are skipped.
//! - Sizes, counts, depth, and the stream as a whole are bounded: a node can send endless headers, and
//!   skipped entries of any size. Set-id bits and write access for others are dropped.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};
use tar::{Archive, Entry, EntryType, PaxExtensions};

use crate::base::digest::hex;

/// The longest header that contains a name.
const HEADER_LIMIT: u64 = 64 * 1024;

/// The longest path, which also limits the depth: each component costs a file system access.
const PATH_LIMIT: usize = 4096;
const DEPTH_LIMIT: usize = 256;

/// Fetched files are not writable by others, whatever the umask.
pub(super) const DIRECTORY_MODE: u32 = 0o755;

/// Bytes of all names together: they are kept in memory until the digests are compared.
const NAMES_LIMIT: usize = 256 << 20;

/// Notes about skipped entries that are kept; the rest is counted.
const SKIPPED_LIMIT: usize = 1000;

/// Bytes of headers and padding that an entry may take on average.
const OVERHEAD: u64 = 4096;

/// What was unpacked.
#[derive(Debug, Default)]
pub(super) struct Unpacked {
    /// Digests by the path that the node sent.
    pub(super) digests: HashMap<String, String>,
    pub(super) bytes: u64,
    pub(super) entries: usize,
    pub(super) skipped: Vec<String>,
}

/// Why unpacking stopped.
#[derive(Debug)]
pub(super) enum UnpackError {
    Refused { entry: String, reason: String },
    Local { path: PathBuf, source: io::Error },
    Stream(io::Error),
}

/// Limits on what one node may send.
#[derive(Clone, Copy, Debug)]
pub struct PullLimits {
    /// Bytes of all files together.
    pub bytes: u64,
    /// Files, directories and links together.
    pub entries: usize,
}

impl Default for PullLimits {
    fn default() -> Self {
        Self {
            bytes: 8 << 30,
            entries: 1_000_000,
        }
    }
}

/// Unpacks into a directory, which must exist.
pub(super) fn unpack(stream: impl Read, into: &Path, limits: &PullLimits) -> Result<Unpacked, UnpackError> {
    let allowed = limits
        .bytes
        .saturating_add(OVERHEAD * (limits.entries as u64).saturating_add(32));
    let mut archive = Archive::new(Bounded {
        stream,
        left: allowed,
    });
    let entries = archive.entries().map_err(UnpackError::Stream)?.raw(true);
    let mut work = Work {
        into,
        limits,
        done: Unpacked::default(),
        links: Vec::new(),
        modes: Vec::new(),
        count: 0,
        names: 0,
        unnoted: 0,
    };
    let (mut long_name, mut long_link) = (None, None);
    for entry in entries {
        let mut entry = entry.map_err(UnpackError::Stream)?;
        match entry.header().entry_type() {
            EntryType::GNULongName => long_name = Some(long(&mut entry)?),
            EntryType::GNULongLink => long_link = Some(long(&mut entry)?),
            EntryType::XHeader => {
                let text = long(&mut entry)?;
                for record in PaxExtensions::new(&text).flatten() {
                    match record.key_bytes() {
                        b"path" => long_name = Some(record.value_bytes().to_vec()),
                        b"linkpath" => long_link = Some(record.value_bytes().to_vec()),
                        // A size that differs from the header's would break the parsing of the stream.
                        b"size" => return Err(refused("a file of more than 8 GiB", "it is too large")),
                        _ => {}
                    }
                }
            }
            EntryType::XGlobalHeader => {
                long(&mut entry)?;
            }
            _ => {
                let name = long_name
                    .take()
                    .unwrap_or_else(|| entry.path_bytes().into_owned());
                let header_link = || entry.link_name_bytes().map(std::borrow::Cow::into_owned);
                let link = long_link.take().or_else(header_link);
                work.entry(&mut entry, trimmed(&name), link.as_deref().map(trimmed))?;
            }
        }
    }
    work.finish()
}

/// A stream of limited length.
struct Bounded<R> {
    stream: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(buf)?;
        match self.left.checked_sub(read as u64) {
            Some(left) => self.left = left,
            None => return Err(io::Error::other("it sends more than the limit")),
        }
        Ok(read)
    }
}

fn refused(entry: &str, reason: &str) -> UnpackError {
    UnpackError::Refused {
        entry: entry.to_owned(),
        reason: reason.to_owned(),
    }
}

fn trimmed(name: &[u8]) -> &[u8] {
    name.split(|&b| b == 0).next().unwrap_or_default()
}

fn long<R: Read>(entry: &mut Entry<'_, R>) -> Result<Vec<u8>, UnpackError> {
    if entry.size() > HEADER_LIMIT {
        return Err(refused("a header", "it is too long"));
    }
    let mut text = Vec::new();
    entry.read_to_end(&mut text).map_err(UnpackError::Stream)?;
    Ok(text)
}

struct Work<'a> {
    into: &'a Path,
    limits: &'a PullLimits,
    done: Unpacked,
    links: Vec<(PathBuf, PathBuf)>,
    modes: Vec<(PathBuf, u32)>,
    count: usize,
    names: usize,
    /// Skipped entries that are only counted.
    unnoted: usize,
}

impl Work<'_> {
    /// Skips an entry, with a note.
    fn skip(&mut self, shown: &str, why: &str) {
        if self.done.skipped.len() < SKIPPED_LIMIT {
            self.done.skipped.push(format!("{shown} ({why})"));
        } else {
            self.unnoted += 1;
        }
    }

    fn entry<R: Read>(
        &mut self,
        entry: &mut Entry<'_, R>,
        name: &[u8],
        link: Option<&[u8]>,
    ) -> Result<(), UnpackError> {
        self.count += 1;
        self.names += name.len() + link.map_or(0, <[u8]>::len);
        let start = &name[..name.len().min(PATH_LIMIT)];
        let shown = String::from_utf8_lossy(start).escape_debug().to_string();
        if name.len() > PATH_LIMIT || link.is_some_and(|link| link.len() > PATH_LIMIT) {
            return Err(refused(&short(&shown), "the name is too long"));
        }
        if self.names > NAMES_LIMIT {
            return Err(refused(&shown, "the names are too long altogether"));
        }
        if self.count > self.limits.entries {
            return Err(refused(&shown, "there are too many files"));
        }
        let name = std::str::from_utf8(name).map_err(|_| refused(&shown, "the name is not UTF-8"))?;
        let path = inside(name).map_err(|reason| refused(&shown, reason))?;
        if path.components().count() > DEPTH_LIMIT {
            return Err(refused(&short(&shown), "it is nested too deeply"));
        }
        // Other users of this machine must not get write access, whatever the umask.
        let mode = entry.header().mode().unwrap_or(0o600) & 0o755;
        let target = self.into.join(&path);
        match entry.header().entry_type() {
            EntryType::Directory => {
                self.directory(&path, &shown)?;
                self.modes.push((target, mode | 0o700));
            }
            EntryType::Regular | EntryType::Continuous => {
                let digest = self.file(entry, &path, mode, &shown)?;
                self.done.digests.insert(plain(name), digest);
            }
            EntryType::Symlink => {
                let to = link
                    .and_then(|to| std::str::from_utf8(to).ok())
                    .unwrap_or_default();
                if leads_out(&path, to) {
                    self.skip(&shown, "a symlink that points outside");
                } else {
                    self.parents(&path, &shown)?;
                    self.links.push((target, PathBuf::from(to)));
                }
            }
            EntryType::Link => {
                let to = link
                    .and_then(|to| std::str::from_utf8(to).ok())
                    .unwrap_or_default();
                let Some(digest) = self.done.digests.get(&plain(to)).cloned() else {
                    return Err(refused(&shown, "it is a link to something that was not sent"));
                };
                let from = inside(to).map_err(|reason| refused(&shown, reason))?;
                self.clear(&path, &shown)?;
                let from = self.into.join(from);
                fs::hard_link(&from, &target)
                    .map_err(|source| UnpackError::Local { path: target, source })?;
                self.done.digests.insert(plain(name), digest);
            }
            _ => self.skip(&shown, "neither file, directory nor symlink"),
        }
        Ok(())
    }

    fn file<R: Read>(
        &mut self,
        entry: &mut Entry<'_, R>,
        path: &Path,
        mode: u32,
        shown: &str,
    ) -> Result<String, UnpackError> {
        self.clear(path, shown)?;
        let target = self.into.join(path);
        let local = |source| UnpackError::Local {
            path: target.clone(),
            source,
        };
        let mut options = fs::OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&target)
            .map_err(local)?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = entry.read(&mut buffer).map_err(UnpackError::Stream)?;
            if read == 0 {
                break;
            }
            self.done.bytes += read as u64;
            if self.done.bytes > self.limits.bytes {
                return Err(refused(shown, "there is too much data"));
            }
            hash.update(&buffer[..read]);
            file.write_all(&buffer[..read]).map_err(local)?;
        }
        file.set_permissions(fs::Permissions::from_mode(mode))
            .map_err(local)?;
        // Logs are read by their times. An invalid time is no reason to lose the file.
        let age = Duration::from_secs(entry.header().mtime().unwrap_or(0));
        if let Some(time) = SystemTime::UNIX_EPOCH.checked_add(age) {
            let _ = file.set_modified(time);
        }
        Ok(hex(&hash.finalize()))
    }

    /// Creates the parent directories of a path. None may be a symlink, not even one from an earlier pull.
    fn parents(&self, path: &Path, shown: &str) -> Result<(), UnpackError> {
        match path.parent() {
            Some(parent) if parent != Path::new("") => self.directory(parent, shown),
            _ => Ok(()),
        }
    }

    fn directory(&self, path: &Path, shown: &str) -> Result<(), UnpackError> {
        let mut at = self.into.to_owned();
        for part in path.components() {
            at.push(part);
            match fs::symlink_metadata(&at) {
                Ok(meta) if meta.is_dir() => {}
                Ok(_) => return Err(refused(shown, "its path contains a non-directory")),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let made = fs::DirBuilder::new().mode(DIRECTORY_MODE).create(&at);
                    made.map_err(|source| UnpackError::Local {
                        path: at.clone(),
                        source,
                    })?;
                }
                Err(source) => return Err(UnpackError::Local { path: at, source }),
            }
        }
        Ok(())
    }

    /// Removes what an earlier pull left at the path of a file, unless it is a directory.
    fn clear(&self, path: &Path, shown: &str) -> Result<(), UnpackError> {
        if path == Path::new("") {
            return Err(refused(shown, "it has no name"));
        }
        self.parents(path, shown)?;
        let target = self.into.join(path);
        match fs::remove_file(&target) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(UnpackError::Local { path: target, source }),
        }
    }

    fn finish(mut self) -> Result<Unpacked, UnpackError> {
        for (path, to) in std::mem::take(&mut self.links) {
            let relative = path.strip_prefix(self.into).unwrap_or(&path).to_owned();
            self.clear(&relative, &relative.display().to_string())?;
            symlink(to, &path).map_err(|source| UnpackError::Local { path, source })?;
        }
        for (path, mode) in self.modes.iter().rev() {
            // A later entry may have replaced the directory.
            if fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir()) {
                let set = fs::set_permissions(path, fs::Permissions::from_mode(*mode));
                set.map_err(|source| UnpackError::Local {
                    path: path.clone(),
                    source,
                })?;
            }
        }
        if self.unnoted > 0 {
            let more = format!("{} more", self.unnoted);
            self.done.skipped.push(more);
        }
        self.done.entries = self.count;
        Ok(self.done)
    }
}

/// The beginning of a name that is too long to show.
fn short(shown: &str) -> String {
    shown.chars().take(100).chain("...".chars()).collect()
}

/// The path below the destination, if the name stays there.
fn inside(name: &str) -> Result<PathBuf, &'static str> {
    let mut path = PathBuf::new();
    for part in Path::new(name).components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return Err("the name is absolute"),
            Component::ParentDir => return Err("the name points outside"),
        }
    }
    Ok(path)
}

/// The name without `./` and `//`, so that both lists use the same form.
pub(super) fn plain(name: &str) -> String {
    inside(name).map_or_else(|_| name.to_owned(), |path| path.to_string_lossy().into_owned())
}

fn leads_out(path: &Path, to: &str) -> bool {
    // The depth of the link's directory; each `..` goes up one.
    let mut depth = path.components().count().saturating_sub(1);
    for part in Path::new(to).components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 => depth -= 1,
            _ => return true,
        }
    }
    to.is_empty()
}

/// Unpacks bytes from a fuzzer: whatever they are, nothing is created outside, nothing points outside, and
/// nothing is writable by others.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let shm = Path::new("/dev/shm");
    let parent = if shm.is_dir() {
        shm.to_owned()
    } else {
        std::env::temp_dir()
    };
    let Ok(outer) = tempfile::tempdir_in(parent) else {
        return;
    };
    let into = outer.path().join("in");
    let limits = PullLimits {
        bytes: 1 << 20,
        entries: 100,
    };
    if fs::create_dir(&into).is_ok() {
        let _ = unpack(bytes, &into, &limits);
        let outside = fs::read_dir(outer.path()).map(Iterator::count);
        assert!(
            outside.is_ok_and(|count| count == 1),
            "something was created outside"
        );
        let mut total = 0;
        look(&into, &into, &mut total);
        assert!(total <= limits.bytes + (64 << 10), "{total} bytes arrived");
    }
}

#[cfg(any(test, feature = "fuzzing"))]
fn look(root: &Path, at: &Path, total: &mut u64) {
    for entry in fs::read_dir(at).into_iter().flatten().filter_map(Result::ok) {
        let (path, Ok(meta)) = (entry.path(), entry.metadata()) else {
            continue;
        };
        if meta.is_symlink() {
            let to = fs::read_link(&path).unwrap_or_default();
            let relative = path.strip_prefix(root).unwrap_or(&path);
            assert!(
                !leads_out(relative, &to.to_string_lossy()),
                "{} points outside",
                path.display()
            );
            continue;
        }
        assert_eq!(meta.permissions().mode() & 0o7022, 0, "{}", path.display());
        if meta.is_dir() {
            look(root, &path, total);
        } else {
            assert!(meta.is_file(), "{} is not a file", path.display());
            *total += meta.len();
        }
    }
}

#[cfg(test)]
#[path = "unpack_tests.rs"]
mod tests;
