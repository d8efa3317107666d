//! What a node sends: output, archives, digests, its cloud-init status.

use super::pieces::Pieces;
use crate::base::text::{self, LineBuffer};
use crate::engine::cloud_init::{CloudInit, read};
use crate::report::gather;

/// Asserts that nothing is left that could control a terminal.
pub(super) fn assert_harmless(shown: &str) {
    for character in shown.chars() {
        assert!(
            matches!(character, '\n' | '\t') || !character.is_control(),
            "{character:?} in {shown:?}"
        );
        let direction = matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        );
        assert!(!direction, "{character:?} in {shown:?}");
    }
}

/// The parsers of nodes' output.
pub fn node(data: &[u8]) {
    let mut pieces = Pieces(data);
    let choice = pieces.byte();
    if choice >= 252 {
        let mut frames = crate::supervise::Frames::default();
        while !pieces.0.is_empty() {
            if frames.push(pieces.bytes()).is_err() {
                break;
            }
        }
        return;
    }
    match choice % 4 {
        0 => crate::ssh::fuzzing::unpack(pieces.0),
        1 => {
            assert_harmless(&text::line(pieces.0));
            assert_harmless(&text::sanitize(&pieces.rest()));
            let mut buffer = LineBuffer::default();
            let each = |line: String| {
                assert_harmless(&line);
                // An escaped character can be up to ten times as long.
                assert!(line.len() <= 11 * text::LINE_LIMIT);
            };
            let mut outputs = Vec::new();
            while !pieces.0.is_empty() {
                let part = pieces.bytes();
                buffer.push(part, each);
                outputs.push(("n1".to_owned(), String::from_utf8_lossy(part).into_owned()));
            }
            buffer.finish().into_iter().for_each(each);
            assert_harmless(&gather::render(&gather::gather(outputs)));
        }
        2 => {
            let code = u32::from(pieces.byte() % 4);
            let _ = read(Some(code), pieces.0, pieces.0);
            let entered = [&b"vcluster-entered\n"[..], pieces.0].concat();
            let _ = read(Some(code), &entered, pieces.0);
            // An answer with a failing exit code never counts as success.
            let failed = read(Some(1), &entered, b"");
            assert!(!matches!(failed, CloudInit::Done | CloudInit::Degraded(_)));
        }
        _ => {
            let mut all = Vec::new();
            crate::ssh::fuzzing::lines(&mut || {
                let piece = pieces.bytes();
                all.extend_from_slice(piece);
                piece
            });
            for line in all.split(|&byte| byte == b'\n') {
                let _ = crate::configure::fuzz_report(line);
            }
        }
    }
}
