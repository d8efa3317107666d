//! Writes an output stream of a node to a file and to the events.

use std::fs::File;
use std::io::{self, Write as _};
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
}

impl<'a> Kept<'a> {
    /// Opens the file of a stream; content from an earlier command stays.
    fn open(workload: &'a Workload<'a>, node: &'a NodeName, stream: Stream, dir: &Path) -> io::Result<Self> {
        let ending = match stream {
            Stream::Stdout => "out",
            Stream::Stderr => "err",
        };
        let file = super::results::appended(&dir.join(format!("{node}.{ending}")))?;
        Ok(Self {
            workload,
            node,
            stream,
            bytes: file.metadata()?.len(),
            file,
            lines: LineBuffer::default(),
        })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let room = usize::try_from(KEPT.saturating_sub(self.bytes)).unwrap_or(usize::MAX);
        self.file.write_all(&bytes[..bytes.len().min(room)])?;
        if let Some(watcher) = self.workload.watcher {
            watcher.output(self.node, self.stream, bytes);
        }
        let before = self.bytes;
        self.bytes += bytes.len() as u64;
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

    /// How many bytes of both streams are not in their files, because these are full.
    pub(super) fn cut(&self) -> u64 {
        self.stdout.cut() + self.stderr.cut()
    }

    /// Shows the unfinished last lines; returns the total number of bytes.
    pub(super) fn finish(&mut self) -> u64 {
        self.stdout.finish() + self.stderr.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
