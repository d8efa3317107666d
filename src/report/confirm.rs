//! The question before something is destroyed.

use std::io::{BufRead, IsTerminal, Write};

use tokio_util::sync::CancellationToken;

use super::error::Failure;
use crate::exit::ExitCode;

/// Asks for a yes. Without a terminal to ask on (stdin and stderr) it refuses and names `-y`.
/// `Ok(false)` is a no; anything but `y` or `yes` is one. Cancelling counts as an interruption.
pub async fn confirm(question: &str, cancel: &CancellationToken) -> Result<bool, Failure> {
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return Err(Failure::new(
            ExitCode::Usage,
            "there is no terminal to ask for a confirmation on",
        )
        .with_hint("pass -y to do it without asking"));
    }
    let (sender, answer) = tokio::sync::oneshot::channel();
    let question = question.to_owned();
    // A thread of its own: a blocked read cannot be cancelled, and the runtime would wait for one of its own.
    std::thread::spawn(move || {
        let said = ask(&question, &mut std::io::stdin().lock(), &mut std::io::stderr());
        let _ = sender.send(said);
    });
    tokio::select! {
        said = answer => match said {
            Ok(Ok(yes)) => Ok(yes),
            Ok(Err(error)) => Err(Failure::new(ExitCode::Unexpected, format!("failed to ask: {error}"))),
            Err(_) => Ok(false),
        },
        () = cancel.cancelled() => {
            // The question's line is still open.
            super::talk("");
            Err(Failure::new(ExitCode::Interrupted, "interrupted; nothing was changed"))
        }
    }
}

fn ask(question: &str, input: &mut impl BufRead, output: &mut impl Write) -> std::io::Result<bool> {
    write!(output, "{} [y/N] ", super::text::sanitize(question))?;
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
                ask("remove 3 nodes?", &mut answer.as_bytes(), &mut shown).unwrap(),
                yes,
                "{answer:?}"
            );
            assert_eq!(shown, b"remove 3 nodes? [y/N] ");
        }
    }
}
