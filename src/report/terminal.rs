//! What the terminal can do besides colours, detected once.

use std::io::IsTerminal;

/// What the two output streams can show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terminal {
    /// stderr is a terminal that can redraw: bars are possible.
    pub bars: bool,
    /// stdout is a terminal (bars and data share the screen).
    pub stdout: bool,
}

impl Terminal {
    /// Detects it from the streams and `TERM` of this process.
    pub fn detect() -> Self {
        let term = std::env::var("TERM").ok();
        Self {
            bars: std::io::stderr().is_terminal() && can_redraw(term.as_deref()),
            stdout: std::io::stdout().is_terminal(),
        }
    }
}

fn can_redraw(term: Option<&str>) -> bool {
    !matches!(term, None | Some("" | "dumb"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_that_is_dumb_or_unknown_gets_no_bars() {
        assert!(can_redraw(Some("xterm")));
        for term in [Some("dumb"), Some(""), None] {
            assert!(!can_redraw(term), "{term:?}");
        }
    }
}
