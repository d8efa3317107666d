//! Why a node set could not be read, with the place in the text.

use super::LIMIT;

/// Why a node set could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct NodeSetError {
    /// What is wrong.
    pub kind: NodeSetErrorKind,
    /// Where: a byte offset into the text, for a caret.
    pub at: usize,
}

impl NodeSetError {
    /// What to write instead.
    pub fn hint(&self) -> Option<String> {
        self.kind.hint().map(str::to_owned)
    }
}

/// What is wrong with a node set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NodeSetErrorKind {
    /// An operator with nothing before or behind it.
    #[error("nothing stands beside the operator `{0}`")]
    MissingOperand(char),
    /// `[` without `]`.
    #[error("`[` is never closed")]
    Unclosed,
    /// `]` without `[`.
    #[error("`]` closes nothing")]
    StrayClose,
    /// `[` within `[...]`, or `[...]` beside `[...]` with at most digits between.
    #[error("`[` may not open here: two ranges need a letter between them")]
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
    /// White space or a control character within a name.
    #[error("a name may not hold `{}`", .0.escape_debug())]
    Character(char),
    /// More names than the limit.
    #[error("the node set names more than {LIMIT} nodes")]
    TooMany,
    /// A group that nobody knows.
    #[error("there is no group `{}`", .0.escape_debug())]
    UnknownGroup(String),
}

impl NodeSetErrorKind {
    fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::MissingOperand(_) => {
                "write `a,b` (union), `a!b` (without), `a&b` (both) or `a^b` (one of the two)"
            }
            Self::Unclosed | Self::StrayClose | Self::EmptyRange | Self::NotANumber(_) => {
                "write a range as in `node[001-150]`, `node[1-3,7]` or `node[0-6/2]`"
            }
            Self::Padding(_) => "pad both ends alike, as in `node[001-100]`",
            Self::Backwards(_) => "write the lower end first",
            Self::StepWithoutRange(_) | Self::ZeroStep(_) => {
                "write a step behind a range, as in `node[0-6/2]`"
            }
            Self::Character(c) if c.is_whitespace() => "separate names with `,`",
            _ => return None,
        })
    }
}
