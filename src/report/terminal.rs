//! What the terminal can do, detected once: colour, cursor movement.

use std::io::IsTerminal;

/// What the two output streams can show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terminal {
    /// stderr is a terminal that can redraw: bars are possible.
    pub bars: bool,
    /// stdout is a terminal (bars and data share the screen).
    pub stdout: bool,
    /// Colours on stderr.
    pub colour: bool,
    /// Colours on stdout.
    pub stdout_colour: bool,
}

impl Terminal {
    /// Detects it from the streams and the environment of this process.
    pub fn detect() -> Self {
        Self::decide(
            std::io::stderr().is_terminal(),
            std::io::stdout().is_terminal(),
            |name| std::env::var(name).ok(),
        )
    }

    /// The decision itself. `NO_COLOR` (not empty) has priority; `CLICOLOR_FORCE` (not empty, not 0) turns
    /// colours on without a terminal; `CLICOLOR=0` and `TERM=dumb` turn them off.
    /// See <https://no-color.org> and <https://bixense.com/clicolors>.
    fn decide(stderr: bool, stdout: bool, variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
        let dumb = variable("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        let never = set("NO_COLOR");
        let force = variable("CLICOLOR_FORCE").is_some_and(|value| !value.is_empty() && value != "0");
        let off = dumb || variable("CLICOLOR").is_some_and(|value| value == "0");
        let colour = |terminal: bool| !never && (force || (terminal && !off));
        Self {
            bars: stderr && !dumb,
            stdout,
            colour: colour(stderr),
            stdout_colour: colour(stdout),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(terminal: bool, environment: &[(&str, &str)]) -> Terminal {
        Terminal::decide(terminal, terminal, |name| {
            environment
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_terminal_gets_bars_and_colours() {
        let all = decide(true, &[("TERM", "xterm")]);
        assert!(all.bars && all.colour && all.stdout_colour);
    }

    #[test]
    fn without_a_terminal_there_are_neither() {
        let none = decide(false, &[("TERM", "xterm")]);
        assert!(!none.bars && !none.colour && !none.stdout_colour);
    }

    #[test]
    fn a_dumb_terminal_gets_lines_without_colour() {
        for term in [&[("TERM", "dumb")][..], &[]] {
            let dumb = decide(true, term);
            assert!(!dumb.bars && !dumb.colour, "{term:?}");
        }
    }

    #[test]
    fn no_color_has_priority_and_an_empty_one_is_ignored() {
        let term = ("TERM", "xterm");
        assert!(!decide(true, &[term, ("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")]).colour);
        assert!(decide(true, &[term, ("NO_COLOR", "")]).colour);
        assert!(decide(true, &[term, ("NO_COLOR", "1")]).bars);
    }

    #[test]
    fn clicolor_turns_colours_off_and_clicolor_force_on() {
        assert!(!decide(true, &[("TERM", "xterm"), ("CLICOLOR", "0")]).colour);
        assert!(decide(false, &[("CLICOLOR_FORCE", "1")]).colour);
        assert!(!decide(false, &[("CLICOLOR_FORCE", "0")]).colour);
    }
}
