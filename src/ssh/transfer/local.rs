//! Writes what a node sends below a local directory. The node may be hostile: every name, link and size is checked here.
//!
//! - Names stay under the destination: no absolute names, no `..`, and no symlink in the path.
//! - Symlinks are created last; those that point outside the destination are skipped.
//! - Sizes, counts and depth are bounded. Set-id bits and write access for others are dropped.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::errno::Errno;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::entry::{Content, Place, PullLimits, Seen, Sent, UnpackError, refused};
use super::names::{inside, leads_out, short, shown};
use super::noted::Noted;
use crate::base::digest::hex;

/// The longest path.
const PATH_LIMIT: usize = 4096;

/// Fetched files are not writable by others, whatever the umask.
pub(super) const DIRECTORY_MODE: u32 = 0o755;

/// Bytes of all names together: they are kept in memory until the digests are compared.
const NAMES_LIMIT: usize = 256 << 20;

/// Why an entry is skipped whose name this machine's file system rejects.
const ODD_NAME: &str = "the file system here does not accept its name";

/// Why an entry is skipped in whose place this machine has a directory, of an earlier transfer for example.
const DIRECTORY_HERE: &str = "a directory of its name is here";

/// Why an entry is skipped whose directory cannot be created, because an earlier transfer left something else there.
const NO_DIRECTORY_HERE: &str = "a file or link is here in place of a directory of its path";

/// Why a file is skipped that would exceed the limit on bytes.
pub(super) const TOO_LARGE: &str = "it is larger than what is left of the limit (`pull --limit`)";

/// Why an entry with too many parts is not written.
pub(super) const TOO_DEEP: &str = "it is nested too deeply";

/// A file that is not at its place yet; dropping it removes it.
pub(super) struct Replacement {
    file: NamedTempFile,
    pub(super) content: Content,
}

/// The local side of a transfer from a node.
#[derive(Debug)]
pub(super) struct Local {
    into: PathBuf,
    limits: PullLimits,
    /// What has arrived, by its plain name.
    pub(super) seen: HashMap<Vec<u8>, Seen>,
    pub(super) bytes: u64,
    /// Bytes of entries that were sent and not written.
    pub(super) passed: u64,
    /// Entries, also skipped ones.
    pub(super) count: usize,
    /// Entries that could not be fetched, with the reason.
    pub(super) skipped: Noted,
    /// Symlinks that point outside.
    pub(super) outside: Noted,
    /// Whether entries are left to be fetched on their own.
    pub(super) has_gaps: bool,
    links: Vec<(PathBuf, PathBuf)>,
    modes: Vec<(PathBuf, u32)>,
    names: usize,
}

impl Local {
    /// Writes into a directory, which must exist.
    pub(super) fn new(into: &Path, limits: PullLimits) -> Self {
        Self {
            into: into.to_owned(),
            limits,
            seen: HashMap::new(),
            bytes: 0,
            passed: 0,
            count: 0,
            skipped: Noted::default(),
            outside: Noted::default(),
            has_gaps: false,
            links: Vec::new(),
            modes: Vec::new(),
            names: 0,
        }
    }

    /// The files that have arrived.
    pub(super) fn files(&self) -> usize {
        let is_file = |seen: &&Seen| !matches!(seen, Seen::Other);
        self.seen.values().filter(is_file).count()
    }

    /// How many bytes may still arrive.
    pub(super) fn left(&self) -> u64 {
        self.limits.bytes.saturating_sub(self.bytes)
    }

    /// Checks and counts an entry that must not be nested too deeply.
    pub(super) fn admit(&mut self, name: &[u8], link: Option<&[u8]>) -> Result<Place, UnpackError> {
        let place = self.counted(name, link)?;
        if place.is_too_deep() {
            return Err(refused(&short(&place.shown), TOO_DEEP));
        }
        Ok(place)
    }

    /// Checks and counts an entry.
    pub(super) fn counted(&mut self, name: &[u8], link: Option<&[u8]>) -> Result<Place, UnpackError> {
        self.count += 1;
        self.names += name.len() + link.map_or(0, <[u8]>::len);
        let start = shown(&name[..name.len().min(PATH_LIMIT)]);
        if name.len() > PATH_LIMIT || link.is_some_and(|link| link.len() > PATH_LIMIT) {
            return Err(refused(&short(&start), "the name is too long"));
        }
        if self.names > NAMES_LIMIT {
            return Err(refused(&start, "the names are too long altogether"));
        }
        if self.count > self.limits.entries {
            return Err(refused(&start, "there are too many files"));
        }
        let path = inside(name).map_err(|reason| refused(&start, reason))?;
        // In the form of the lists, unless it is the directory itself.
        let shown = match path.as_os_str().as_bytes() {
            b"" => start,
            name => shown(name),
        };
        Ok(Place { path, shown })
    }

    /// Skips an entry that cannot be fetched.
    pub(super) fn miss(&mut self, shown: &str, why: &str) {
        self.skipped.add(format!("{shown} ({why})"));
    }

