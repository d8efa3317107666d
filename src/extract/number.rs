//! Numbers as nodes write them.

use crate::base::text::shortened;

/// The finite number that a text is, in decimal notation such as `12`, `-1.5` or `2e3`; white space around it is
/// ignored. `None` for everything else: `NaN`, `inf`, `1e400`, `0x1f`, `1,234`, nothing.
pub(super) fn finite(text: &[u8]) -> Option<f64> {
    let text = text.trim_ascii();
    let is_plain = text
        .iter()
        .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(byte));
    let value: f64 = std::str::from_utf8(text)
        .ok()
        .filter(|_| is_plain)?
        .parse()
        .ok()?;
    value.is_finite().then_some(value)
}

/// The beginning of what a node wrote, quoted and safe to print.
pub(super) fn shown(bytes: &[u8]) -> String {
    const BYTES: usize = 200;
    const CHARACTERS: usize = 40;
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(BYTES)]);
    format!("\"{}\"", shortened(&text, CHARACTERS).escape_debug())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_finite_decimal_numbers_are_numbers() {
        let read = |text: &str| finite(text.as_bytes());
        let good = [
            ("12", 12.0),
            ("-1.5", -1.5),
            (" +2e3\t", 2000.0),
            (".5", 0.5),
            ("1E-2", 0.01),
        ];
        for (text, value) in good {
            assert_eq!(read(text), Some(value), "{text}");
        }
        for text in [
            "", " ", "NaN", "nan", "inf", "+Inf", "infinity", "1e400", "-1e400", "0x1f", "1,234", "1_000",
            "1 2", "1.2.3", "e5", "-", ".", "1s", "١",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(finite(b"1\xff"), None);
    }

    #[test]
    fn what_is_shown_is_short_and_safe() {
        assert_eq!(shown(b"NaN"), "\"NaN\"");
        assert_eq!(shown(b"\x1b[2J\xff"), "\"\\u{1b}[2J\u{fffd}\"");
        assert_eq!(shown(&[b'x'; 1000]), format!("\"{}...\"", "x".repeat(40)));
    }

    proptest! {
        #[test]
        fn a_number_is_read_as_it_was_written(value in any::<f64>().prop_filter("finite", |v| v.is_finite())) {
            let texts = [format!("{value}"), format!("{value:e}"), format!("{value:?}")];
            for text in texts {
                let read = finite(text.as_bytes());
                prop_assert_eq!(read.map(f64::to_bits), Some(value.to_bits()), "{}", text);
            }
        }
    }
}
