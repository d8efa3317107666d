//! The natural order of names: `bm2` before `bm10`.

/// A sort key: the name as pairs of text and number, then the name itself, so that
/// different names never compare equal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Natural(Vec<(String, u64)>, String);

pub(super) fn natural(name: &str) -> Natural {
    let mut parts = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let digits_at = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (text, behind) = rest.split_at(digits_at);
        let digits = behind.bytes().take_while(u8::is_ascii_digit).count();
        // A number too large for 64 bits sorts last; the name itself breaks the tie.
        parts.push((text.to_owned(), behind[..digits].parse().unwrap_or(u64::MAX)));
        rest = &behind[digits..];
    }
    Natural(parts, name.to_owned())
}

/// The items' positions in the natural order of their names: `ranks[i]` is the position of item `i`.
pub(super) fn ranks<'a>(names: impl Iterator<Item = &'a str>) -> Vec<usize> {
    let mut order: Vec<(Natural, usize)> = names.enumerate().map(|(i, name)| (natural(name), i)).collect();
    order.sort_unstable();
    let mut ranks = vec![0; order.len()];
    for (rank, (_, item)) in order.into_iter().enumerate() {
        ranks[item] = rank;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_sort_by_value() {
        let mut names = ["bm10", "bm2", "bm02", "a", "bm", "bm2-x", "bm2-1"];
        names.sort_by_key(|name| natural(name));
        assert_eq!(names, ["a", "bm02", "bm2", "bm2-1", "bm2-x", "bm10", "bm"]);
    }
}
