//! `vcluster ssh`: a terminal on one node. The terminal is `ssh::terminal`.

use crate::ssh::ExecEvent;

/// Opens a terminal on a node, or runs a command there with a terminal.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The node.
    #[arg(value_name = "NODE")]
    pub node: String,
    /// A command in place of the login shell.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// The exit status of this process for the end of the terminal, as `ssh` has it.
pub fn status(ended: &ExecEvent) -> u8 {
    match ended {
        ExecEvent::Exit(status) => u8::try_from(*status).unwrap_or(255),
        _ => 255,
    }
}
