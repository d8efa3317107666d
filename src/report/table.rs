//! Tables for people: columns without borders, readable without colour, as wide as they need to be.

use comfy_table::{Table, presets};

use super::terminal::{Colour, paint};

/// A table with these headings. Add rows with [`Table::add_row`], then [`render`] it.
pub fn new(headings: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    // Upper case distinguishes headings from data without colour.
    table.set_header(headings.iter().map(|heading| heading.to_uppercase()));
    table
}

/// The table as text: columns two spaces apart, no spaces at the ends of lines, headings bold in colour.
pub fn render(table: &Table, colour: bool) -> String {
    let mut text = String::new();
    for (index, line) in table.lines().enumerate() {
        let line = line.strip_prefix(' ').unwrap_or(&line).trim_end();
        // Painted here: inside the table the escapes would count as width.
        text.push_str(&paint(colour && index == 0, Colour::Bold, line));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_have_no_trailing_space() {
        let mut table = new(&["node", "state"]);
        table.add_row(["n1", "running"]);
        table.add_row(["worker017", ""]);
        assert_eq!(
            render(&table, false),
            "NODE       STATE\nn1         running\nworker017\n"
        );
    }

    #[test]
    fn colour_does_not_shift_columns() {
        let mut table = new(&["a", "b"]);
        table.add_row(["long value", "x"]);
        let text = render(&table, true);
        assert_eq!(text, "\x1b[1mA           B\x1b[0m\nlong value  x\n");
    }
}
