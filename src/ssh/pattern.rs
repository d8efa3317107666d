//! The patterns of ssh_config(5): `*`, `?`, and lists with `!`. Pure.

/// Whether a pattern matches the whole text.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where to continue if the text after the last `*` does not match: linear memory, no recursion.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&c) if c == '?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    p = at + 1;
                    t = from + 1;
                    star = Some((at, t));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

/// Whether a list matches: at least one pattern matches, and none with a `!`.
pub(super) fn list_matches<S: AsRef<str>>(patterns: impl IntoIterator<Item = S>, text: &str) -> bool {
    let mut found = false;
    for pattern in patterns {
        match pattern.as_ref().strip_prefix('!') {
            Some(negated) if matches(negated, text) => return false,
            Some(_) => {}
            None => found |= matches(pattern.as_ref(), text),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks_match_as_in_ssh_config() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("bm*", "bm01", true),
            ("bm??", "bm01", true),
            ("bm?", "bm01", false),
            ("*.example.org", "a.b.example.org", true),
            ("*a*b*c", "xxaxxbxxbxc", true),
            ("*a*b*c", "xxaxxbxxbx", false),
            ("192.168.0.?", "192.168.0.10", false),
            ("[127.0.0.1]:2*", "[127.0.0.1]:2222", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_negated_pattern_overrules_the_others_and_never_matches_alone() {
        assert!(list_matches(["*.org", "!a.org"], "b.org"));
        assert!(!list_matches(["*.org", "!a.org"], "a.org"));
        assert!(!list_matches(["!a.org"], "b.org"));
    }
}
