//! The exit codes of `vcluster`. Scripts rely on them: a number never changes its meaning.

/// An exit code with a documented meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    /// Everything requested was done.
    Ok,
    /// A failure without a code of its own.
    Unexpected,
    /// The command line is wrong (the code that clap uses too).
    Usage,
    /// The topology is invalid.
    InvalidTopology,
    /// The nodes do not fit on the hosts.
    DoesNotFit,
    /// A host, an image or a node could not be brought to the planned state, which includes its configuration, or is
    /// not in it (`status`).
    ApplyFailed,
    /// A step of the workload failed (`run`), or a command of the user did on a node (`exec`).
    WorkloadFailed,
    /// Objects of ours are still on a host.
    LeftBehind,
    /// The user answered no to a question; nothing was changed.
    Declined,
    /// A command of the user timed out (as in `timeout(1)`).
    Timeout,
    /// Interrupted by a signal (128 + SIGINT).
    Interrupted,
    /// The exit code of a command of the user on a node (`ssh`, `exec -S`).
    Remote(u8),
}

impl ExitCode {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Unexpected => 1,
            Self::Usage => 2,
            Self::InvalidTopology => 3,
            Self::DoesNotFit => 4,
            Self::ApplyFailed => 5,
            Self::WorkloadFailed => 6,
            Self::LeftBehind => 7,
            Self::Declined => 8,
            Self::Timeout => 124,
            Self::Interrupted => 130,
            Self::Remote(code) => code,
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.code())
    }
}
