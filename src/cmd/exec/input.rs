//! Standard input of `exec`: the same for every node.

use std::io::IsTerminal;
use std::sync::Arc;

use crate::base::exit::ExitCode;
use crate::base::failure::UserError;
use crate::ssh::{Spool, SpoolFailure};

/// Standard input, as it arrives. `None` if it is a terminal, as in clush: what you type next is not for the nodes.
pub(super) fn standard_input() -> Option<Spool> {
    let stdin = std::io::stdin();
    (!stdin.is_terminal()).then(|| Spool::of(stdin))
}

/// Returns once the input can no longer be passed on, with the reason.
pub(super) async fn failed(input: Option<&Spool>) -> Arc<SpoolFailure> {
    match input {
        Some(spool) => spool.failed().await,
        None => std::future::pending().await,
    }
}

/// The error of a command whose input could not be passed on.
pub(super) fn error(failure: &SpoolFailure) -> UserError {
    let (message, hint) = match failure {
        SpoolFailure::Source(cause) => (
            format!("failed to read standard input: {cause}"),
            "redirect it from a file or a command, or use `--no-stdin`",
        ),
        SpoolFailure::Copy { directory, cause } => (
            format!(
                "failed to keep standard input for the nodes in {}: {cause}",
                directory.display()
            ),
            "free space there, let TMPDIR name another directory, or use `--no-stdin`",
        ),
    };
    UserError::new(ExitCode::Unexpected, message).with_hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_named_with_its_directory() {
        let failure = SpoolFailure::Copy {
            directory: "/tmp".into(),
            cause: std::io::ErrorKind::StorageFull.into(),
        };
        let error = error(&failure);
        assert!(
            error
                .message
                .starts_with("failed to keep standard input for the nodes in /tmp: "),
            "{error}"
        );
        assert!(error.hint.is_some());
    }
}
