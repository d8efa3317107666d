//! The exit codes of `vcluster`. They are a promise to scripts: a number here never changes its meaning.

/// An exit code with a documented meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Everything asked for was done.
    Ok = 0,
    /// Something failed that has no code of its own.
    Unexpected = 1,
    /// The command line is wrong (the code that clap uses too).
    Usage = 2,
    /// The topology is invalid.
    InvalidTopology = 3,
    /// The nodes do not fit on the hosts.
    DoesNotFit = 4,
    /// A host, an image or a node could not be brought to the state that the plan asks for.
    ApplyFailed = 5,
    /// A step of the configuration or workload, or a criterion, failed.
    WorkloadFailed = 6,
    /// Objects of ours are still on a host.
    LeftBehind = 7,
    /// A command of the user ran out of time (as `timeout(1)` has it).
    Timeout = 124,
    /// Interrupted by a signal (128 + SIGINT).
    Interrupted = 130,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}
