//! The end of a command's output: enough to show if it fails, in bounded memory.

use std::io;

use super::fault::tail_after;
use crate::base::event::Stream;
use crate::supervise::Sink;

/// Bytes kept of each stream.
const KEPT: usize = 32 << 10;

/// The ends of both streams.
#[derive(Debug, Default)]
pub(super) struct Tail {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// Whether output before them is gone.
    cut: bool,
}

impl Tail {
    /// The last lines, indented, or nothing.
    pub(super) fn shown(&self) -> String {
        tail_after(&self.stdout, &self.stderr, self.cut)
    }
}

impl Sink for Tail {
    fn take(&mut self, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        let kept = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        kept.extend_from_slice(bytes);
        // Up to twice as much, so that it is moved rarely.
        if kept.len() > 2 * KEPT {
            kept.drain(..kept.len() - KEPT);
            self.cut = true;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_without_end_is_kept_in_bounded_memory_and_its_end_is_shown() {
        let mut tail = Tail::default();
        for number in 0..100_000 {
            tail.take(Stream::Stdout, format!("line {number}\n").as_bytes())
                .unwrap();
        }
        assert!(tail.stdout.len() <= 2 * KEPT && tail.stdout.capacity() < 8 * KEPT);
        assert!(tail.shown().ends_with("| line 99999"), "{}", tail.shown());
        assert!(
            tail.shown()
                .starts_with("\n  | [earlier output is left out]\n  | line 99980\n")
        );
    }
}
