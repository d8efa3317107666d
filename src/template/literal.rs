//! Finds decimal numbers in tags that would be written in another form than they have there: the parser keeps only the
//! value of `1.10`, which is `1.1`.

use super::error::TemplateError;
use crate::base::number::unusual;

/// Helpers that only need the value of a number.
const COMPARISONS: [&str; 6] = ["eq", "ne", "gt", "gte", "lt", "lte"];

/// Refuses the first such number in a template.
pub(super) fn check(text: &str, source: &str) -> Result<(), TemplateError> {
    let mut from = 0;
    while let Some(open) = text[from..].find("{{").map(|found| from + found) {
        let end = text[open..].find("}}").map_or(text.len(), |found| open + found);
        let tag = text[open..end]
            .trim_start_matches(['{', '~', '#', '^', '&'])
            .trim_end_matches('~');
        let is_code = !tag.starts_with('!') && !text[..open].ends_with('\\');
        if let Some(word) = is_code.then(|| decimal(tag)).flatten()
            && let Some(number) = unusual(word)
        {
            let line = text[..open].matches('\n').count() + 1;
            let start = text[..open].rfind('\n').map_or(0, |newline| newline + 1);
            let column = text[start..open].chars().count() + 1;
            let message = format!("the number `{word}` would become `{number}`");
            return Err(TemplateError::new(source, Some((line, column)), message)
                .with_hint(format!("quotes keep it as it is: \"{word}\"")));
        }
        from = end;
    }
    Ok(())
}

/// The first parameter in a tag that is a decimal number in an unusual form, outside of comparisons.
fn decimal(tag: &str) -> Option<&str> {
    // The helper at each depth of parentheses, as far as its name was read.
    let mut helpers: Vec<Option<&str>> = vec![None];
    let mut quote = None;
    let mut start = 0;
    for (at, c) in tag.char_indices().chain([(tag.len(), ' ')]) {
        if let Some(open) = quote {
            if c == open {
                quote = None;
                start = at + 1;
            }
            continue;
        }
        if !(c.is_whitespace() || "()=|\"'".contains(c)) {
            continue;
        }
        let word = &tag[start..at];
        start = at + c.len_utf8();
        let helper = helpers.last_mut()?;
        match *helper {
            None if !word.is_empty() && word != "else" => *helper = Some(word),
            Some(name) if word.contains('.') && !COMPARISONS.contains(&name) && unusual(word).is_some() => {
                return Some(word);
            }
            _ => {}
        }
        match c {
            '(' => helpers.push(None),
            ')' if helpers.len() > 1 => {
                helpers.pop();
            }
            '"' | '\'' => quote = Some(c),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_number_is_refused_only_where_its_form_would_be_lost() {
        for (text, wanted) in [
            (
                "a\n {{default vars.x 1.10}}",
                "t:2:2: the number `1.10` would become `1.1`",
            ),
            ("{{#if a}}{{else}}{{concat (concat 2.50)}}{{/if}}", "`2.50`"),
            ("{{~#with 1.50~}}{{/with}}", "`1.50`"),
        ] {
            let error = check(text, "t").unwrap_err().to_string();
            assert!(error.contains(wanted), "{text}: {error}");
        }
        for text in [
            "{{default vars.x \"1.10\"}} {{default vars.x '1.10'}} {{default vars.x 1.5}} 1.10",
            "{{#if (gt vars.x 1.50)}}{{else if (eq 2.0 vars.y)}}{{/if}}",
            "{{! 1.10 }} \\{{default x 1.10}} {{vars.[1.10]}} {{add 10 1}} {{x \"(\" 1}} {{",
        ] {
            assert!(check(text, "t").is_ok(), "{text}");
        }
    }
}
