//! Which characters the user's terminal can show.

/// Whether text may have characters beyond ASCII, by the locale of this process.
pub fn is_utf8() -> bool {
    decide(|name| std::env::var(name).ok())
}

/// The first variable that is set decides, in the order of POSIX.
fn decide(variable: impl Fn(&str) -> Option<String>) -> bool {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG"));
    locale.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(environment: &[(&str, &str)]) -> bool {
        decide(|name| {
            let mut pairs = environment.iter();
            let found = pairs.find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_first_locale_variable_that_is_set_decides() {
        assert!(is(&[("LANG", "en_US.UTF-8")]));
        assert!(is(&[("LC_ALL", ""), ("LC_CTYPE", "C.utf8"), ("LANG", "C")]));
        assert!(!is(&[("LC_ALL", "C"), ("LANG", "en_US.UTF-8")]));
        assert!(!is(&[("LANG", "de_DE@euro")]));
        assert!(!is(&[]));
    }
}
