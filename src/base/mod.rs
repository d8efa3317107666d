//! The lowest layer: names, units, text, exit codes, events and failures. All other modules may use it; it uses
//! none of them.

pub(crate) mod backoff;
pub(crate) mod counted;
pub(crate) mod crash_point;
pub(crate) mod digest;
pub(crate) mod directories;
pub mod event;
pub mod exit;
pub mod failure;
pub mod failure_kind;
pub(crate) mod group;
pub(crate) mod json_line;
pub mod name;
pub(crate) mod number;
pub(crate) mod patience;
pub mod shell;
pub(crate) mod suggest;
pub mod text;
pub mod units;
pub(crate) mod versioned;
pub(crate) mod waiting;
pub(crate) mod whole;