    /// Skips an entry that could not be written for a reason of its own; other errors are passed on.
    pub(super) fn or_miss(
        &mut self,
        place: &Place,
        written: Result<(), UnpackError>,
    ) -> Result<(), UnpackError> {
        let Some(why) = written.as_ref().err().and_then(why_missed) else {
            return written;
        };
        self.pass_over(place, why);
        Ok(())
    }

    /// Skips an entry for good.
    pub(super) fn pass_over(&mut self, place: &Place, why: &str) {
        self.miss(&place.shown, why);
        self.seen.insert(place.name(), Seen::Other);
    }

    pub(super) fn directory(&mut self, place: &Place, mode: u32) -> Result<(), UnpackError> {
        self.make_directory(&place.path)?;
        // Other users of this machine must not get write access, whatever the umask.
        self.modes
            .push((self.into.join(&place.path), (mode & 0o755) | 0o700));
        self.seen.insert(place.name(), Seen::Other);
        Ok(())
    }

    /// Writes a file as it arrives. If it is cut off, what has arrived of it stays.
    pub(super) fn file(
        &mut self,
        place: &Place,
        mode: u32,
        sent: Sent,
        content: &mut dyn Read,
    ) -> Result<(), UnpackError> {
        self.clear(place)?;
        let target = self.into.join(&place.path);
        let mut options = fs::OpenOptions::new();
        let opened = options.write(true).create_new(true).mode(0o600).open(&target);
        let mut file = opened.map_err(|source| UnpackError::Local {
            path: target.clone(),
            source,
        })?;
        let before = self.bytes;
        let filled = self.fill(&mut file, &target, &place.shown, content);
        if !matches!(filled, Ok(_) | Err(UnpackError::Stream(_))) {
            // A part of it under its name would look like the whole.
            let _ = fs::remove_file(&target);
            self.bytes = before;
            return filled.map(drop);
        }
        settle(&file, mode, sent.modified).map_err(|source| UnpackError::Local { path: target, source })?;
        let why = match filled {
            Ok(content) if content.length == sent.size => {
                self.seen.insert(place.name(), Seen::File(sent, content));
                return Ok(());
            }
            Ok(_) => io::ErrorKind::UnexpectedEof.into(),
            Err(UnpackError::Stream(error)) => error,
            Err(error) => return Err(error),
        };
        self.seen.insert(place.name(), Seen::Broken(sent));
        Err(UnpackError::Stream(why))
    }

    /// Receives a file beside its place.
    pub(super) fn receive(
        &mut self,
        place: &Place,
        content: &mut dyn Read,
    ) -> Result<Replacement, UnpackError> {
        self.parents(&place.path, &place.shown)?;
        let target = self.into.join(&place.path);
        let parent = target.parent().unwrap_or(&self.into);
        let mut file = tempfile::Builder::new()
            .prefix(".vcluster-")
            .tempfile_in(parent)
            .map_err(|source| UnpackError::Local {
                path: parent.to_owned(),
                source,
            })?;
        let before = self.bytes;
        let filled = self.fill(file.as_file_mut(), &target, &place.shown, content);
        if filled.is_err() {
            // Nothing of it is kept.
            self.bytes = before;
        }
        Ok(Replacement {
            file,
            content: filled?,
        })
    }

    /// Moves a received file to its place, over whatever an earlier entry or transfer left there.
    pub(super) fn put(
        &mut self,
        place: &Place,
        replacement: Replacement,
        mode: u32,
        sent: Sent,
    ) -> Result<(), UnpackError> {
        let target = self.into.join(&place.path);
        let Replacement { file, content } = replacement;
        let moved = settle(file.as_file(), mode, sent.modified)
            .and_then(|()| file.persist(&target).map_err(|error| error.error));
        match moved {
            Ok(_) => {
                self.seen.insert(place.name(), Seen::File(sent, content));
            }
            Err(source) => match obstacle(&source) {
                Some(why) => self.miss(&place.shown, why),
                None => return Err(UnpackError::Local { path: target, source }),
            },
        }
        Ok(())
    }

    /// Remembers a symlink, which is created at the end.
    pub(super) fn link(&mut self, place: &Place, to: &[u8]) -> Result<(), UnpackError> {
        self.seen.insert(place.name(), Seen::Other);
        let to = Path::new(OsStr::from_bytes(to));
        if leads_out(&place.path, to) {
            self.outside.add(place.shown.clone());
            return Ok(());
        }
        self.parents(&place.path, &place.shown)?;
        self.links.push((self.into.join(&place.path), to.to_owned()));
        Ok(())
    }

    /// Another name of a file that has arrived.
    pub(super) fn hard_link(&mut self, place: &Place, to: &[u8]) -> Result<(), UnpackError> {
        let from = inside(to).map_err(|reason| refused(&place.shown, reason))?;
        let seen = match self.seen.get(from.as_os_str().as_bytes()) {
            Some(seen @ Seen::File(..)) => seen.clone(),
            // Symlinks, named pipes and the like may have several names as well.
            Some(Seen::Other | Seen::Broken(_)) => {
                self.has_gaps = true;
                return Ok(());
            }
            None => {
                return Err(refused(
                    &place.shown,
                    "it is a link to something that was not sent",
                ));
            }
        };
        self.clear(place)?;
        // The file system here may have no hard links, or not so many of one file.
        if fs::hard_link(self.into.join(from), self.into.join(&place.path)).is_ok() {
            self.seen.insert(place.name(), seen);
        } else {
            self.has_gaps = true;
        }
        Ok(())
    }

