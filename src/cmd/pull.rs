//! `vcluster pull`: fetches files and directories from many nodes, into a directory per node.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::Context;
use super::common::Selection;
use super::output::waits;
use crate::base::exit::ExitCode;
use crate::base::failure::UserError;
use crate::base::text::{plural, sanitize};
use crate::cluster::nodes::close;
use crate::cluster::transfer::{self, Wanted};
use crate::engine::EngineError;
use crate::report;
use crate::ssh::transfer::{Pulled, changed_while_read};

/// Fetch files and directories from many nodes into DESTINATION/NODE/
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    selection: Selection,
    /// Maximum size per node
    #[arg(long, value_name = "SIZE", default_value = "8GiB")]
    pub limit: bytesize::ByteSize,
    /// What to fetch: absolute paths, or relative to the login directory
    #[arg(required = true, value_name = "SOURCE")]
    pub sources: Vec<OsString>,
    /// Local directory; one directory per node is created in it
    #[arg(required = true, value_name = "DESTINATION")]
    pub destination: PathBuf,
}

/// Entries of a node that are named of those that were skipped.
const SHOWN: usize = 100;

/// Runs the verb.
pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    if let Some((one, other)) = of_one_name(&args.sources) {
        let message = format!(
            "{} and {} would both be written to DESTINATION/NODE/{}",
            sanitize(&one.to_string_lossy()),
            sanitize(&other.to_string_lossy()),
            sanitize(&one.file_name().unwrap_or_default().to_string_lossy())
        );
        let hint = "fetch one of them with a command of its own, into another destination";
        return Err(UserError::new(ExitCode::Usage, message).with_hint(hint).into());
    }
    let (cluster, chosen) = args.selection.open()?;
    let waits = waits(context);
    let nodes = args.selection.connect(&cluster, &chosen, &waits).await?;
    let wanted = Wanted {
        sources: args.sources,
        into: args.destination,
        limit: args.limit.as_u64(),
    };
    let options = args.selection.transfer();
    let work = transfer::pull(&nodes, &chosen, &wanted, options, &waits);
    let results = context.cancel.run_until_cancelled(work).await;
    close(&nodes, &waits).await;
    let mut failures = Vec::new();
    let mut sum = Pulled::default();
    for (node, from) in chosen.iter().zip(results.ok_or(EngineError::Interrupted)?) {
        for skipped in from.pulled.skipped.lines(SHOWN) {
            report::message(&format!("warning: {node}: skipped {}", sanitize(&skipped)));
        }
        for link in from.pulled.outside.lines(SHOWN) {
            let link = sanitize(&link);
            report::message(&format!(
                "warning: {node}: skipped {link} (a symlink that points outside)"
            ));
        }
        if let Some(note) = changed_while_read(&from.pulled.changed).filter(|_| !context.quiet) {
            report::message(&format!("note: {node}: {}", sanitize(&note)));
        }
        sum.add(from.pulled);
        failures.extend(from.failures);
    }
    EngineError::from_failures("failed to fetch", failures)?;
    if !context.quiet {
        report::message(&format!(
            "fetched {} ({}) from {}",
            plural(sum.files, "file"),
            bytesize::ByteSize::b(sum.bytes).display().iec(),
            plural(chosen.len(), "node")
        ));
    }
    Ok(match sum.skipped.count() {
        0 => ExitCode::Ok,
        _ => ExitCode::ApplyFailed,
    })
}

/// Two different sources that arrive under the same name: one would replace the other.
fn of_one_name(sources: &[OsString]) -> Option<(&Path, &Path)> {
    let mut seen = HashMap::new();
    for source in sources.iter().map(Path::new) {
        // One without a name is an error of its own.
        let Some(name) = source.file_name() else {
            continue;
        };
        match seen.insert(name, source) {
            Some(earlier) if earlier != source => return Some((earlier, source)),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_of_one_name_are_found_unless_they_are_the_same() {
        let found = |sources: &[&str]| {
            let sources: Vec<OsString> = sources.iter().map(OsString::from).collect();
            of_one_name(&sources).map(|(one, other)| (one.to_owned(), other.to_owned()))
        };
        let pair = Some(("/a/conf".into(), "/b/conf/".into()));
        assert_eq!(found(&["/a/conf", "/x", "/b/conf/"]), pair);
        assert_eq!(found(&["/a/conf", "/a//conf/", "/a/conf2", "/", ".."]), None);
    }
}
