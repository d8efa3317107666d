//! Makes foreign text (from nodes, hosts, libvirt) safe for a terminal, and splits streams into lines.
//! A guest's output must not move the cursor, change the title or hide text on the user's screen.

use std::borrow::Cow;
use std::fmt::Write;

/// The longest line shown, in bytes; the rest is cut and counted.
pub const LINE_LIMIT: usize = 8 * 1024;

/// Makes control characters and terminal escapes visible.
///
/// Colour sequences (`ESC [ ... m`) carry no text and are dropped; every other control character is written in the
/// style of `cat -v` (`^[`, `^M`, `^?`), other invisible ones (C1, text direction, zero width) as `\u{..}`.
/// Tabs and newlines are kept.
pub fn sanitize(text: &str) -> Cow<'_, str> {
    clean(text, false)
}

/// As [`sanitize`], but keeps colour sequences: for foreign text within our own coloured text.
pub fn sanitize_painted(text: &str) -> Cow<'_, str> {
    clean(text, true)
}

fn clean(text: &str, keep_colours: bool) -> Cow<'_, str> {
    if !text.chars().any(is_hazard) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        if let Some(after) = after_colour(rest) {
            if keep_colours {
                clean.push_str(&rest[..rest.len() - after.len()]);
            }
            rest = after;
            continue;
        }
        rest = &rest[character.len_utf8()..];
        match character {
            _ if !is_hazard(character) => clean.push(character),
            // C0 and DEL in caret notation: the character 64 away.
            '\0'..='\x1f' | '\x7f' => {
                clean.push('^');
                clean.push(char::from(character as u8 ^ 0x40));
            }
            _ => {
                let _ = write!(clean, "\\u{{{:x}}}", u32::from(character));
            }
        }
    }
    Cow::Owned(clean)
}

pub(crate) fn is_hazard(character: char) -> bool {
    match character {
        '\t' | '\n' => false,
        // Text direction (a "Trojan source"), zero-width and invisible characters, line and paragraph
        // separators, BOM, annotations, tags.
        '\u{ad}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}' => true,
        other => other.is_control(),
    }
}

/// The text after a leading colour sequence (ECMA-48 SGR), if there is one.
fn after_colour(text: &str) -> Option<&str> {
    let body = text.strip_prefix("\x1b[")?;
    let end = body.find(|c: char| !(c.is_ascii_digit() || c == ';' || c == ':'))?;
    body[end..].strip_prefix('m')
}

/// A foreign line, ready to print: decoded, without its line ending, cut to [`LINE_LIMIT`], sanitized.
pub fn line(bytes: &[u8]) -> String {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    let (shown, dropped) = match bytes.len() {
        length if length > LINE_LIMIT => (
            &bytes[..boundary(bytes, LINE_LIMIT)],
            length - boundary(bytes, LINE_LIMIT),
        ),
        _ => (bytes, 0),
    };
    let mut text = sanitize(&String::from_utf8_lossy(shown)).replace('\n', "^J");
    if dropped > 0 {
        let _ = write!(text, " ... ({dropped} more bytes)");
    }
    text
}

