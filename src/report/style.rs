//! The styles of text for people. Each only repeats what the words already show; `out.rs` removes them where
//! colours are off.

use anstyle::{AnsiColor, Style};

/// Failures, and the prefix of what a node wrote to its standard error.
pub(super) const ERROR: Style = AnsiColor::Red.on_default();
/// Warnings.
pub(super) const WARNING: Style = AnsiColor::Yellow.on_default();
/// Hints, and the prefix of what a node wrote to its standard output.
pub(super) const HINT: Style = AnsiColor::Cyan.on_default();
/// Headings.
pub(super) const HEADING: Style = Style::new().bold();

/// The text without styles.
pub(super) fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::text::sanitize;
    use proptest::prelude::*;

    #[test]
    fn styles_are_added_and_removed() {
        let styled = format!("{ERROR}é{ERROR:#}: {HEADING}b{HEADING:#}");
        assert_eq!(styled, "\x1b[31mé\x1b[0m: \x1b[1mb\x1b[0m");
        assert_eq!(plain(&styled), "é: b");
    }

    proptest! {
        #[test]
        fn sanitized_text_loses_nothing(text in "[\\x00-\\xa0é日\u{1f600}]{0,60}") {
            let text = sanitize(&text).into_owned();
            prop_assert_eq!(plain(&text), text);
        }
    }
}
