//! Numbers as YAML writes them. Their text is kept where it differs from the usual form of their value: a version
//! `1.10` is not `1.1`.

use serde_json::Number;

/// Reads a number in a form of the core schema of YAML 1.2 (section 10.3.2): `12`, `007`, `0x1F`, `0o17`, `1.10`, `1e3`.
/// Infinity, NaN and the forms of YAML 1.1 (`1_000`, `0b11`) are text.
pub(crate) fn read(text: &str) -> Option<Number> {
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            // `from_str_radix` accepts a sign as well.
            let plain = digits.chars().all(|c| c.is_digit(radix));
            return plain
                .then(|| u64::from_str_radix(digits, radix).ok())
                .flatten()
                .map(Number::from);
        }
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        if let Ok(number) = text.parse::<i64>() {
            return Some(number.into());
        }
        if let Ok(number) = text.parse::<u64>() {
            return Some(number.into());
        }
    }
    // Rust also accepts the names of infinity and NaN.
    let plain = digits
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte));
    plain
        .then(|| text.parse().ok())
        .flatten()
        .and_then(Number::from_f64)
}

/// The number that a text stands for, if it is written in another form than the usual one: `1.10`, `007`, `0x10`, `1e3`.
/// `12` and `1.5` are the usual form, so a text `"12"` stays a text.
pub(crate) fn unusual(text: &str) -> Option<Number> {
    read(text).filter(|number| number.to_string() != text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_core_schema_decides_what_a_number_is() {
        for (text, value) in [
            ("12", "12"),
            ("-3", "-3"),
            ("+4", "4"),
            ("007", "7"),
            ("0x1F", "31"),
            ("0o17", "15"),
            ("1.10", "1.1"),
            (".5", "0.5"),
            ("2.", "2.0"),
            ("1e3", "1000.0"),
            ("18446744073709551615", "18446744073709551615"),
        ] {
            let number = read(text).unwrap_or_else(|| panic!("{text} is a number"));
            assert_eq!(number.to_string(), value, "{text}");
        }
        for text in [
            "", "-", ".", "e3", "1_000", "0b11", "0X1F", "0x", "0x+1", "-0x1", "1.2.3", "1e", "1-2", "yes",
            "~", "inf", "NaN", ".inf", "1e999", " 1", "1 ",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn only_another_form_than_the_usual_one_is_unusual() {
        for text in ["1.10", "007", "0x10", "1e3", "+1", "0.0e0", "00"] {
            assert!(unusual(text).is_some(), "{text}");
        }
        for text in ["12", "1.5", "-1", "0", "0.0", "x", "1_000"] {
            assert!(unusual(text).is_none(), "{text}");
        }
    }
}
