//! `min_ready`: how many nodes must be up for the cluster to count as up.

use std::str::FromStr;

use serde::Serialize;

/// How many nodes must be up: all of them unless the topology sets less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MinReady {
    /// A number of nodes.
    Nodes(u32),
    /// A share of all nodes, in hundredths of a percent; rounded up to whole nodes.
    Share(u32),
}

impl Default for MinReady {
    fn default() -> Self {
        Self::Share(ALL)
    }
}

/// All nodes, in hundredths of a percent.
const ALL: u32 = 10_000;

impl MinReady {
    /// How many of `nodes` must be up.
    pub fn of(self, nodes: usize) -> usize {
        match self {
            Self::Nodes(count) => (count as usize).min(nodes),
            Self::Share(share) => (nodes * share as usize).div_ceil(ALL as usize),
        }
    }
}

/// The text is neither a count nor a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is neither a number of nodes nor a percentage from 0.01% to 100%")]
pub struct MinReadyError;

impl FromStr for MinReady {
    type Err = MinReadyError;

    fn from_str(text: &str) -> Result<Self, MinReadyError> {
        let Some(share) = text.strip_suffix('%') else {
            return match text.parse() {
                Ok(count) if count > 0 => Ok(Self::Nodes(count)),
                _ => Err(MinReadyError),
            };
        };
        let (whole, part) = share
            .trim_end()
            .split_once('.')
            .unwrap_or((share.trim_end(), "0"));
        let digits =
            |text: &str| !text.is_empty() && text.len() <= 3 && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(part) || part.len() > 2 {
            return Err(MinReadyError);
        }
        let number = |text: &str| text.parse::<u32>().map_err(|_| MinReadyError);
        let hundredths = number(whole)? * 100 + number(part)? * if part.len() == 1 { 10 } else { 1 };
        (1..=ALL)
            .contains(&hundredths)
            .then_some(Self::Share(hundredths))
            .ok_or(MinReadyError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_rounded_up_to_whole_nodes_and_a_count_never_exceeds_them() {
        let of = |text: &str, nodes| text.parse::<MinReady>().unwrap().of(nodes);
        assert_eq!(of("95%", 150), 143);
        assert_eq!(of("99.9%", 1000), 999);
        assert_eq!(of("99.95 %", 1000), 1000);
        assert_eq!(of("100%", 7), 7);
        assert_eq!(of("0.01%", 7), 1);
        assert_eq!((of("3", 7), of("9", 7)), (3, 7));
        assert_eq!(MinReady::default().of(150), 150);
    }

    #[test]
    fn what_is_neither_count_nor_share_is_refused() {
        for bad in [
            "",
            "0",
            "-1",
            "0%",
            "101%",
            "100.01%",
            "%",
            "9.%",
            ".5%",
            "1.234%",
            "many",
            "1e2%",
            "99999999999",
        ] {
            assert_eq!(bad.parse::<MinReady>(), Err(MinReadyError), "{bad}");
        }
    }
}
