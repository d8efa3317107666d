//! The real binary without a lab: what it prints and how it ends, as snapshots in `snapshots/`.
//!
//! No host is needed. The hosts of these tests are ports of 127.0.0.1 that are closed or never answer, and libvirt
//! sockets that do not exist. So these exit codes are tested elsewhere:
//!
//! - 4 (the nodes do not fit) needs a host that answers: `tests/e2e/errors.rs`; its number: `src/report/error.rs`.
//! - 124 (a command ran out of time) needs a node that accepts a login: `tests/e2e/reading.rs`, `src/cmd/exec.rs`.
//!
//! 6 is here as the code of `exec`; as that of a workload it needs nodes: `tests/e2e/reading.rs`.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

/// Compares everything that a command printed with a snapshot: of the test's own name, or of the given one.
macro_rules! assert_output {
    ($ran:expr) => {
        crate::program::settings().bind(|| insta::assert_snapshot!($ran.text()))
    };
    ($name:expr, $ran:expr) => {
        crate::program::settings().bind(|| insta::assert_snapshot!($name, $ran.text()))
    };
}

mod accepted;
mod cluster;
mod codes;
mod colour;
mod compare;
mod errors;
mod experiment;
mod export;
mod filter;
mod fixed_defects;
mod growth;
mod help;
mod hosts;
mod interrupt;
mod mock;
mod program;
mod recorded;
mod report;
mod runs;
mod selection;
mod state;
mod stored;
mod tools;
mod usage;
mod validate;
mod waiting;
