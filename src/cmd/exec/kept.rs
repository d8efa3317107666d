//! The output of a node that is kept until its command ends, for `-b` and JSON: the beginning of each stream.

use crate::base::event::Stream;
use crate::ssh::fanout::FanEnd;

/// Bytes kept of each stream of a node.
const LIMIT: usize = 16 << 20;

/// The beginning of a stream, without holes: once something is left out, all that follows is.
#[derive(Debug, Default)]
pub(super) struct Kept {
    text: String,
    cut: u64,
}

impl Kept {
    /// Takes a line, or a piece of one that continues.
    fn take(&mut self, line: &str, ended: bool) {
        self.take_within(LIMIT, line, ended);
    }

    fn take_within(&mut self, limit: usize, line: &str, ended: bool) {
        let length = line.len() + usize::from(ended);
        let room = match self.cut {
            0 => limit.saturating_sub(self.text.len()),
            _ => 0,
        };
        if length <= room {
            self.text.push_str(line);
            if ended {
                self.text.push('\n');
            }
            return;
        }
        let head = &line[..line.floor_char_boundary(room)];
        self.text.push_str(head);
        self.cut += (length - head.len()) as u64;
    }

    /// What is kept.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// How many bytes are left out after it.
    pub(super) fn cut(&self) -> u64 {
        self.cut
    }

    /// Takes what is kept out of here.
    pub(super) fn take_text(&mut self) -> String {
        std::mem::take(&mut self.text)
    }
}

/// The result of a node.
#[derive(Debug)]
pub(super) struct NodeOutput {
    pub(super) node: String,
    pub(super) ended: FanEnd,
    pub(super) stdout: Kept,
    pub(super) stderr: Kept,
}

impl NodeOutput {
    /// A node that was not started.
    pub(super) fn new(node: String) -> Self {
        Self {
            node,
            ended: FanEnd::Cancelled,
            stdout: Kept::default(),
            stderr: Kept::default(),
        }
    }

    /// Keeps a line, or a piece of one that continues.
    pub(super) fn keep(&mut self, stream: Stream, line: &str, ended: bool) {
        let kept = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        kept.take(line, ended);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(limit: usize, lines: &[(&str, bool)]) -> (String, u64) {
        let mut kept = Kept::default();
        for (line, ended) in lines {
            kept.take_within(limit, line, *ended);
        }
        (kept.text().to_owned(), kept.cut())
    }

    #[test]
    fn what_fits_is_kept_whole() {
        assert_eq!(kept(6, &[("ab", true), ("cd", true)]), ("ab\ncd\n".into(), 0));
        assert_eq!(kept(4, &[("ab", false), ("cd", false)]), ("abcd".into(), 0));
    }

    #[test]
    fn what_is_too_long_is_cut_once_and_every_byte_after_it_is_counted() {
        // The second line does not fit, so the short third one is left out as well.
        let lines = [("ab", true), ("cdef", true), ("g", true)];
        assert_eq!(kept(5, &lines), ("ab\ncd".into(), 5));
        // Only the end of the line does not fit.
        assert_eq!(kept(2, &[("ab", true), ("c", false)]), ("ab".into(), 2));
    }

    #[test]
    fn a_character_is_kept_whole_or_not_at_all() {
        assert_eq!(kept(2, &[("aé", true), ("b", true)]), ("a".into(), 5));
    }
}
