//! `vcluster completions SHELL`: completions generated from the command line's own definition.

use clap_complete::Shell;

use crate::base::exit::ExitCode;
use crate::report;

/// Print completions for a shell.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// The shell.
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Prints the completions of `command` on stdout.
pub fn run(args: &Args, mut command: clap::Command) -> anyhow::Result<ExitCode> {
    let name = command.get_name().to_owned();
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut text);
    report::data(&String::from_utf8(text)?);
    Ok(ExitCode::Ok)
}
