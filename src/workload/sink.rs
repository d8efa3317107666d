//! Writes an output stream of a node to a file and to the events.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use super::job::Workload;
use crate::base::event::{Event, Stream};
use crate::base::name::NodeName;
use crate::base::text::LineBuffer;

/// The most bytes kept of one stream of one node; the rest is counted and dropped.
const KEPT: u64 = 256 << 20;

/// The most bytes of one stream of one node that are shown; the file keeps more. The queue of lines to show has no
/// other limit.
const SHOWN: u64 = 4 << 20;

/// A stream.
struct Kept<'a> {
    workload: &'a Workload<'a>,
    node: &'a NodeName,
    stream: Stream,
    file: File,
    bytes: u64,
    lines: LineBuffer,
    /// Whether what comes next is the end of a line whose beginning is not known: the watcher gets only whole lines.
    is_torn: bool,
}

impl<'a> Kept<'a> {
    /// Opens the file of a stream; content from an earlier command stays.
    fn open(workload: &'a Workload<'a>, node: &'a NodeName, stream: Stream, dir: &Path) -> io::Result<Self> {
        let ending = match stream {
            Stream::Stdout => "out",
            Stream::Stderr => "err",
        };
        let path = dir.join(format!("{node}.{ending}"));
        let file = super::results::appended(&path)?;
        let bytes = file.metadata()?.len();
        Ok(Self {
            workload,
            node,
            stream,
            bytes,
            file,
            lines: LineBuffer::default(),
            is_torn: bytes > 0 && last_byte(&path)? != b'\n',
        })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let room = usize::try_from(KEPT.saturating_sub(self.bytes)).unwrap_or(usize::MAX);
        self.file.write_all(&bytes[..bytes.len().min(room)])?;
        let whole = whole_lines(bytes, &mut self.is_torn);
        if let Some(watcher) = self.workload.watcher
            && !whole.is_empty()
        {
            watcher.output(self.node, self.stream, whole);
        }
        let before = self.bytes;
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        if self.workload.live {
            let (workload, node, stream) = (self.workload, self.node, self.stream);
            let shown = shown(before, bytes);
            self.lines
                .push(shown, |line| emit_line(workload, node, stream, line));
            if before <= SHOWN && self.bytes > SHOWN {
                let rest = self.lines.finish();
                for line in rest
                    .into_iter()
                    .chain(["[truncated; the file has the rest]".to_owned()])
                {
                    emit_line(workload, node, stream, line);
                }
            }
        }
        Ok(())
    }

    /// Leaves a hole of zeros for bytes that are lost: so a position in the file is one in the stream, and the ends around
    /// the hole are not read as one line.
    fn skip(&mut self, lost: u64) -> io::Result<()> {
        let end = self.bytes.saturating_add(lost);
        let kept = end.min(KEPT);
        if kept > self.bytes {
            self.file.set_len(kept)?;
        }
        self.bytes = end;
        self.is_torn = true;
        Ok(())
    }

    /// Bytes that are not in the file, because it has [`KEPT`] ones.
    fn cut(&self) -> u64 {
        self.bytes.saturating_sub(KEPT)
    }

    fn finish(&mut self) -> u64 {
        if let Some(line) = self.lines.finish() {
            emit_line(self.workload, self.node, self.stream, line);
        }
        self.bytes
    }
}

/// The last byte of a file.
fn last_byte(path: &Path) -> io::Result<u8> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::End(-1))?;
    let mut byte = [0];
    file.read_exact(&mut byte)?;
    Ok(byte[0])
}

/// A piece without the end of a line whose beginning is not known.
fn whole_lines<'a>(bytes: &'a [u8], is_torn: &mut bool) -> &'a [u8] {
    if !*is_torn {
        return bytes;
    }
    match bytes.iter().position(|byte| *byte == b'\n') {
        Some(end) => {
            *is_torn = false;
            &bytes[end + 1..]
        }
        None => &[],
    }
}

/// The part of a piece to show, after `before` earlier bytes.
fn shown(before: u64, bytes: &[u8]) -> &[u8] {
    let room = usize::try_from(SHOWN.saturating_sub(before)).unwrap_or(usize::MAX);
    &bytes[..bytes.len().min(room)]
}

fn emit_line(workload: &Workload<'_>, node: &NodeName, stream: Stream, line: String) {
    workload.events.emit(Event::Output {
        node: node.clone(),
        stream,
        line,
    });
}

/// Both streams of a step on a node.
pub(super) struct Output<'a> {
    stdout: Kept<'a>,
    stderr: Kept<'a>,
}

impl<'a> Output<'a> {
    pub(super) fn open(workload: &'a Workload<'a>, node: &'a NodeName, dir: &Path) -> io::Result<Self> {
        Ok(Self {
            stdout: Kept::open(workload, node, Stream::Stdout, dir)?,
            stderr: Kept::open(workload, node, Stream::Stderr, dir)?,
        })
    }

    /// How many bytes of each stream are in the files from an earlier command.
    pub(super) fn arrived(&self) -> [u64; 2] {
        [self.stdout.bytes, self.stderr.bytes]
    }

    pub(super) fn take(&mut self, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        match stream {
            Stream::Stdout => self.stdout.write(bytes),
            Stream::Stderr => self.stderr.write(bytes),
        }
    }

    /// Leaves a hole for bytes that are lost.
    pub(super) fn lost(&mut self, stream: Stream, bytes: u64) -> io::Result<()> {
        match stream {
            Stream::Stdout => self.stdout.skip(bytes),
            Stream::Stderr => self.stderr.skip(bytes),
        }
    }

    /// How many bytes of both streams are not in their files, because these are full.
    pub(super) fn cut(&self) -> u64 {
        self.stdout.cut().saturating_add(self.stderr.cut())
    }

    /// Shows the unfinished last lines; returns the total number of bytes.
    pub(super) fn finish(&mut self) -> u64 {
        let stdout = self.stdout.finish();
        stdout.saturating_add(self.stderr.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_line_whose_beginning_is_not_known_is_left_out() {
        let mut is_torn = true;
        assert_eq!(whole_lines(b"5", &mut is_torn), b"");
        assert_eq!(whole_lines(b" s\njoined", &mut is_torn), b"joined");
        assert_eq!(whole_lines(b" in 2 s\n", &mut is_torn), b" in 2 s\n");
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("n1.out");
        std::fs::write(&path, "a\nb").unwrap();
        assert_eq!(last_byte(&path).unwrap(), b'b');
    }

    #[test]
    fn output_without_end_is_shown_up_to_a_limit() {
        let piece = vec![b'x'; 100_000];
        let mut before = 0;
        let mut sum = 0;
        for _ in 0..1000 {
            sum += shown(before, &piece).len() as u64;
            before += piece.len() as u64;
        }
        assert_eq!(sum, SHOWN);
    }
}
