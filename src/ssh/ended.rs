//! How a command ended on its own, and why one was not run.

use std::fmt;

/// The end of a command. As text, `exit 3` or `killed by SIGKILL`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With this exit code.
    Exit(u32),
    /// By this signal (without SIG).
    Signal(String),
}

impl Ended {
    /// Whether it ended with exit code 0.
    pub fn is_success(&self) -> bool {
        *self == Self::Exit(0)
    }

    /// The exit code; `None` if a signal ended it.
    pub fn code(&self) -> Option<u32> {
        match self {
            Self::Exit(code) => Some(*code),
            Self::Signal(_) => None,
        }
    }

    /// The exit code for a program that passes it on, as ssh does: 255 for a signal.
    pub fn passed_on(&self) -> u8 {
        self.code()
            .and_then(|code| u8::try_from(code).ok())
            .unwrap_or(255)
    }

    /// As the reason of a failure: `exit code 3`, `signal KILL`.
    pub fn reason(&self) -> String {
        match self {
            Self::Exit(code) => format!("exit code {code}"),
            Self::Signal(name) => format!("signal {name}"),
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(code) => write!(f, "exit {code}"),
            Self::Signal(name) => write!(f, "killed by SIG{name}"),
        }
    }
}

/// How the reason begins why a command was not run.
pub(super) const REFUSED: &str = "the remote side refused to run the command";

/// The longest command line that all SSH servers accept: `MAX_CMD_LEN` of Dropbear is 9000.
const LONG: usize = 8 << 10;

/// Why a command line of this length was refused.
pub(super) fn refusal(length: usize) -> String {
    if length > LONG {
        format!("{REFUSED}, whose line has {length} bytes: send a long script as standard input of `sh -s`")
    } else {
        REFUSED.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_has_a_text_for_a_list_a_text_for_a_failure_and_a_code() {
        let of = |ended: Ended| (ended.to_string(), ended.reason(), ended.passed_on());
        assert_eq!(of(Ended::Exit(3)), ("exit 3".into(), "exit code 3".into(), 3));
        let killed = Ended::Signal("KILL".into());
        assert_eq!(
            of(killed),
            ("killed by SIGKILL".into(), "signal KILL".into(), 255)
        );
        assert_eq!(Ended::Exit(256).passed_on(), 255);
    }

    #[test]
    fn a_long_command_that_is_refused_gets_a_way_that_works() {
        assert_eq!(refusal(20), REFUSED);
        let long = refusal(9_500);
        assert!(long.starts_with(REFUSED) && long.contains("9500 bytes") && long.contains("`sh -s`"));
    }
}
