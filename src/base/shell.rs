//! Values for a POSIX shell: quoted words, and variables of a script.

/// Quotes a word for a POSIX shell.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A script with these variables, given as names and values, assigned before its first line. The values are quoted; the
/// names are not.
pub fn with_variables(variables: &[(&str, &str)], script: &str) -> String {
    let assignments: Vec<String> = variables
        .iter()
        .map(|(name, value)| format!("{name}={}", quote(value)))
        .collect();
    format!("{}\n{script}", assignments.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_word_comes_out_of_a_shell_as_it_went_in() {
        for word in [
            "", "plain", "a b", "it's", "$(x)", "`x`", "a\nb", "*", "\\", "~", "é", "a'b'c\"d",
        ] {
            let output = std::process::Command::new("sh")
                .arg("-c")
                .arg(format!("printf %s {}", quote(word)))
                .output()
                .unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
        }
    }

    #[test]
    fn a_script_gets_its_variables_as_they_are() {
        let (words, code) = (" a  b\n*.rs it's ", "$(exit 3); a='b' \\");
        let variables = [("words", words), ("code", code), ("nothing", "")];
        let script = with_variables(
            &variables,
            "printf '%s|%s|%s' \"$words\" \"$code\" \"$nothing\"\n",
        );
        assert!(script.starts_with("words=' a  b\n"), "{script}");
        let output = std::process::Command::new("sh")
            .arg("-c")
            .arg(script)
            .output()
            .unwrap();
        assert_eq!(
            String::from_utf8(output.stdout).unwrap(),
            format!("{words}|{code}|")
        );
    }
}
