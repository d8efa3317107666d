//! Reads a tar stream from a node that may be hostile. The `tar` crate only parses the stream; `local` checks what it
//! contains. The stream as a whole is bounded: a node can send endless headers, and skipped entries of any size.

use std::io::{self, Read};
use std::ops::ControlFlow;

use tar::{Archive, Entry, EntryType, PaxExtensions};

use super::entry::{Place, PullLimits, Sent, UnpackError, refused};
use super::local::{Local, TOO_DEEP, TOO_LARGE};
use super::names::short;

/// The longest header that contains a name.
const HEADER_LIMIT: u64 = 64 * 1024;

/// Bytes of headers and padding that an entry may take on average.
const OVERHEAD: u64 = 4096;

/// How an archive ended. What came before has arrived in any case.
#[derive(Debug)]
pub(super) enum End {
    Whole,
    /// Within an entry.
    Cut(io::Error),
    /// Before a file that is too large to be read from it: nothing more was read.
    Left,
}

/// Unpacks.
pub(super) fn unpack(stream: impl Read, limits: PullLimits, local: &mut Local) -> Result<End, UnpackError> {
    let allowed = limits
        .bytes
        .saturating_add(OVERHEAD * (limits.entries as u64).saturating_add(32));
    let mut bounded = Bounded {
        stream,
        left: allowed,
        has_ended: false,
    };
    let end = match read(&mut bounded, local) {
        Err(UnpackError::Stream(error)) if bounded.has_ended => End::Cut(error),
        Err(error) => return Err(error),
        Ok(ControlFlow::Continue(())) => End::Whole,
        Ok(ControlFlow::Break(())) => End::Left,
    };
    local.finish()?;
    Ok(end)
}

fn read(stream: impl Read, local: &mut Local) -> Result<ControlFlow<()>, UnpackError> {
    let mut archive = Archive::new(stream);
    let entries = archive.entries().map_err(UnpackError::Stream)?.raw(true);
    let (mut long_name, mut long_link, mut long_size) = (None, None, None);
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
                        b"size" => {
                            let size = record.value().ok().and_then(|size| size.parse().ok());
                            long_size = Some(size.unwrap_or(u64::MAX));
                        }
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
                let link = link.as_deref().map(trimmed);
                let next = match long_size {
                    // A size that differs from the header's breaks the parsing of the stream.
                    Some(size) => pass_over(size, trimmed(&name), local)?,
                    None => write(&mut entry, trimmed(&name), link, local)?,
                };
                if next.is_break() {
                    return Ok(next);
                }
            }
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Leaves the archive before a file of this size, which is fetched on its own unless it is too large for that too.
fn pass_over(size: u64, name: &[u8], local: &mut Local) -> Result<ControlFlow<()>, UnpackError> {
    let place = local.counted(name, None)?;
    if size > local.left() {
        local.pass_over(&place, TOO_LARGE);
    }
    Ok(ControlFlow::Break(()))
}

fn write<R: Read>(
    entry: &mut Entry<'_, R>,
    name: &[u8],
    link: Option<&[u8]>,
    local: &mut Local,
) -> Result<ControlFlow<()>, UnpackError> {
    let place = local.counted(name, link)?;
    let size = entry.size();
    let is_file = matches!(
        entry.header().entry_type(),
        EntryType::Regular | EntryType::Continuous
    );
    if is_file && size > local.left() {
        local.pass_over(&place, TOO_LARGE);
        return Ok(ControlFlow::Break(()));
    }
    // What was passed over counts as well for the stream, and not for what can be fetched on its own.
    if is_file && size > local.left().saturating_sub(local.passed) {
        return Ok(ControlFlow::Break(()));
    }
    let before = local.bytes;
    if place.is_too_deep() {
        let place = Place {
            shown: short(&place.shown),
            ..place
        };
        local.pass_over(&place, TOO_DEEP);
    } else {
        let written = content(entry, &place, link, local);
        local.or_miss(&place, written)?;
    }
    if is_file {
        let written = local.bytes.saturating_sub(before);
        local.passed = local.passed.saturating_add(size.saturating_sub(written));
    }
    Ok(ControlFlow::Continue(()))
}

/// Writes an entry to its place.
fn content<R: Read>(
    entry: &mut Entry<'_, R>,
    place: &Place,
    link: Option<&[u8]>,
    local: &mut Local,
) -> Result<(), UnpackError> {
    let link = link.unwrap_or_default();
    let header = entry.header();
    let mode = header.mode().unwrap_or(0o600);
    let modified = header.mtime().unwrap_or(0);
    match header.entry_type() {
        EntryType::Directory => local.directory(place, mode),
        EntryType::Regular | EntryType::Continuous => {
            let sent = Sent {
                size: entry.size(),
                modified: i64::try_from(modified).unwrap_or(0),
            };
            local.file(place, mode, sent, entry)
        }
        EntryType::Symlink => local.link(place, link),
        EntryType::Link => local.hard_link(place, link),
        other => {
            local.pass_over(place, kind(other));
            Ok(())
        }
    }
}

fn kind(entry: EntryType) -> &'static str {
    match entry {
        EntryType::Fifo => "a named pipe",
        EntryType::Char | EntryType::Block => "a device",
        _ => "neither file, directory nor symlink",
    }
}

/// A stream of limited length.
struct Bounded<R> {
    stream: R,
    left: u64,
    has_ended: bool,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(buf)?;
        self.has_ended |= read == 0 && !buf.is_empty();
        match self.left.checked_sub(read as u64) {
            Some(left) => self.left = left,
            None => return Err(io::Error::other("it sends more than the limit")),
        }
        Ok(read)
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

#[cfg(test)]
#[path = "unpack_tests.rs"]
mod tests;
