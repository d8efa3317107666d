//! Fetches a file or directory of one node: all of it as an archive, then the digests of its files. Only if something
//! differs or is missing, it lists the files, and fetches on their own those that tar cannot send.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::super::request::{ExecRequest, Output};
use super::super::session::Session;
use super::entry::{PullLimits, Seen, UnpackError};
use super::exchange::{self, Exchanged};
use super::listing::{Listing, digests};
use super::local::{DIRECTORY_MODE, Local};
use super::names::{encoded, from_home, shown};
use super::noted::Noted;
use super::recover::{self, Archived, Plan, Verdict};
use super::tar_end::{Archive, refusals};
use super::unpack::{self, End};
use super::{TransferError, checked, frames};
use crate::base::shell::{quote, with_variables};

/// Bytes of a list of files that are kept.
const LIST_LIMIT: usize = 256 << 20;

/// Names in an error.
const NAMES: usize = 10;

/// The result of a transfer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pulled {
    /// Regular files.
    pub files: usize,
    /// All entries of the archive: files, directories, links, skipped entries.
    pub entries: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Entries that could not be fetched, and why.
    pub skipped: Noted,
    /// Symlinks that point outside of what was fetched; they are not created.
    pub outside: Noted,
    /// Files that changed while they were read: of these, the bytes up to some moment have arrived.
    pub changed: Noted,
}

impl Pulled {
    /// Adds what another transfer fetched.
    pub fn add(&mut self, other: Self) {
        self.files += other.files;
        self.entries += other.entries;
        self.bytes += other.bytes;
        self.skipped.extend(other.skipped);
        self.outside.extend(other.outside);
        self.changed.extend(other.changed);
    }
}

/// Fetches `path` of the node into the local directory `into` (created if missing), under its own name. If it is a
/// symlink, what it points to is fetched; symlinks in a directory are kept. `limit` is the time for each command.
///
/// An entry that cannot be fetched is skipped. It is an error if the path does not exist, if a file differs from the node's
/// that did not change, or if the node sends what it may not.
pub async fn pull(
    session: &Session,
    path: impl AsRef<OsStr>,
    into: &Path,
    limits: PullLimits,
    limit: Option<Duration>,
) -> Result<Pulled, TransferError> {
    let path = path.as_ref().as_bytes();
    let (directory, name) = split(from_home(path)).ok_or_else(|| TransferError::Source {
        path: PathBuf::from(OsStr::from_bytes(path)),
        message: "not the path of a file or directory".into(),
    })?;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(DIRECTORY_MODE)
        .create(into)
        .map_err(|error| TransferError::local(into, error))?;
    let asked = Asked {
        session,
        directory: encoded(&directory),
        name: encoded(name),
        limits,
        limit,
    };
    let began = Instant::now();
    let (local, archive) = asked.archive(Local::new(into, limits)).await?;
    let digests = asked.digests(&local, &archive).await?;
    let is_whole = |(name, seen): (&Vec<u8>, &Seen)| match seen {
        Seen::File(_, content) => digests.get(name) == Some(&content.digest),
        Seen::Broken(_) => false,
        Seen::Other => true,
    };
    let mut rest = Rest {
        asked: &asked,
        local,
        changed: Noted::default(),
        corrupt: Vec::new(),
    };
    if !archive.is_quiet() || rest.local.has_gaps || !rest.local.seen.iter().all(is_whole) {
        rest.recover(&digests, &archive, began).await?;
    }
    rest.result()
}

/// Directory and name of a path; `None` for `/`, `..` and similar.
fn split(path: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let end = path.iter().rposition(|byte| *byte != b'/')?;
    let path = &path[..=end];
    let (directory, name) = match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..=at], &path[at + 1..]),
        None => (&b""[..], path),
    };
    if matches!(name, b"." | b"..") || path.contains(&0) {
        return None;
    }
    // A relative path may begin with a hyphen.
    let start = if directory.starts_with(b"/") {
        &b""[..]
    } else {
        b"./"
    };
    Some(([start, directory].concat(), name))
}

/// The path that was asked for.
struct Asked<'a> {
    session: &'a Session,
    directory: String,
    name: String,
    limits: PullLimits,
    limit: Option<Duration>,
}

