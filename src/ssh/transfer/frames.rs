//! Single files and symlinks of a node, as `frames.sh` sends them. The node may be hostile: lines and the stream as a whole
//! are bounded.

use std::io::{self, BufRead, BufReader, Read};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::entry::{PullLimits, Sent, UnpackError, refused};
use super::local::{Local, why_missed};
use super::names::shown;
use super::recover::{Got, Want};

/// The longest line. The tools write 76 characters.
const LINE_LIMIT: u64 = 64 * 1024;

/// The longest target of a symlink, with its newline.
const LINK_LIMIT: u64 = 4097;

/// Characters of an error that are kept.
const ERROR_LIMIT: usize = 200;

/// The list of wanted files for the node.
pub(super) fn list(wanted: &[Want]) -> Vec<u8> {
    let mut list = Vec::new();
    for want in wanted {
        list.extend_from_slice(format!("{}:.//", want.most()).as_bytes());
        list.extend_from_slice(&want.name);
        list.push(0);
    }
    list
}

/// Reads a frame for each wanted file, and writes the files to their places.
pub(super) fn read(
    stream: impl Read,
    wanted: &[Want],
    limits: PullLimits,
    local: &mut Local,
) -> Result<Vec<Got>, UnpackError> {
    let files = (wanted.len() as u64).saturating_mul(2 * LINE_LIMIT);
    let allowed = limits.bytes.saturating_mul(2).saturating_add(files);
    let mut lines = Lines {
        reader: BufReader::new(stream.take(allowed)),
        line: Vec::new(),
    };
    let mut all = Vec::new();
    for want in wanted {
        all.push(one(&mut lines, want, local)?);
    }
    local.finish()?;
    Ok(all)
}

fn one<R: Read>(lines: &mut Lines<R>, want: &Want, local: &mut Local) -> Result<Got, UnpackError> {
    let place = local.admit(&want.name, None)?;
    let kind = lines.advance().map_err(UnpackError::Stream)?.first().copied();
    let mut content = FrameContent {
        lines,
        piece: Vec::new(),
        at: 0,
        end: None,
    };
    let got = match kind {
        Some(b'F') => {
            let received = match local.receive(&place, &mut content) {
                Ok(received) => received,
                Err(error) => {
                    let why = why_missed(&error).ok_or(error)?;
                    // The next frame is behind it.
                    content.skip().map_err(UnpackError::Stream)?;
                    return Ok(Got::Failed(why.to_owned()));
                }
            };
            if let Some(Err(error)) = content.end {
                return Ok(Got::Failed(error));
            }
            let got = Got::Content(received.content.clone());
            let sent = Sent {
                size: received.content.length,
                modified: want.stat.modified,
            };
            local.put(&place, received, want.stat.permissions(), sent)?;
            got
        }
        Some(b'L') => {
            let mut to = Vec::new();
            let read = Read::by_ref(&mut content).take(LINK_LIMIT).read_to_end(&mut to);
            read.map_err(UnpackError::Stream)?;
            if content.end.is_none() {
                content.skip().map_err(UnpackError::Stream)?;
            }
            if let Some(Err(error)) = content.end {
                return Ok(Got::Failed(error));
            }
            match local.link(&place, to.strip_suffix(b"\n").unwrap_or(&to)) {
                Ok(()) => Got::Link,
                Err(error) => Got::Failed(why_missed(&error).ok_or(error)?.to_owned()),
            }
        }
        Some(b'N') => {
            content.skip().map_err(UnpackError::Stream)?;
            Got::Gone
        }
        _ => return Err(refused(&place.shown, "it is not sent as agreed")),
    };
    Ok(got)
}

struct Lines<R> {
    reader: BufReader<io::Take<R>>,
    line: Vec<u8>,
}

impl<R: Read> Lines<R> {
    /// The next line, without its end.
    fn advance(&mut self) -> io::Result<&[u8]> {
        self.line.clear();
        let mut limited = Read::by_ref(&mut self.reader).take(LINE_LIMIT);
        limited.read_until(b'\n', &mut self.line)?;
        if self.line.pop() != Some(b'\n') {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the files of the node end early",
            ));
        }
        Ok(&self.line)
    }
}

/// The content of a frame, up to its last line.
struct FrameContent<'a, R> {
    lines: &'a mut Lines<R>,
    piece: Vec<u8>,
    at: usize,
    /// Set after the last line.
    end: Option<Result<(), String>>,
}

impl<R: Read> FrameContent<'_, R> {
    /// Reads the rest.
    fn skip(&mut self) -> io::Result<()> {
        io::copy(self, &mut io::sink()).map(drop)
    }
}

