//! Cuts a stream of bytes into lines of bounded length. Pure.

/// The longest line; a longer one is split into pieces.
pub(super) const LINE_LIMIT: usize = 16 * 1024;

/// The rest of a stream after its last line end.
#[derive(Default)]
pub(super) struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// Takes bytes and emits the lines that they complete, without their ends; `false` for a piece whose
    /// line continues in the next one.
    pub(super) fn push(&mut self, mut bytes: &[u8], mut line: impl FnMut(String, bool)) {
        while let Some(at) = bytes.iter().position(|&b| b == b'\n') {
            self.take(&bytes[..at], &mut line);
            bytes = &bytes[at + 1..];
            if self.rest.last() == Some(&b'\r') {
                self.rest.pop();
            }
            line(text(&self.rest), true);
            self.rest.clear();
        }
        self.take(bytes, &mut line);
    }

    fn take(&mut self, mut bytes: &[u8], line: &mut impl FnMut(String, bool)) {
        while self.rest.len() + bytes.len() > LINE_LIMIT {
            let (head, tail) = bytes.split_at(LINE_LIMIT - self.rest.len());
            self.rest.extend_from_slice(head);
            // Not in the middle of a character.
            let cut = match std::str::from_utf8(&self.rest) {
                Err(error) if error.error_len().is_none() => error.valid_up_to().max(1),
                _ => LINE_LIMIT,
            };
            let next = self.rest.split_off(cut);
            line(text(&self.rest), false);
            self.rest = next;
            bytes = tail;
        }
        self.rest.extend_from_slice(bytes);
    }

    /// The last line, if it had no end.
    pub(super) fn finish(self) -> Option<String> {
        (!self.rest.is_empty()).then(|| text(&self.rest))
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(chunks: &[&[u8]]) -> Vec<String> {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        for chunk in chunks {
            lines.push(chunk, |line, _| found.push(line));
        }
        found.extend(lines.finish());
        found
    }

    #[test]
    fn lines_are_found_wherever_the_pieces_end() {
        assert_eq!(
            all(&[b"a\nb", b"c\r\n\n", b"\xc3", b"\xa9"]),
            ["a", "bc", "", "é"]
        );
        assert_eq!(all(&[b"x\n"]), ["x"]);
        assert!(all(&[]).is_empty());
    }

    #[test]
    fn a_line_without_end_takes_bounded_memory_and_loses_nothing() {
        let long = "é".repeat(LINE_LIMIT * 3);
        let mut chunks: Vec<&[u8]> = long.as_bytes().chunks(997).collect();
        chunks.push(b"\n");
        let found = all(&chunks);
        assert!(found.len() > 5 && found.iter().all(|line| line.len() <= LINE_LIMIT));
        assert_eq!(found.concat(), long);
    }
}
