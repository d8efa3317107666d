//! What YAML reads in another way than people mean it, told by the text around a mistake in the syntax: unquoted node
//! sets, groups and templates, tabs. Only chooses the hint; the reader of YAML decides what is a mistake.

/// Lines before the mistake in which its cause is looked for.
const LINES_BEFORE: usize = 2;

/// What to write instead; `None` if the text shows nothing that is known.
pub(super) fn hint(text: &str, offset: usize, message: &str) -> Option<String> {
    let offset = offset.min(text.len());
    let starts: Vec<usize> = std::iter::once(0)
        .chain(text[..offset].match_indices('\n').map(|(newline, _)| newline + 1))
        .collect();
    let line = starts.last().copied().unwrap_or(0);
    let before = starts.iter().rev().nth(LINES_BEFORE).copied().unwrap_or(0);
    let marks = scan(text, before, line_end(text, offset));
    if marks.braces.is_some_and(|at| at >= line) {
        return Some("put a value that contains `{{` in quotes".to_owned());
    }
    if let Some(at) = marks.set {
        return Some(format!(
            "quote it: \"{}\"; inside of `{{ }}` and `[ ]`, a `[` ends a name",
            short(set_at(text, at))
        ));
    }
    if let Some(at) = marks.indicator {
        return Some(format!(
            "quote it: \"{}\"; YAML reserves `{}` at the beginning of a value",
            short(value_at(text, at)),
            &text[at..=at]
        ));
    }
    let rest = &text[offset..];
    if rest.starts_with(['*', '&', '!']) {
        return Some(format!(
            "if it is text, quote it: \"{}\"; YAML reads `{}` at the beginning of a value as an alias, an anchor or a tag",
            short(value_at(text, offset)),
            &rest[..1]
        ));
    }
    let indented = |line: &&str| line.starts_with([' ', '\t']);
    let mut around = text[..line_end(text, offset)]
        .lines()
        .rev()
        .take(1 + LINES_BEFORE);
    if around.any(|line| indented(&line) && line[..line.len() - line.trim_start().len()].contains('\t')) {
        return Some("indent with spaces: YAML does not allow tabs there".to_owned());
    }
    message
        .contains("mapping values are not allowed")
        .then(|| "quote a text that contains `: `, and check the indentation of this line".to_owned())
}

/// At most 60 characters of a text. Diagnostics are made safe for a terminal when they are rendered.
fn short(text: &str) -> String {
    text.chars().take(60).collect()
}

/// Places that explain a mistake: the first of each kind, but the last one with braces.
#[derive(Default)]
struct Marks {
    /// A name that a `[` follows directly, inside of brackets.
    set: Option<usize>,
    /// A value that begins with a character that YAML reserves.
    indicator: Option<usize>,
    /// A value that begins with `{{`, or contains it inside of brackets.
    braces: Option<usize>,
}

/// Walks over the text as far as `end`, outside of quotes and comments; marks what stands at `from` or after it.
fn scan(text: &str, from: usize, end: usize) -> Marks {
    let mut marks = Marks::default();
    let mut depth = 0_usize;
    let mut quote = None;
    // Whether a value may begin here.
    let mut begins = true;
    let mut before = '\n';
    let mut word = 0;
    // Whether this is inside of the brackets of a node set.
    let mut in_set = false;
    for (at, c) in text[..end].char_indices() {
        let starts = begins;
        match quote {
            Some('#') if c == '\n' => quote = None,
            Some(open) => {
                if open != '#' && c == open && !(open == '"' && before == '\\') {
                    quote = None;
                }
                before = c;
                continue;
            }
            None => {}
        }
        if !in_set && !is_name(before) && is_name(c) {
            word = at;
        }
        match c {
            '"' | '\'' if starts => quote = Some(c),
            '#' if before.is_whitespace() => quote = Some('#'),
            // In brackets, a `{` also ends an unquoted text.
            '{' if (starts || depth > 0) && text[at..].starts_with("{{") && !text[..at].ends_with('{') => {
                marks.braces = Some(at);
                depth += 1;
            }
            '[' if depth > 0 && is_name(before) => {
                in_set = true;
                if word >= from {
                    marks.set.get_or_insert(word);
                }
                depth += 1;
            }
            '{' | '[' if starts => depth += 1,
            '}' | ']' => {
                in_set = false;
                depth = depth.saturating_sub(1);
            }
            '@' | '%' | '`' if starts && at >= from => {
                marks.indicator.get_or_insert(at);
            }
            // An entry at the margin is inside of no bracket.
            _ if before == '\n' && is_name(c) => depth = 0,
            _ => {}
        }
        begins = match c {
            ' ' | '\t' => starts || matches!(before, ':' | '-'),
            '\n' | '{' | '[' | ',' => true,
            _ => false,
        };
        before = c;
    }
    marks
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || "_.-]".contains(c)
}

