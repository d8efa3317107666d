//! The command line of the proof.

use std::path::PathBuf;
use std::time::Duration;

/// What to try.
#[derive(Debug)]
pub(crate) struct Args {
    /// At most so many fault points of all, spread evenly; all of them without.
    pub(crate) points: Option<usize>,
    /// So many random instants.
    pub(crate) random: usize,
    /// What the random instants are drawn from.
    pub(crate) seed: u64,
    /// Whether hosts that never saw an image are tried too: every trial uploads it and proves KVM.
    pub(crate) bare: bool,
    /// When this much time is used up, stop and ask to be called again.
    pub(crate) budget: Option<Duration>,
    /// Where traces and results are kept from one call to the next.
    pub(crate) work: PathBuf,
    /// The Markdown file that gets the table.
    pub(crate) markdown: Option<PathBuf>,
}

impl Args {
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut args = Self {
            points: None,
            random: 60,
            seed: 1,
            bare: true,
            budget: None,
            work: PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("crash-proof"),
            markdown: None,
        };
        while let Some(word) = words.next() {
            if word == "--no-bare" {
                args.bare = false;
                continue;
            }
            let value = words.next().ok_or_else(|| format!("{word}: what?"))?;
            let number = || {
                value
                    .parse::<u64>()
                    .map_err(|error| format!("{word} {value}: {error}"))
            };
            match word.as_str() {
                "--points" if value == "all" => args.points = None,
                "--points" => args.points = Some(number()? as usize),
                "--random" => args.random = number()? as usize,
                "--seed" => args.seed = number()?,
                "--budget" => args.budget = Some(Duration::from_secs(number()?)),
                "--work" => args.work = value.into(),
                "--markdown" => args.markdown = Some(value.into()),
                _ => return Err(format!("{word} is not known")),
            }
        }
        Ok(args)
    }
}
