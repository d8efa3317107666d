//! Confirmation before a destructive action.

use std::io::{BufRead, IsTerminal, Write};

use tokio_util::sync::CancellationToken;

use crate::base::exit::ExitCode;
use crate::base::failure::UserError;
use crate::report;

/// The hint where it is not possible to ask.
const SKIP: &str = "pass -y to skip the confirmation";

/// Asks for confirmation. Without a terminal (stdin and stderr) this is an error with a hint about `-y`.
/// Anything but `y` or `yes` is `Ok(false)`. Cancelling counts as an interruption.
pub(super) async fn confirm(question: &str, cancel: &CancellationToken) -> Result<bool, UserError> {
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return Err(
            UserError::new(ExitCode::Usage, "cannot ask for confirmation without a terminal").with_hint(SKIP),
        );
    }
    let (sender, answer) = tokio::sync::oneshot::channel();
    let question = question.to_owned();
    // Not a runtime thread: a blocked read cannot be cancelled, and the runtime would wait for it at shutdown.
    std::thread::spawn(move || {
        let outcome = read_answer(&question, &mut std::io::stdin().lock(), &mut std::io::stderr());
        let _ = sender.send(outcome);
    });
    tokio::select! {
        outcome = answer => match outcome {
            Ok(Ok(yes)) => Ok(yes),
            Ok(Err(error)) => {
                let text = format!("failed to ask for confirmation: {error}");
                Err(UserError::new(ExitCode::Unexpected, text).with_hint(SKIP))
            }
            Err(_) => Ok(false),
        },
        () = cancel.cancelled() => {
            // Ends the line of the question.
            report::message("");
            Err(UserError::new(ExitCode::Interrupted, "interrupted; nothing was changed"))
        }
    }
}

fn read_answer(question: &str, input: &mut impl BufRead, output: &mut impl Write) -> std::io::Result<bool> {
    write!(output, "{} [y/N] ", crate::base::text::sanitize(question))?;
    output.flush()?;
    let mut answer = String::new();
    input.read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_yes_is_a_yes() {
        for (answer, yes) in [
            ("y\n", true),
            ("YES\n", true),
            ("\n", false),
            ("", false),
            ("no\n", false),
            ("yep\n", false),
        ] {
            let mut shown = Vec::new();
            assert_eq!(
                read_answer("remove 3 nodes?", &mut answer.as_bytes(), &mut shown).unwrap(),
                yes,
                "{answer:?}"
            );
            assert_eq!(shown, b"remove 3 nodes? [y/N] ");
        }
    }
}
