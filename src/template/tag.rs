//! Places of tags in the text of a template.

/// Line and column, from 1.
pub(super) type At = (usize, usize);

/// The place of the first tag from `at` on that contains a name.
pub(super) fn tag_of(text: &str, at: At, name: &str) -> At {
    let lines = text.split_inclusive('\n').take(at.0.saturating_sub(1));
    let line: usize = lines.map(str::len).sum();
    let before = text[line..].chars().take(at.1.saturating_sub(1));
    let mut from = line + before.map(char::len_utf8).sum::<usize>();
    while let Some(open) = text[from..].find("{{").map(|found| from + found) {
        let end = text[open..].find("}}").map_or(text.len(), |found| open + found);
        let tag = &text[open..end];
        if !tag.starts_with("{{!") && has_name(tag, name) {
            let start = text[..open].rfind('\n').map_or(0, |newline| newline + 1);
            let number = text[..open].matches('\n').count() + 1;
            return (number, text[start..open].chars().count() + 1);
        }
        from = end;
    }
    at
}

fn has_name(tag: &str, name: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || "_-$:./@".contains(c);
    tag.match_indices(name)
        .any(|(start, _)| !tag[..start].ends_with(part) && !tag[start + name.len()..].starts_with(part))
}
