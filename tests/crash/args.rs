//! The command line of the proof.

use std::path::PathBuf;
use std::time::Duration;

/// What to try.
#[derive(Debug)]
pub(crate) struct Args {
    /// At most this many fault points, spread evenly; `None` means all.
    pub(crate) points: Option<usize>,
    /// Number of random instants.
    pub(crate) random: usize,
    /// Seed of the random instants.
    pub(crate) seed: u64,
    /// Whether to try hosts without images too: every trial then uploads the image and checks KVM.
    pub(crate) bare: bool,
    /// After this time, stop with the exit code for "more to do".
    pub(crate) budget: Option<Duration>,
    /// Directory of the traces and results, kept between calls.
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
            let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
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
                _ => return Err(format!("unknown option {word}")),
            }
        }
        Ok(args)
    }
}
