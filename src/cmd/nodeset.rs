//! `vcluster nodeset`: expand, fold or count node sets, like ClusterShell's `nodeset`.

use std::io::Read as _;

use anyhow::Context as _;
use clap::{ArgMatches, Command, FromArgMatches};

use super::Context;
use crate::base::exit::ExitCode;
use crate::base::failure::{UserError, UserFacing};
use crate::nodeset::{LIMIT, NodeSet, NodeSetError};
use crate::report::{self, Format};

/// Maximum size of standard input: a million names of 63 characters.
const MAX_INPUT: u64 = LIMIT as u64 * 64;

/// The hint where there are too many names.
const SPLIT: &str = "split them over several calls";

#[derive(Clone, Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("command").required(true))]
struct Flags {
    /// Expand to a list of names
    #[arg(short, long, group = "command")]
    expand: bool,
    /// Fold to a node set
    #[arg(short, long, group = "command")]
    fold: bool,
    /// Count the names
    #[arg(short, long, group = "command")]
    count: bool,
    /// Remove these from the nodes to the left
    #[arg(short = 'x', long, value_name = "NODESET")]
    exclude: Vec<String>,
    /// Keep only these of the nodes to the left
    #[arg(short, long, value_name = "NODESET")]
    intersection: Vec<String>,
    /// Keep nodes that are either to the left or in this set, not in both
    #[arg(short = 'X', long, value_name = "NODESET")]
    xor: Vec<String>,
    /// Separator between expanded names; `\n` and `\t` are supported
    #[arg(
        short = 'S',
        long,
        value_name = "TEXT",
        default_value = " ",
        hide_default_value = true
    )]
    separator: String,
    /// Node sets; `-` or none reads names from standard input
    #[arg(value_name = "NODESET")]
    nodesets: Vec<String>,
}