impl Asked<'_> {
    /// `most` are the bytes that a file may have to be read for its digest; empty without a limit.
    fn request(&self, what: &str, most: &str, stdin: Vec<u8>) -> ExecRequest {
        let frames = if what == "single" {
            include_str!("frames.sh")
        } else {
            ""
        };
        let variables = [
            ("what", what),
            ("most", most),
            ("directory", self.directory.as_str()),
            ("asked", self.name.as_str()),
            ("frames", frames),
        ];
        let script = concat!(include_str!("plain.sh"), include_str!("pull.sh"));
        ExecRequest {
            command: format!("exec sh -c {}", quote(&with_variables(&variables, script))),
            stdin,
            timeout: self.limit,
            limit: LIST_LIMIT,
            ..ExecRequest::default()
        }
    }

    /// Fetches all of it.
    async fn archive(&self, mut local: Local) -> Result<(Local, Archive), TransferError> {
        let limits = self.limits;
        let request = self.request("archive", "", Vec::new());
        let mut exchanged = exchange::stream(self.session, &request, "tar", move |stream| {
            let unpacked = unpack::unpack(stream, limits, &mut local);
            (local, unpacked)
        })
        .await?;
        // Of an archive that was left, the rest may still be on its way.
        exchanged.has_surplus &= !matches!(exchanged.value.1, Ok(End::Left));
        let ((local, end), output) = self.read(exchanged)?;
        let archive = Archive { output, end };
        if local.count > 0 {
            return Ok((local, archive));
        }
        // Nothing has arrived: tar's error has the reason.
        let Archive { output, end } = archive;
        let output = checked(self.session.name(), output)?;
        let cut = match end {
            End::Cut(error) => error.to_string(),
            End::Whole | End::Left => "nothing was sent".to_owned(),
        };
        let errors = String::from_utf8_lossy(&output.stderr);
        let last = errors.lines().next_back().map(|line| shown(line.as_bytes()));
        Err(self.remote(last.unwrap_or(cut)))
    }

    /// The local side and what was read, if that is valid.
    fn read<T>(
        &self,
        exchanged: Exchanged<(Local, Result<T, UnpackError>)>,
    ) -> Result<((Local, T), Output), TransferError> {
        let node = self.session.name().to_owned();
        let Exchanged {
            value: (local, value),
            output,
            has_surplus,
        } = exchanged;
        match value {
            Err(UnpackError::Refused { entry, reason }) => {
                Err(TransferError::Refused { node, entry, reason })
            }
            Err(UnpackError::TooLarge { entry }) => Err(TransferError::Refused {
                node,
                entry,
                reason: "there is too much data".into(),
            }),
            Err(UnpackError::Local { path, source }) => Err(TransferError::Local { path, source }),
            Err(UnpackError::Stream(error)) => {
                // The command's error has the reason.
                let failed = checked(&node, output).err();
                Err(failed.unwrap_or_else(|| self.remote(error.to_string())))
            }
            Ok(_) if has_surplus => Err(TransferError::Refused {
                node,
                entry: "data".into(),
                reason: "it follows the end of the archive".into(),
            }),
            Ok(value) => Ok(((local, value), output)),
        }
    }

    fn remote(&self, message: String) -> TransferError {
        TransferError::Remote {
            node: self.session.name().to_owned(),
            message,
        }
    }

    /// The digests of its files on the node.
    async fn digests(
        &self,
        local: &Local,
        archive: &Archive,
    ) -> Result<HashMap<Vec<u8>, String>, TransferError> {
        if local.files() == 0 && !archive.is_cut() {
            return Ok(HashMap::new());
        }
        let most = match archive.end {
            // A file that is too large to be fetched may take long to be read. `find` counts in signed numbers.
            End::Left => self.limits.bytes.min(i64::MAX.unsigned_abs()).to_string(),
            End::Whole | End::Cut(_) => String::new(),
        };
        let request = self.request("digests", &most, Vec::new());
        let output = exchange::run(self.session, &request, "sha256sum").await?;
        // Any other failure is that of single files.
        if output.code() == Some(127) {
            checked(self.session.name(), output)?;
            return Ok(HashMap::new());
        }
        Ok(digests(&output.stdout))
    }

    /// All its files, and the output that they are from.
    async fn list(&self) -> Result<(Listing, Output), TransferError> {
        let output = exchange::run(self.session, &self.request("list", "", Vec::new()), "find").await?;
        let begin = exchange::begin(&output.stdout).unwrap_or_default();
        Ok((Listing::parse(&output.stdout[begin..]), output))
    }
}