impl<R: Read> Read for FrameContent<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() {
            if self.end.is_some() || buf.is_empty() {
                return Ok(0);
            }
            let line = self.lines.advance()?;
            self.piece.clear();
            self.at = 0;
            match line {
                b"." => self.end = Some(Ok(())),
                [b'!', error @ ..] => {
                    let error = shown(error.trim_ascii());
                    self.end = Some(Err(error.chars().take(ERROR_LIMIT).collect()));
                }
                line => {
                    let decoded = STANDARD.decode_vec(line, &mut self.piece);
                    decoded.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                }
            }
        }
        let count = buf.len().min(self.piece.len() - self.at);
        buf[..count].copy_from_slice(&self.piece[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

/// Reads bytes from a fuzzer as the frames of two files.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn fuzz(bytes: &[u8], local: &mut Local) {
    let limits = PullLimits {
        bytes: 1 << 20,
        entries: 100,
    };
    let wanted = [Want::of(b"a/b"), Want::of(b"a/c")];
    let _ = read(bytes, &wanted, limits, local);
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn read_into(into: &Path, text: &str, names: &[&[u8]]) -> Result<Vec<Got>, UnpackError> {
        let limits = PullLimits {
            bytes: 1000,
            entries: 10,
        };
        let mut local = Local::new(into, limits);
        let wanted: Vec<Want> = names.iter().map(|name| Want::of(name)).collect();
        read(text.as_bytes(), &wanted, limits, &mut local)
    }

    #[test]
    fn a_file_that_cannot_be_read_costs_no_other_and_keeps_what_was_there() {
        let into = tempfile::tempdir().unwrap();
        fs::write(into.path().join("a"), "before").unwrap();
        let text = "F\nYWJj\n! head: Input/output error\nF\neHg=\neQo=\n.\nL\neAo=\n.\nN\n.\n";
        let names: [&[u8]; 4] = [b"a", b"d/b\xff", b"l", b"gone"];
        let got = read_into(into.path(), text, &names).unwrap();
        assert_eq!(got[0], Got::Failed("head: Input/output error".into()));
        assert!(
            matches!(&got[1], Got::Content(content) if content.length == 4),
            "{got:?}"
        );
        assert_eq!(got[2..], [Got::Link, Got::Gone]);
        assert_eq!(fs::read_to_string(into.path().join("a")).unwrap(), "before");
        assert_eq!(fs::read_dir(into.path().join("d")).unwrap().count(), 1);
        assert_eq!(fs::read_link(into.path().join("l")).unwrap(), Path::new("x"));
    }

    #[test]
    fn a_file_that_is_too_large_or_has_no_place_costs_no_other() {
        let into = tempfile::tempdir().unwrap();
        fs::write(into.path().join("file"), "before").unwrap();
        std::os::unix::fs::symlink("/tmp", into.path().join("link")).unwrap();
        let long = "YWJj\n".repeat(400);
        let text = format!(
            "F\n{long}.\nF\nYWJj\n.\nL\neAo=\n.\nF\n{}.\n",
            "YWJj\n".repeat(300)
        );
        let names: [&[u8]; 4] = [b"large", b"file/x", b"link/l", b"fits"];
        let got = read_into(into.path(), &text, &names).unwrap();
        let blocked = "a file or link is here in place of a directory of its path";
        assert!(
            matches!(&got[0], Got::Failed(why) if why.starts_with("it is larger")),
            "{got:?}"
        );
        assert_eq!(
            got[1..3],
            [Got::Failed(blocked.into()), Got::Failed(blocked.into())]
        );
        assert!(
            matches!(&got[3], Got::Content(content) if content.length == 900),
            "{got:?}"
        );
        let mut left: Vec<_> = fs::read_dir(into.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["file", "fits", "link"]);
    }

    #[test]
    fn frames_that_are_cut_or_without_end_or_lead_out_are_errors() {
        let into = tempfile::tempdir().unwrap();
        let endless = format!("F\n{}", "YWJj\n".repeat(100_000));
        for text in ["", "F\nYWJj\n", "X\n.\n", "F\n*\n.\n", endless.as_str()] {
            assert!(read_into(into.path(), text, &[b"a"]).is_err(), "{text}");
        }
        for name in [&b"../a"[..], b"/a", b""] {
            assert!(read_into(into.path(), "F\nYWJj\n.\n", &[name]).is_err());
        }
        assert_eq!(fs::read_dir(into.path()).unwrap().count(), 0);
    }
}