/// Arguments of `vcluster nodeset`.
#[derive(Clone, Debug)]
pub struct Args {
    flags: Flags,
    /// Node sets and operations in the order of the command line, which decides the result.
    steps: Vec<(Operation, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Union,
    Exclude,
    Intersect,
    Xor,
}

// Written by hand, because only `ArgMatches` has the order of the arguments.
impl FromArgMatches for Args {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut steps: Vec<(usize, Operation, String)> = Vec::new();
        for (id, operation) in [
            ("nodesets", Operation::Union),
            ("exclude", Operation::Exclude),
            ("intersection", Operation::Intersect),
            ("xor", Operation::Xor),
        ] {
            let indices = matches.indices_of(id).into_iter().flatten();
            let values = matches.get_many::<String>(id).into_iter().flatten();
            steps.extend(
                indices
                    .zip(values)
                    .map(|(index, value)| (index, operation, value.clone())),
            );
        }
        steps.sort_by_key(|&(index, ..)| index);
        Ok(Self {
            flags: Flags::from_arg_matches(matches)?,
            steps: steps
                .into_iter()
                .map(|(_, operation, value)| (operation, value))
                .collect(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl clap::Args for Args {
    fn augment_args(command: Command) -> Command {
        Flags::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Flags::augment_args_for_update(command)
    }
}

/// Computes the set and prints it.
#[expect(clippy::unused_async, reason = "every verb has this signature")]
pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let mut set = NodeSet::new();
    if args.flags.nodesets.is_empty() {
        set = read("-")?;
    } else if args.steps.first().is_some_and(|step| step.0 != Operation::Union) && !context.quiet {
        report::message("warning: an operation before the first node set applies to an empty set");
    }
    for (operation, text) in &args.steps {
        let right = read(text)?;
        match operation {
            Operation::Union => set.union_with(right),
            Operation::Exclude => set.difference_with(&right),
            Operation::Intersect => set.intersection_with(&right),
            Operation::Xor => set.symmetric_difference_with(right),
        }
        if set.len() > LIMIT {
            return Err(too_many().into());
        }
    }
    report::data(&render(&args.flags, context.format, &set)?);
    Ok(ExitCode::Ok)
}

fn render(flags: &Flags, format: Format, set: &NodeSet) -> anyhow::Result<String> {
    let text = match format {
        Format::Json if flags.expand => serde_json::to_string(&set.iter().collect::<Vec<_>>())?,
        Format::Json if flags.fold => serde_json::to_string(&set.to_string())?,
        _ if flags.count => set.len().to_string(),
        Format::Human if flags.expand => {
            let separator = flags.separator.replace("\\n", "\n").replace("\\t", "\t");
            set.iter().collect::<Vec<_>>().join(&separator)
        }
        _ => set.to_string(),
    };
    Ok(text + "\n")
}

/// Reads a node set of the command line, or names from standard input.
fn read(text: &str) -> anyhow::Result<NodeSet> {
    let mut input = String::new();
    // White space separates node sets in a stream, only line breaks do in an argument.
    let words: Vec<&str> = if text == "-" {
        std::io::stdin()
            .take(MAX_INPUT + 1)
            .read_to_string(&mut input)
            .context("failed to read node sets from standard input")?;
        if input.len() as u64 > MAX_INPUT {
            let text = format!("standard input contains more than {LIMIT} names");
            return Err(UserError::new(ExitCode::Usage, text).with_hint(SPLIT).into());
        }
        input.split_whitespace().collect()
    } else {
        text.lines().collect()
    };
    let mut set = NodeSet::new();
    for word in words {
        let right = NodeSet::parse(word, |_| None).map_err(|error| diagnostic(word, &error))?;
        set.union_with(right);
        if set.len() > LIMIT {
            return Err(too_many().into());
        }
    }
    Ok(set)
}

fn too_many() -> UserError {
    let text = format!("the node sets contain more than {LIMIT} nodes");
    UserError::new(ExitCode::Usage, text).with_hint(SPLIT)
}

/// The error with the text and a caret under the mistake.
fn diagnostic(text: &str, error: &NodeSetError) -> UserError {
    let shown: String = text
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    let column = text[..error.at.min(text.len())].chars().count();
    let place = match shown.chars().count() {
        ..=100 => format!("\n  {shown}\n  {:column$}^", ""),
        _ => String::new(),
    };
    let mut wrong = UserError::new(ExitCode::Usage, format!("{error}{place}"));
    wrong.hint = error.hint();
    wrong
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn parsed(line: &[&str]) -> Result<Args, clap::Error> {
        Cli::try_parse_from(std::iter::once(&"nodeset").chain(line)).map(|cli| cli.args)
    }

    #[test]
    fn operations_keep_the_order_of_the_command_line() {
        let args = parsed(&["-f", "a[1-3]", "-x", "a2", "a2", "-i", "a[2-9]", "-X", "a9"]).unwrap();
        let operations: Vec<_> = args.steps.iter().map(|(o, t)| (*o, t.as_str())).collect();
        assert_eq!(
            operations,
            [
                (Operation::Union, "a[1-3]"),
                (Operation::Exclude, "a2"),
                (Operation::Union, "a2"),
                (Operation::Intersect, "a[2-9]"),
                (Operation::Xor, "a9"),
            ]
        );
    }

    #[test]
    fn exactly_one_of_expand_fold_and_count_is_needed() {
        assert!(parsed(&["a1"]).is_err());
        assert!(parsed(&["-e", "-f", "a1"]).is_err());
        assert!(parsed(&["-c", "a1"]).is_ok());
    }

    #[test]
    fn the_separator_understands_a_line_break() {
        let args = parsed(&["-e", "-S", "\\n", "a1"]).unwrap();
        let set = read("a[1-2]").unwrap();
        assert_eq!(render(&args.flags, Format::Human, &set).unwrap(), "a1\na2\n");
    }

    #[test]
    fn a_mistake_is_shown_with_a_caret_under_it() {
        insta::assert_snapshot!(read("ä[1-3],b[9-2]").unwrap_err(), @r"
        the range `9-2` runs backwards
          ä[1-3],b[9-2]
                   ^
        ");
    }
}
