//! Why a node set could not be parsed, with the place in the text.

use super::LIMIT;
use crate::base::exit::ExitCode;
use crate::base::failure::UserFacing;

/// Why a node set could not be parsed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct NodeSetError {
    /// What is wrong.
    pub kind: NodeSetErrorKind,
    /// Where: a byte offset into the text, for a caret.
    pub at: usize,
}

impl UserFacing for NodeSetError {
    /// What to write instead.
    fn hint(&self) -> Option<String> {
        Some(self.kind.hint().to_owned())
    }

    fn exit_code(&self) -> ExitCode {
        ExitCode::Usage
    }
}

/// What is wrong with a node set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NodeSetErrorKind {
    /// An operator with nothing before or after it.
    #[error("an operand of the operator `{0}` is missing")]
    MissingOperand(char),
    /// `[` without `]`.
    #[error("`[` is never closed")]
    Unclosed,
    /// `]` without `[`.
    #[error("`]` has no `[`")]
    StrayClose,
    /// `[` inside `[...]`, or `[...]` next to `[...]` with at most digits between.
    #[error("`[` is not allowed here: two ranges need a letter between them")]
    Reopened,
    /// `[]` or `[1,,2]`.
    #[error("the range is empty")]
    EmptyRange,
    /// Not a number where one is needed.
    #[error("`{}` is not a number", .0.escape_debug())]
    NotANumber(String),
    /// More digits than an index may have.
    #[error("`{}` has more than 19 digits", .0.escape_debug())]
    TooLong(String),
    /// `5-1`.
    #[error("the range `{}` runs backwards", .0.escape_debug())]
    Backwards(String),
    /// `01-100`.
    #[error("the ends of `{}` are padded to different lengths", .0.escape_debug())]
    Padding(String),
    /// `1-5/0`.
    #[error("the step of `{}` is 0", .0.escape_debug())]
    ZeroStep(String),
    /// `5/2`.
    #[error("`{}` has a step but no range", .0.escape_debug())]
    StepWithoutRange(String),
    /// White space or a control character in a name.
    #[error("a name cannot contain `{}`", .0.escape_debug())]
    Character(char),
    /// More names than the limit.
    #[error("the node set contains more than {LIMIT} nodes")]
    TooMany,
    /// An unknown group.
    #[error("there is no group `{}`", .0.escape_debug())]
    UnknownGroup(String),
}

impl NodeSetErrorKind {
    fn hint(&self) -> &'static str {
        match self {
            Self::MissingOperand(_) => {
                "write `a,b` (union), `a!b` (without), `a&b` (both) or `a^b` (one of the two)"
            }
            Self::Unclosed | Self::StrayClose | Self::EmptyRange | Self::NotANumber(_) => {
                "write a range as in `node[001-150]`, `node[1-3,7]` or `node[0-6/2]`"
            }
            Self::Padding(_) => "pad both ends to the same length, as in `node[001-100]`",
            Self::Backwards(_) => "write the lower end first",
            Self::StepWithoutRange(_) | Self::ZeroStep(_) => {
                "write a step after a range, as in `node[0-6/2]`"
            }
            Self::Reopened => "put a letter between two ranges, as in `rack[1-2]n[01-10]`",
            Self::TooLong(_) => "write a number of at most 19 digits",
            Self::Character(c) if c.is_whitespace() => "separate names with `,`",
            Self::Character(_) => "remove this character",
            Self::TooMany => "split the node set into smaller ones",
            Self::UnknownGroup(_) => "write the names of the nodes, or `@GROUP` with a group of the topology",
        }
    }
}
