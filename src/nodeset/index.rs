//! One number in a node name, and lists of numbers as ranges. As in ClusterShell
//! 1.9 an index is its text: `1`, `01` and `001` are three different indices.

use std::fmt;

/// Maximum number of digits of an index, so that it always fits 64 bits.
pub(super) const MAX_DIGITS: usize = 19;

/// A number with its width. The order is by width, then by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Index {
    width: u8,
    value: u64,
}

/// Digits of a number without padding.
fn digits(value: u64) -> u8 {
    value.checked_ilog10().unwrap_or(0) as u8 + 1
}

impl Index {
    /// Reads 1 to [`MAX_DIGITS`] ASCII digits.
    pub(super) fn read(text: &str) -> Option<Self> {
        if text.is_empty() || text.len() > MAX_DIGITS || !text.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        Some(Self {
            width: text.len() as u8,
            value: text.parse().ok()?,
        })
    }

    /// The index of a value, padded with zeros to `width`.
    pub(super) fn padded(value: u64, width: u8) -> Self {
        Self {
            width: width.max(digits(value)),
            value,
        }
    }

    pub(super) fn value(self) -> u64 {
        self.value
    }

    pub(super) fn width(self) -> u8 {
        self.width
    }

    fn is_padded(self) -> bool {
        self.width > digits(self.value)
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0width$}", self.value, width = usize::from(self.width))
    }
}

/// Writes sorted indices as ranges: `1-3,7,09-12`.
///
/// A padded run ends where the width changes (`99` after `08` is as wide, `100`
/// is not); an unpadded run continues from `9` to `10`. Single indices that follow
/// keep the padded state, as in ClusterShell.
pub(super) fn ranges(indices: &[Index]) -> String {
    let mut out = String::new();
    let Some((&first, rest)) = indices.split_first() else {
        return out;
    };
    let own_width = |index: Index| index.is_padded().then_some(index.width);
    let mut push = |first: Index, last: Index| {
        if !out.is_empty() {
            out.push(',');
        }
        out.push_str(&first.to_string());
        if first != last {
            out.push('-');
            out.push_str(&last.to_string());
        }
    };
    let (mut start, mut last, mut padding) = (first, first, own_width(first));
    for &index in rest {
        let width_breaks = padding.map_or(index.is_padded(), |width| width != index.width);
        if !width_breaks && index.value == last.value.wrapping_add(1) {
            last = index;
            continue;
        }
        push(start, last);
        if width_breaks || start != last {
            padding = own_width(index);
        }
        (start, last) = (index, index);
    }
    push(start, last);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(texts: &[&str]) -> String {
        let mut indices: Vec<Index> = texts.iter().filter_map(|text| Index::read(text)).collect();
        indices.sort_unstable();
        ranges(&indices)
    }

    #[test]
    fn an_unpadded_run_continues_where_the_number_of_digits_grows() {
        assert_eq!(folded(&["9", "10", "99", "100", "8"]), "8-10,99-100");
    }

    #[test]
    fn a_padded_run_ends_where_the_width_changes() {
        assert_eq!(folded(&["08", "09", "10", "100", "1"]), "1,08-10,100");
        assert_eq!(folded(&["08", "99", "100"]), "08,99,100");
        assert_eq!(folded(&["08", "09", "20", "99", "100"]), "08-09,20,99-100");
    }

    #[test]
    fn zero_is_not_padded_and_two_zeros_are() {
        assert_eq!(folded(&["0", "1", "00", "01"]), "0-1,00-01");
    }
}
