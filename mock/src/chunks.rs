//! A body in pieces, and the time between two of them.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use crate::spec::Chunks;

/// A body in pieces of about the same size, none of them empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pieces {
    /// In order.
    pub(crate) list: VecDeque<Bytes>,
    /// Between two of them.
    pub(crate) interval: Duration,
}

impl Pieces {
    /// Divides a body. There are not more pieces than bytes.
    pub(crate) fn new(mut bytes: Bytes, chunks: Option<Chunks>) -> Self {
        let wanted = chunks.map_or(1, |chunks| chunks.count.get() as usize);
        let count = wanted.min(bytes.len());
        let mut list = VecDeque::with_capacity(count);
        for left in (1..=count).rev() {
            // What is left divided by the pieces that are left is at least 1.
            list.push_back(bytes.split_to(bytes.len() / left));
        }
        let gaps = u32::try_from(count.saturating_sub(1)).unwrap_or(u32::MAX);
        let duration = chunks.map_or(Duration::ZERO, |chunks| chunks.duration.0);
        Self {
            list,
            interval: duration.checked_div(gaps).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::spec::Time;

    fn pieces(text: &'static str, count: u32) -> (Vec<Bytes>, Duration) {
        let chunks = Chunks {
            count: NonZeroU32::new(count).unwrap(),
            duration: Time(Duration::from_millis(200)),
        };
        let pieces = Pieces::new(Bytes::from_static(text.as_bytes()), Some(chunks));
        (pieces.list.into(), pieces.interval)
    }

    #[test]
    fn a_body_is_divided_into_pieces_of_about_the_same_size() {
        let (list, interval) = pieces("abcdefghij", 4);
        assert_eq!(list, ["ab", "cd", "efg", "hij"]);
        assert_eq!(interval, Duration::from_millis(200) / 3);
    }

    #[test]
    fn a_short_body_has_fewer_pieces() {
        assert_eq!(
            pieces("ab", 5),
            (vec!["a".into(), "b".into()], Duration::from_millis(200))
        );
        assert_eq!(pieces("a", 5), (vec!["a".into()], Duration::ZERO));
        assert_eq!(pieces("", 5), (vec![], Duration::ZERO));
    }

    #[test]
    fn without_chunks_there_is_one_piece() {
        let whole = Pieces::new(Bytes::from_static(b"abc"), None);
        assert_eq!(whole.list, ["abc"]);
        assert!(whole.interval.is_zero());
    }
}