    fn fill(
        &mut self,
        file: &mut File,
        target: &Path,
        shown: &str,
        content: &mut dyn Read,
    ) -> Result<Content, UnpackError> {
        let local = |source| UnpackError::Local {
            path: target.to_owned(),
            source,
        };
        let (mut hash, mut length, mut ends_in_zero) = (Sha256::new(), 0, false);
        let mut ends_in_hole = false;
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = match content.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(UnpackError::Stream(error)),
            };
            let piece = &buffer[..read];
            self.bytes += read as u64;
            if self.bytes > self.limits.bytes {
                return Err(UnpackError::TooLarge {
                    entry: shown.to_owned(),
                });
            }
            hash.update(piece);
            // Zeros become holes: a sparse file stays one.
            ends_in_hole = piece.iter().all(|byte| *byte == 0);
            if ends_in_hole {
                file.seek(SeekFrom::Start(length + read as u64)).map_err(local)?;
            } else {
                file.write_all(piece).map_err(local)?;
            }
            ends_in_zero = piece.ends_with(&[0]);
            length += read as u64;
        }
        if ends_in_hole {
            file.set_len(length).map_err(local)?;
        }
        Ok(Content {
            digest: hex(&hash.finalize()),
            length,
            ends_in_zero,
        })
    }

    /// Creates the parent directories of a path. None may be a symlink, not even one from an earlier pull.
    fn parents(&self, path: &Path, shown: &str) -> Result<(), UnpackError> {
        match path.parent() {
            Some(parent) if parent != Path::new("") => self.make_directory(parent),
            Some(_) => Ok(()),
            None => Err(refused(shown, "it has no name")),
        }
    }

    fn make_directory(&self, path: &Path) -> Result<(), UnpackError> {
        let mut at = self.into.clone();
        for part in path.components() {
            at.push(part);
            match fs::symlink_metadata(&at) {
                Ok(meta) if meta.is_dir() => {}
                Ok(_) => {
                    let source = Errno::ENOTDIR.into();
                    return Err(UnpackError::Local { path: at, source });
                }
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
    fn clear(&self, place: &Place) -> Result<(), UnpackError> {
        self.parents(&place.path, &place.shown)?;
        let target = self.into.join(&place.path);
        match fs::remove_file(&target) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(UnpackError::Local { path: target, source }),
        }
    }

    /// Creates the symlinks and sets the modes of directories, for all that has arrived since the last call.
    pub(super) fn finish(&mut self) -> Result<(), UnpackError> {
        for (path, to) in std::mem::take(&mut self.links) {
            let relative = path.strip_prefix(&self.into).unwrap_or(&path).to_owned();
            let shown = shown(relative.as_os_str().as_bytes());
            let place = Place {
                path: relative,
                shown,
            };
            let made = self
                .clear(&place)
                .and_then(|()| symlink(to, &path).map_err(|source| UnpackError::Local { path, source }));
            self.or_miss(&place, made)?;
        }
        for (path, mode) in std::mem::take(&mut self.modes).into_iter().rev() {
            // A later entry may have replaced the directory.
            if fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_dir()) {
                fs::set_permissions(&path, fs::Permissions::from_mode(mode))
                    .map_err(|source| UnpackError::Local { path, source })?;
            }
        }
        Ok(())
    }
}

/// Sets the mode and the time of a file.
fn settle(file: &File, mode: u32, modified: i64) -> io::Result<()> {
    file.set_permissions(fs::Permissions::from_mode(mode & 0o755))?;
    // Logs are read by their times. An invalid time is no reason to lose the file.
    let age = Duration::from_secs(u64::try_from(modified).unwrap_or(0));
    if let Some(time) = SystemTime::UNIX_EPOCH.checked_add(age) {
        let _ = file.set_modified(time);
    }
    Ok(())
}

/// Why an entry was not written, if that says nothing about others.
pub(super) fn why_missed(error: &UnpackError) -> Option<&'static str> {
    match error {
        UnpackError::Local { source, .. } => obstacle(source),
        UnpackError::TooLarge { .. } => Some(TOO_LARGE),
        UnpackError::Refused { .. } | UnpackError::Stream(_) => None,
    }
}

/// Why the file system here does not accept an entry, if that says nothing about others.
fn obstacle(error: &io::Error) -> Option<&'static str> {
    match Errno::from_raw(error.raw_os_error()?) {
        Errno::EILSEQ | Errno::EINVAL | Errno::ENAMETOOLONG => Some(ODD_NAME),
        Errno::EISDIR => Some(DIRECTORY_HERE),
        Errno::ENOTDIR => Some(NO_DIRECTORY_HERE),
        _ => None,
    }
}
