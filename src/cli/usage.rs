//! A wrong command line as an error for programs. For people, clap prints it.

use std::ffi::OsString;

use clap::error::ErrorKind;

use crate::base::exit::ExitCode;
use crate::base::failure::UserError;

/// Whether JSON is wanted: by `--format` before any `--`, else by the variable. clap returns no values with an error, so
/// the arguments are read again.
pub(super) fn wants_json(arguments: impl IntoIterator<Item = OsString>, variable: Option<OsString>) -> bool {
    let mut format = variable;
    let mut arguments = arguments.into_iter().take_while(|argument| *argument != *"--");
    while let Some(argument) = arguments.next() {
        let argument = argument.to_string_lossy();
        if argument == "--format" {
            format = arguments.next().or(format);
        } else if let Some(value) = argument.strip_prefix("--format=") {
            format = Some(value.into());
        }
    }
    format.is_some_and(|format| format == *"json")
}

/// The message of clap as an error. Its tips are the hint, else its usage line.
pub(super) fn describe(error: &clap::Error) -> UserError {
    let text = error.render().to_string();
    let (message, rest) = if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        // The text is the help, without a message.
        ("a command is missing", text.as_str())
    } else {
        text.split_once("\n\n").unwrap_or((text.as_str(), ""))
    };
    let message = message.strip_prefix("error: ").unwrap_or(message).trim_end();
    let tips: Vec<&str> = rest
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("tip: "))
        .collect();
    let usage = rest.lines().find_map(|line| line.strip_prefix("Usage: "));
    let hint = match usage {
        _ if !tips.is_empty() => tips.join("; "),
        Some(usage) => format!("usage: {usage}"),
        None => "`--help` shows what the command accepts".to_owned(),
    };
    UserError::new(ExitCode::Usage, message).with_hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(line: &str, variable: Option<&str>) -> bool {
        wants_json(
            line.split_whitespace().map(OsString::from),
            variable.map(OsString::from),
        )
    }

    #[test]
    fn the_option_decides_before_the_variable() {
        for line in [
            "--format json lst",
            "lst --format=json",
            "lst --bad --format json",
        ] {
            assert!(wanted(line, None), "{line}");
            assert!(wanted(line, Some("human")), "{line}");
        }
        for line in ["lst --format human", "lst --format=xml"] {
            assert!(!wanted(line, Some("json")), "{line}");
        }
        assert!(wanted("lst", Some("json")));
        assert!(wanted("list --format", Some("json")), "the value is missing");
        assert!(!wanted("lst", None));
    }

    #[test]
    fn what_belongs_to_a_remote_command_does_not_decide() {
        assert!(!wanted("exec --fanout 0 -- tool --format json", None));
        assert!(wanted("exec --fanout 0 -- tool --format human", Some("json")));
    }
}
