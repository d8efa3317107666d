//! How a command ended on its own.

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
}