fn line_end(text: &str, offset: usize) -> usize {
    text[offset..]
        .find('\n')
        .map_or(text.len(), |newline| offset + newline)
}

/// The node set that begins here.
fn set_at(text: &str, at: usize) -> &str {
    let mut depth = 0_usize;
    let rest = &text[at..line_end(text, at)];
    let end = rest.find(|c: char| {
        match c {
            '[' => depth += 1,
            ']' if depth > 0 => {
                depth -= 1;
                return false;
            }
            _ => {}
        }
        depth == 0 && !(is_name(c) || "!&^".contains(c)) || c == ']'
    });
    &rest[..end.unwrap_or(rest.len())]
}

/// The unquoted value that begins here, as far as it is likely to go.
fn value_at(text: &str, at: usize) -> &str {
    let rest = &text[at..line_end(text, at)];
    let mut depth = 0_usize;
    let end = rest.find(|c: char| {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => {
                depth -= 1;
                return false;
            }
            _ => {}
        }
        depth == 0 && ",}]".contains(c)
    });
    rest[..end.unwrap_or(rest.len())].trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint_at(text: &str, place: &str) -> String {
        hint(text, text.find(place).unwrap(), "").unwrap_or_default()
    }

    #[test]
    fn a_node_set_in_brackets_is_to_be_quoted() {
        for (text, place, set) in [
            ("hosts: { bm[01-03]: { max_nodes: 4 } }\n", "[01", "bm[01-03]"),
            ("hosts: { n[1-3]: }\n", "[1", "n[1-3]"),
            ("hosts: {\n  a: {},\n  bm[01-03]: {}\n}\n", "[01", "bm[01-03]"),
            ("groups: { a: { nodes: web[1-3] } }\n", "[1", "web[1-3]"),
            ("a: { on: rack[1-2]-bm[01-08] }\n", "[1", "rack[1-2]-bm[01-08]"),
            ("a: { h[1-2]: {}, i[3-4]: {} }\n", "[1", "h[1-2]"),
        ] {
            let wanted = format!("quote it: \"{set}\";");
            assert!(
                hint_at(text, place).starts_with(&wanted),
                "{text}: {}",
                hint_at(text, place)
            );
        }
        // In a block, the same is right.
        assert_eq!(
            hint_at("hosts:\n  bm[01-03]: { max_nodes: 4 }\nx: [\n", "[\n"),
            ""
        );
    }

    #[test]
    fn reserved_characters_templates_and_tabs_have_their_own_hints() {
        assert!(hint_at("configure:\n  - { on: @all, run: x }\n", "@").contains("\"@all\""));
        assert!(hint_at("configure:\n  - on: @web!web001\n", "@").contains("\"@web!web001\""));
        assert!(hint_at("min_ready: %90\n", "%").contains("\"%90\""));
        assert!(hint_at("a:\n  on: *all\n", "*").contains("\"*all\""));
        assert!(hint_at("h: { uri: {{name}} }\n", "{name").contains("`{{` in quotes"));
        assert!(hint_at("a:\n- { on: n, run: echo {{name}} }\n", "{{").contains("`{{` in quotes"));
        assert!(hint_at("h: {\n  uri: root@{{name}} }\n", "{{").contains("`{{` in quotes"));
        assert!(hint_at("a:\n\tb: 1\n", "b").contains("spaces"));
        assert_eq!(
            hint_at("a: \"{{x}}\"\nb: 'it @all {{x}} n[1]'\n# n[1] @x\nc: ]\n", "]\n"),
            ""
        );
        assert!(hint("a: b: c\n", 4, "mapping values are not allowed in this context").is_some());
    }

    #[test]
    fn no_place_in_a_text_panics() {
        let text = "é: { b[1: 'x\n\t\"{{é @%`*&!#\n]}[{:,- ";
        for (offset, _) in text.char_indices().chain([(text.len(), ' ')]) {
            hint(text, offset, "");
        }
    }
}
