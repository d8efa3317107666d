//! Tables for people: columns without borders, readable without colour, as wide as they need to be.

use anstyle::Style;
use comfy_table::{Table, presets};

use super::style::HEADING;
use crate::base::text::sanitize;

/// A table with these headings. Add rows with [`Table::add_row`], then [`render`] it.
pub fn new(headings: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    // Upper case distinguishes headings from data without colour.
    table.set_header(headings.iter().map(|heading| heading.to_uppercase()));
    table
}

/// The table as text: columns two spaces apart, no spaces at the ends of lines, headings bold.
pub fn render(table: &Table) -> String {
    let mut text = String::new();
    for (index, line) in table.lines().enumerate() {
        let line = sanitize(line.strip_prefix(' ').unwrap_or(&line).trim_end());
        // Styled here: inside the table the escapes would count as width.
        let style = if index == 0 { HEADING } else { Style::new() };
        text.push_str(&format!("{style}{line}{style:#}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::style::plain;
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_have_no_trailing_space() {
        let mut table = new(&["node", "state"]);
        table.add_row(["n1", "running"]);
        table.add_row(["worker017", ""]);
        assert_eq!(
            plain(&render(&table)),
            "NODE       STATE\nn1         running\nworker017\n"
        );
    }

    #[test]
    fn colour_does_not_shift_columns() {
        let mut table = new(&["a", "b"]);
        table.add_row(["long value", "x"]);
        let text = render(&table);
        assert_eq!(text, "\x1b[1mA           B\x1b[0m\nlong value  x\n");
    }

    #[test]
    fn a_cell_cannot_control_the_terminal() {
        let mut table = new(&["path"]);
        table.add_row(["a\x1b[2Jb"]);
        assert!(plain(&render(&table)).contains("a^[[2Jb"));
    }
}
