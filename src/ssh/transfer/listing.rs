//! What a node reports about its files: digests (`sha256sum`) and metadata (`stat`). Names may contain any bytes, newlines
//! included; the beginning of a record is found by `.//`, which no name contains (see `pull.sh`).

use std::collections::{BTreeMap, HashMap};

use super::names::plain;

/// The digests in the output of sha256sum, by plain name.
pub(super) fn digests(output: &[u8]) -> HashMap<Vec<u8>, String> {
    let records = records(output, |line| {
        let (is_escaped, line) = match line.strip_prefix(b"\\") {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        let (digest, rest) = line.split_at_checked(64)?;
        let digest = std::str::from_utf8(digest).ok()?;
        let name = rest.strip_prefix(b"  ").or_else(|| rest.strip_prefix(b" *"))?;
        let name = if is_escaped {
            unescaped(name)
        } else {
            name.to_vec()
        };
        let is_digest = digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        (is_digest && name.starts_with(b".//")).then(|| (digest.to_owned(), name))
    });
    records
        .into_iter()
        .map(|(digest, name)| (plain(&name), digest))
        .collect()
}

/// GNU's sha256sum escapes newlines, and then the backslash; busybox's escapes nothing.
fn unescaped(name: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(name.len());
    let mut bytes = name.iter().copied();
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'\\' => match bytes.next() {
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(other) => other,
                None => b'\\',
            },
            other => other,
        });
    }
    plain
}

/// The metadata of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    mode: u32,
    pub(super) size: u64,
    /// Seconds since 1970.
    pub(super) modified: i64,
    /// When its content or metadata changed, in seconds since 1970.
    pub(super) changed: i64,
}

/// The type of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    Symlink,
    /// Another one, as shown to the user.
    Other(&'static str),
}

impl Stat {
    pub(super) fn kind(self) -> Kind {
        match self.mode & 0o170_000 {
            0o100_000 => Kind::File,
            0o040_000 => Kind::Directory,
            0o120_000 => Kind::Symlink,
            0o140_000 => Kind::Other("a socket"),
            0o010_000 => Kind::Other("a named pipe"),
            _ => Kind::Other("a device"),
        }
    }

    /// Its permission bits.
    pub(super) fn permissions(self) -> u32 {
        self.mode & 0o7777
    }
}

#[cfg(any(test, feature = "fuzzing"))]
impl Stat {
    /// For tests: times are the same.
    pub(super) fn of(mode: u32, size: u64, time: i64) -> Self {
        Self {
            mode,
            size,
            modified: time,
            changed: time,
        }
    }
}

/// All files of a tree at one moment.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// The node's clock before the files were listed, in seconds since 1970.
    pub(super) now: Option<i64>,
    /// By plain name: parents come before what they contain.
    pub(super) files: BTreeMap<Vec<u8>, Stat>,
}

impl Listing {
    /// Reads the time, and a line `MODE SIZE MODIFIED CHANGED NAME` for each file, the mode in hexadecimal.
    pub(super) fn parse(output: &[u8]) -> Self {
        let end = output.iter().position(|byte| *byte == b'\n');
        let (first, rest) = output.split_at(end.map_or(output.len(), |end| end + 1));
        let now = std::str::from_utf8(first).ok();
        let records = records(rest, |line| {
            let mut parts = line.splitn(5, |byte| *byte == b' ');
            let mut next = || std::str::from_utf8(parts.next()?).ok();
            let stat = Stat {
                mode: u32::from_str_radix(next()?, 16).ok()?,
                size: next()?.parse().ok()?,
                modified: next()?.parse().ok()?,
                changed: next()?.parse().ok()?,
            };
            let name = parts.next()?;
            name.starts_with(b".//").then(|| (stat, name.to_vec()))
        });
        Self {
            now: now.and_then(|now| now.trim().parse().ok()),
            files: records
                .into_iter()
                .map(|(stat, name)| (plain(&name), stat))
                .collect(),
        }
    }
}

/// The records of a list: each begins with a line that `start` accepts; other lines belong to the name before them.
fn records<T>(output: &[u8], start: impl Fn(&[u8]) -> Option<(T, Vec<u8>)>) -> Vec<(T, Vec<u8>)> {
    let output = output.strip_suffix(b"\n").unwrap_or(output);
    let mut found: Vec<(T, Vec<u8>)> = Vec::new();
    for line in output.split(|byte| *byte == b'\n') {
        if let Some(record) = start(line) {
            found.push(record);
        } else if let Some((_, name)) = found.last_mut() {
            name.push(b'\n');
            name.extend_from_slice(line);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "87428fc522803d31065e7bce3cf03fe475096631e5e07bbd7a0fde60c4cf25c7";

    #[test]
    fn digests_of_names_with_newlines_and_backslashes_are_read_from_gnu_and_busybox() {
        let gnu = format!("{DIGEST}  .//a b\n\\{DIGEST}  .//a\\nb\\\\n\n");
        let busybox = format!("{DIGEST}  .//a b\n{DIGEST}  .//./a\nb\\n\n");
        for output in [gnu, busybox] {
            let found = digests(output.as_bytes());
            assert_eq!(found.len(), 2, "{output}");
            for name in [&b"a b"[..], b"a\nb\\n"] {
                assert_eq!(found[name], DIGEST, "{output}");
            }
        }
        assert_eq!(digests(b"0000  .//x\nnothing").len(), 0);
        let other = format!("{DIGEST}  ./x\n");
        assert_eq!(digests(other.as_bytes()).len(), 0);
    }

    #[test]
    fn metadata_is_read_with_names_of_any_bytes() {
        let output =
            b"1700000000\n41ed 4096 5 6 .//d\n81a4 2 1 2 .//d/nl\n81a4 9 9 9 x\nc1ed 0 3 4 .//d/\xff\n";
        let listing = Listing::parse(output);
        assert_eq!(listing.now, Some(1_700_000_000));
        let names: Vec<&[u8]> = listing.files.keys().map(Vec::as_slice).collect();
        assert_eq!(names, [&b"d"[..], b"d/nl\n81a4 9 9 9 x", b"d/\xff"]);
        let kinds: Vec<Kind> = listing.files.values().map(|stat| stat.kind()).collect();
        assert_eq!(kinds, [Kind::Directory, Kind::File, Kind::Other("a socket")]);
        assert_eq!(listing.files[&b"d"[..]].permissions(), 0o755);
        assert_eq!(Listing::parse(b"").now, None);
    }
}
