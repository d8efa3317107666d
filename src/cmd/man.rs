//! `vcluster man`: man pages generated from the command line's own definition.

use std::path::PathBuf;

use anyhow::Context;

use crate::base::exit::ExitCode;
use crate::base::failure::UserError;
use crate::report;

/// Print the man page, or write the pages of all verbs to a directory.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Directory for `vcluster.1`, `vcluster-up.1`, ...; created if missing. Without it, the main page is printed.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// Renders the pages of `command`.
pub fn run(args: &Args, command: clap::Command) -> anyhow::Result<ExitCode> {
    let Some(dir) = &args.dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page)?;
        report::data(&String::from_utf8(page)?);
        return Ok(ExitCode::Ok);
    };
    std::fs::create_dir_all(dir)
        .and_then(|()| clap_mangen::generate_to(command, dir))
        .with_context(|| {
            let text = format!("failed to write man pages to {}", dir.display());
            let hint = "give `--dir` a directory that can be created or written";
            UserError::new(ExitCode::Unexpected, text).with_hint(hint)
        })?;
    Ok(ExitCode::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_written_for_every_verb() {
        let dir = tempfile::tempdir().unwrap();
        let pages = dir.path().join("man1");
        let command =
            clap::Command::new("vcluster").subcommand(clap::Command::new("up").about("Raise a cluster"));
        run(
            &Args {
                dir: Some(pages.clone()),
            },
            command,
        )
        .unwrap();
        let up = std::fs::read_to_string(pages.join("vcluster-up.1")).unwrap();
        assert!(up.contains("Raise a cluster"));
        assert!(pages.join("vcluster.1").exists());
    }
}