/// What remains to be done after the archive.
struct Rest<'a> {
    asked: &'a Asked<'a>,
    local: Local,
    changed: Noted,
    corrupt: Vec<Vec<u8>>,
}

impl Rest<'_> {
    async fn recover(
        &mut self,
        digests: &HashMap<Vec<u8>, String>,
        archive: &Archive,
        began: Instant,
    ) -> Result<(), TransferError> {
        let (listing, listed) = self.asked.list().await?;
        let archived = Archived {
            is_cut: archive.is_cut(),
            is_padded: archive.reports("padding with zeros"),
            age: i64::try_from(began.elapsed().as_secs()).unwrap_or(i64::MAX),
        };
        let mut plan = recover::plan(&self.local.seen, digests, &listing, archived);
        plan.fit(self.local.left());
        for (name, why) in &plan.missing {
            self.local.miss(&shown(name), why);
        }
        for name in &plan.changed {
            self.changed.add(shown(name));
        }
        self.corrupt.extend(plan.corrupt.iter().cloned());
        self.fetch(plan, digests).await?;
        // As those in a directory that cannot be read. Of an archive that was cut, tar may not have come to them.
        let refused = match (archived.is_cut, self.local.skipped.count()) {
            (true, _) => refusals(&listed),
            (false, 0) => refusals(&archive.output),
            (false, _) => Vec::new(),
        };
        for line in refused {
            self.local.miss("an entry", &line);
        }
        Ok(())
    }

    /// Fetches single files.
    async fn fetch(&mut self, plan: Plan, digests: &HashMap<Vec<u8>, String>) -> Result<(), TransferError> {
        let Plan {
            directories, wanted, ..
        } = plan;
        if directories.is_empty() && wanted.is_empty() {
            return Ok(());
        }
        let limits = self.asked.limits;
        let request = self.asked.request("single", "", frames::list(&wanted));
        // The local side goes to the thread that reads, and comes back.
        let mut local = std::mem::replace(&mut self.local, Local::new(Path::new(""), limits));
        let exchanged = exchange::stream(self.asked.session, &request, "head", move |stream| {
            let made = directories.iter().try_for_each(|(name, mode)| {
                let place = local.admit(name, None)?;
                let made = local.directory(&place, *mode);
                local.or_miss(&place, made)
            });
            let got = made.and_then(|()| frames::read(stream, &wanted, limits, &mut local));
            (local, got.map(|got| (wanted, got)))
        })
        .await?;
        let ((local, (wanted, got)), _) = self.asked.read(exchanged)?;
        self.local = local;
        for (want, got) in wanted.iter().zip(&got) {
            let name = shown(&want.name);
            match recover::judge(want, got, digests.get(&want.name)) {
                Verdict::Fine => {}
                Verdict::Changed => self.changed.add(name),
                Verdict::Corrupt => self.corrupt.push(want.name.clone()),
                Verdict::Missing(why) => self.local.miss(&name, &why),
            }
        }
        Ok(())
    }

    fn result(self) -> Result<Pulled, TransferError> {
        if self.corrupt.is_empty() {
            return Ok(Pulled {
                files: self.local.files(),
                entries: self.local.count,
                bytes: self.local.bytes,
                skipped: self.local.skipped,
                outside: self.local.outside,
                changed: self.changed,
            });
        }
        let mut names: Vec<String> = self.corrupt.iter().map(|name| shown(name)).collect();
        names.sort();
        names.truncate(NAMES);
        Err(TransferError::Digest {
            node: self.asked.session.name().to_owned(),
            names,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_split_where_tar_can_start() {
        let split = |path: &str| {
            let path = path.as_bytes().to_vec();
            let (directory, name) = split(&path)?;
            Some((
                String::from_utf8(directory).unwrap(),
                String::from_utf8(name.to_vec()).unwrap(),
            ))
        };
        let parts = |directory: &str, name: &str| Some((directory.to_owned(), name.to_owned()));
        assert_eq!(split("/var/log/"), parts("/var/", "log"));
        assert_eq!(split("/etc"), parts("/", "etc"));
        assert_eq!(split("a"), parts("./", "a"));
        assert_eq!(split("-x/-n\n"), parts("./-x/", "-n\n"));
        for bad in ["/", "", ".", "..", "/a/..", "a\0b"] {
            assert_eq!(split(bad), None, "{bad:?}");
        }
    }
}