/// The first characters of a text, with `...` after them if there are more.
pub fn shortened(text: &str, characters: usize) -> Cow<'_, str> {
    match text.char_indices().nth(characters) {
        Some((end, _)) => Cow::Owned(format!("{}...", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

/// The last UTF-8 character boundary at or before `limit`.
fn boundary(bytes: &[u8], limit: usize) -> usize {
    let continues = |at: usize| bytes[at] & 0xc0 == 0x80;
    (limit.saturating_sub(3)..=limit)
        .rev()
        .find(|&at| !continues(at))
        .unwrap_or(limit)
}

/// Splits a stream of bytes into lines, with a bounded buffer for any input.
#[derive(Debug, Default)]
pub struct LineBuffer {
    pending: Vec<u8>,
    /// Bytes of the current line that did not fit into the buffer.
    dropped: usize,
}

impl LineBuffer {
    /// Takes bytes and passes on each line that they complete, ready to print.
    pub fn push(&mut self, bytes: &[u8], mut each: impl FnMut(String)) {
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            let ended = part.ends_with(b"\n");
            let part = part.strip_suffix(b"\n").unwrap_or(part);
            let room = LINE_LIMIT.saturating_sub(self.pending.len()).min(part.len());
            self.pending.extend_from_slice(&part[..room]);
            self.dropped += part.len() - room;
            if ended {
                each(self.take());
            }
        }
    }

    /// The last line, if the stream ended without a newline.
    pub fn finish(&mut self) -> Option<String> {
        (!self.pending.is_empty()).then(|| self.take())
    }

    fn take(&mut self) -> String {
        let mut text = line(&self.pending);
        if self.dropped > 0 {
            let _ = write!(text, " ... ({} more bytes)", self.dropped);
        }
        self.pending.clear();
        self.dropped = 0;
        text
    }
}

/// Whether all of it are hex digits in lower case, as digests and ids are written.
pub fn is_lower_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// A number with its noun: `1 node`, `2 nodes`.
pub fn plural(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hex_digits_in_lower_case_are_those_of_ids() {
        assert!(is_lower_hex("0123456789abcdef"));
        for other in ["A0", "g", "0x1f", "1 2", "é"] {
            assert!(!is_lower_hex(other), "{other}");
        }
    }

    #[test]
    fn plain_text_is_not_copied() {
        assert!(matches!(sanitize("a\tb\nüñ"), Cow::Borrowed("a\tb\nüñ")));
    }

    #[test]
    fn colours_vanish_and_every_other_escape_becomes_visible() {
        assert_eq!(sanitize("\x1b[1;32m OK \x1b[0m done"), " OK  done");
        assert_eq!(sanitize("\x1b[2Jx"), "^[[2Jx");
        assert_eq!(sanitize("\x1b]0;title\x07"), "^[]0;title^G");
        assert_eq!(sanitize("a\rb\x7f\0"), "a^Mb^?^@");
        assert_eq!(sanitize("\x1b["), "^[[");
        assert_eq!(sanitize("\u{9b}2J \u{202e}abc"), "\\u{9b}2J \\u{202e}abc");
        assert_eq!(
            sanitize("a\u{61c}b\u{ad}c\u{e0041}"),
            "a\\u{61c}b\\u{ad}c\\u{e0041}"
        );
    }

    #[test]
    fn what_we_painted_keeps_its_colours_and_nothing_else() {
        assert_eq!(
            sanitize_painted("\x1b[1;31merror\x1b[0m: \x1b[2J\u{9b}2J"),
            "\x1b[1;31merror\x1b[0m: ^[[2J\\u{9b}2J"
        );
    }

    #[test]
    fn a_line_loses_its_end_and_survives_bytes_that_are_no_text() {
        assert_eq!(line(b"abc\r\n"), "abc");
        assert_eq!(line(b"a\nb"), "a^Jb");
        assert_eq!(line(b"\xff\xfe"), "\u{fffd}\u{fffd}");
    }

    #[test]
    fn an_endless_line_is_cut_at_a_character() {
        let long = "é".repeat(LINE_LIMIT);
        let shown = line(long.as_bytes());
        assert!(
            shown.ends_with(&format!(" ... ({LINE_LIMIT} more bytes)")),
            "{}",
            &shown[shown.len() - 40..]
        );
        assert!(!shown.contains('\u{fffd}'));
    }

    #[test]
    fn a_text_that_is_shortened_shows_it() {
        assert_eq!(shortened("éé", 2), "éé");
        assert_eq!(shortened("ééé", 2), "éé...");
    }

    #[test]
    fn a_stream_is_cut_into_lines_wherever_its_pieces_end() {
        let mut buffer = LineBuffer::default();
        let mut lines = Vec::new();
        for piece in ["one\ntw", "o\n", "\nthree"] {
            buffer.push(piece.as_bytes(), |line| lines.push(line));
        }
        assert_eq!(lines, ["one", "two", ""]);
        assert_eq!(buffer.finish().as_deref(), Some("three"));
        assert_eq!(buffer.finish(), None);
    }

    #[test]
    fn the_buffer_stays_small_on_a_stream_without_newlines() {
        let mut buffer = LineBuffer::default();
        let mut lines = Vec::new();
        for _ in 0..100 {
            buffer.push(&[b'x'; LINE_LIMIT], |line| lines.push(line));
        }
        assert!(buffer.pending.capacity() <= 2 * LINE_LIMIT);
        buffer.push(b"\nnext\n", |line| lines.push(line));
        assert!(lines[0].ends_with(&format!("({} more bytes)", 99 * LINE_LIMIT)));
        assert_eq!(lines[1], "next");
    }
}
