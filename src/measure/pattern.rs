//! Regular expressions that read numbers out of text.

use regex::{Regex, RegexBuilder};

/// The longest expression, in bytes.
const LONGEST: usize = 1_000;
/// The most memory that an expression may need, in bytes.
const LARGEST: usize = 1 << 20;

/// Why a regular expression cannot read a metric.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Its text is too long.
    #[error("the regex has {0} bytes; at most 1000 are allowed")]
    Long(usize),
    /// It needs too much memory, such as `(a{1000}){1000}`.
    #[error("the regex needs more than 1 MiB of memory")]
    Large,
    /// It cannot be read.
    #[error("the regex is invalid: {0}")]
    Invalid(String),
    /// It has none or several capture groups.
    #[error("the regex has {0} capture groups; one is needed")]
    Groups(usize),
    /// It matches everywhere.
    #[error("the regex matches an empty text")]
    Empty,
}

impl PatternError {
    /// What to write instead.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Long(_) | Self::Large => "shorten it, and use smaller repetitions",
            Self::Invalid(_) => {
                "write it as for the Rust crate `regex`, such as 'joined in ([0-9.]+) s'; it has no look-around"
            }
            Self::Groups(0) => "put `(...)` around the number, such as 'joined in ([0-9.]+) s'",
            Self::Groups(_) => "keep `(...)` around the number only, and write `(?:...)` for other groups",
            Self::Empty => "use `+` instead of `*`, or add the text around the number",
        }
    }
}

/// A regular expression whose only capture group is a number. `^` and `$` match at the begin and the end of a line.
pub fn pattern(text: &str) -> Result<Regex, PatternError> {
    if text.len() > LONGEST {
        return Err(PatternError::Long(text.len()));
    }
    let regex = RegexBuilder::new(text)
        .multi_line(true)
        .size_limit(LARGEST)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => PatternError::Large,
            error => PatternError::Invalid(brief(&error.to_string())),
        })?;
    // The whole match counts as a group.
    let groups = regex.captures_len() - 1;
    if groups != 1 {
        return Err(PatternError::Groups(groups));
    }
    if regex.is_match("") {
        return Err(PatternError::Empty);
    }
    Ok(regex)
}

/// The last line of a message of the crate, which draws the expression before it.
fn brief(message: &str) -> String {
    let last = message.lines().next_back().unwrap_or_default();
    let text = last.trim().strip_prefix("error: ").unwrap_or(last.trim());
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_only_group_of_a_regex_is_the_number() {
        let regex = pattern(r"^joined (?:node )?in ([0-9.]+) s$").unwrap();
        let text = "booting\njoined node in 1.5 s\njoined in 20 s\nnot joined in 3 s\n";
        let found: Vec<&str> = regex
            .captures_iter(text)
            .map(|captures| captures.get(1).unwrap().as_str())
            .collect();
        assert_eq!(found, ["1.5", "20"]);
    }

    #[test]
    fn a_regex_that_cannot_read_a_number_is_refused_with_the_reason() {
        for (text, message, hint) in [
            ("joined", "has 0 capture groups; one is needed", "(...)"),
            ("(a)([0-9]+)", "has 2 capture groups", "(?:...)"),
            ("([0-9]+", "the regex is invalid: unclosed group", "Rust crate"),
            ("(?=([0-9]+))", "look-around", "Rust crate"),
            ("([0-9]*)", "matches an empty text", "`+`"),
            ("(a|)", "matches an empty text", "`+`"),
            ("(a{1000}){1000}", "needs more than 1 MiB", "smaller repetitions"),
        ] {
            let error = pattern(text).unwrap_err();
            assert!(error.to_string().contains(message), "{text}: {error}");
            assert!(error.hint().contains(hint), "{text}: {}", error.hint());
            assert!(!error.to_string().contains('\n'));
        }
        let long = format!("({})", "a".repeat(LONGEST));
        assert_eq!(pattern(&long).unwrap_err(), PatternError::Long(LONGEST + 2));
    }
}
