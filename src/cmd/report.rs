//! `vcluster report`: a run, an experiment or a comparison as text, or as one page of HTML. Contacts no host.

mod material;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::Context;
use super::results::ResultsArgs;
use crate::base::exit::ExitCode;
use crate::base::failure::UserError;
use crate::base::whole::write_whole;
use crate::page::{self, Page};
use crate::report::comparison::Look;
use crate::report::{self, Format};

/// Report on a run, an experiment or a comparison, as text or as one HTML page
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// A run or an experiment; with B, what B is judged against, as for `vcluster compare`
    #[arg(value_name = "RUN|EXPERIMENT")]
    pub name: String,
    /// What is compared with it
    #[arg(value_name = "B", conflicts_with = "by")]
    pub other: Option<String>,
    /// Compare the variants of the experiment by this key: each value with the first one
    #[arg(long, value_name = "KEY")]
    pub by: Option<String>,
    /// Where the runs are.
    #[command(flatten)]
    pub place: ResultsArgs,
    /// Compare although this assumption differs: a key, or its beginning up to a dot
    #[arg(long, value_name = "KEY")]
    pub despite: Vec<String>,
    /// File of accepted regressions [default: accepted.yaml beside the topology]
    #[arg(long, value_name = "FILE")]
    pub accepted: Option<PathBuf>,
    /// Write the report to this file as one HTML page, which needs no network and no scripts
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// Runs the verb.
pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let asked = args.clone();
    // On a thread of its own, so that an interrupt ends the command at once.
    let work = tokio::task::spawn_blocking(move || made(&asked));
    let page = work.await.context("the report ended early")??;
    match (&args.html, context.format) {
        (Some(path), Format::Human) => report::data(&format!("{}\n", path.display())),
        (Some(path), Format::Json) => {
            let value =
                serde_json::json!({ "version": 1, "type": "report", "html": path.display().to_string() });
            report::data(&report::json::harmless(format!("{value:#}\n")));
        }
        (None, Format::Json) => report::data(&report::json::harmless(format!("{:#}\n", page::json(&page)))),
        (None, Format::Human) => {
            let look = Look {
                is_utf8: report::charset::is_utf8(),
                all: false,
            };
            report::show(&page::text(&page, look));
        }
    }
    Ok(ExitCode::Ok)
}

/// Makes the report, and writes its page if that is wanted.
fn made(args: &Args) -> anyhow::Result<Page> {
    if let Some(path) = &args.html {
        target(path)?;
    }
    let page = page::data::page(material::gather(args)?)?;
    if let Some(path) = &args.html {
        write(&target(path)?, &page::html(&page))?;
    }
    Ok(page)
}

/// The file to write: a new one, or one that may be replaced.
fn target(path: &Path) -> Result<PathBuf, UserError> {
    // A link stays a link.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    match fs::symlink_metadata(&path) {
        Ok(found) if !found.is_file() => {
            let text = format!("{} is not a regular file", path.display());
            let hint = "name a file that does not exist, or that may be replaced";
            Err(UserError::new(ExitCode::Usage, text).with_hint(hint))
        }
        _ => Ok(path),
    }
}

/// Writes the page, readable by its owner only; a file that exists keeps its mode.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let failed = || format!("failed to write {}", path.display());
    let permissions = fs::metadata(path).ok().map(|found| found.permissions());
    write_whole(path, text.as_bytes()).with_context(failed)?;
    if let Some(permissions) = permissions {
        fs::set_permissions(path, permissions).with_context(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_page_is_private_and_one_that_exists_keeps_its_mode() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("report.html");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        write(&target(&path).unwrap(), "one").unwrap();
        assert_eq!(mode(), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        write(&target(&path).unwrap(), "two").unwrap();
        assert_eq!(
            (mode(), fs::read_to_string(&path).unwrap().as_str()),
            (0o644, "two")
        );
        let link = temp.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        write(&target(&link).unwrap(), "three").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "three");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[test]
    fn what_is_no_regular_file_is_not_replaced() {
        let temp = tempfile::tempdir().unwrap();
        let error = target(temp.path()).unwrap_err();
        assert!(error.to_string().ends_with("is not a regular file"), "{error}");
        assert!(target(Path::new("/dev/null")).is_err());
    }
}
