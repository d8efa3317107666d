//! Parses text with operators to a [`NodeSet`]. Operators have no precedence and
//! apply from left to right, as in ClusterShell. The size of every range is
//! computed before it is expanded, so that no text makes us allocate more than
//! [`LIMIT`] names.

use std::collections::BTreeSet;

use super::error::{NodeSetError, NodeSetErrorKind as Kind};
use super::index::{Index, MAX_DIGITS};
use super::{LIMIT, NodeSet};

type Result<T> = std::result::Result<T, NodeSetError>;

/// Resolves a group by name (without `@`; `*` is all nodes) to node names.
pub(super) type Resolve<'a> = dyn Fn(&str) -> Option<Vec<String>> + 'a;

fn error(kind: Kind, at: usize) -> NodeSetError {
    NodeSetError { kind, at }
}

pub(super) struct Parser<'a> {
    pub(super) resolve: &'a Resolve<'a>,
    /// Names that may still be expanded, duplicates counted.
    pub(super) budget: usize,
}

impl Parser<'_> {
    /// Reads a whole expression.
    pub(super) fn expression(&mut self, text: &str) -> Result<NodeSet> {
        let mut set = NodeSet::new();
        if text.trim().is_empty() {
            return Ok(set);
        }
        let mut operator = ',';
        let mut operator_at = None;
        let mut start = 0;
        loop {
            let end = operand_end(text, start)?;
            let next = text[end..].chars().next();
            let operand = &text[start..end];
            if operand.trim().is_empty() {
                let (sign, at) = match (operator_at, next) {
                    (Some(at), _) => (operator, at),
                    (None, next) => (next.unwrap_or(','), end),
                };
                return Err(error(Kind::MissingOperand(sign), at));
            }
            let indent = operand.len() - operand.trim_start().len();
            let right = self.operand(operand.trim(), start + indent)?;
            match operator {
                '!' => set.difference_with(&right),
                '&' => set.intersection_with(&right),
                '^' => set.symmetric_difference_with(right),
                _ => set.union_with(right),
            }
            let Some(next) = next else { return Ok(set) };
            (operator, operator_at, start) = (next, Some(end), end + next.len_utf8());
        }
    }

    fn spend(&mut self, count: usize, at: usize) -> Result<()> {
        self.budget = self
            .budget
            .checked_sub(count)
            .ok_or_else(|| error(Kind::TooMany, at))?;
        Ok(())
    }

    /// Reads one operand: names with ranges, or groups.
    fn operand(&mut self, text: &str, at: usize) -> Result<NodeSet> {
        let names = self.names(text, at)?;
        if !text.starts_with('@') {
            return Ok(names);
        }
        let mut set = NodeSet::new();
        for group in names.iter() {
            let name = group.trim_start_matches('@');
            let members = (self.resolve)(name)
                .or_else(|| (name == "all").then(|| (self.resolve)("*")).flatten())
                .ok_or_else(|| error(Kind::UnknownGroup(name.to_owned()), at))?;
            self.spend(members.len(), at)?;
            for member in members {
                set.insert(&member);
            }
        }
        Ok(set)
    }

    /// Reads a name with any number of ranges: `rack[1-2]node[01-10]-ib`.
    fn names(&mut self, text: &str, at: usize) -> Result<NodeSet> {
        let mut pattern = String::new();
        let mut dimensions: Vec<Vec<Index>> = Vec::new();
        let mut position = 0;
        while position < text.len() {
            let rest = &text[position..];
            let here = at + position;
            if rest.starts_with('[') || rest.starts_with(|c: char| c.is_ascii_digit()) {
                let length = number(rest, here, &mut pattern, &mut dimensions)?;
                position += length;
            } else {
                let c = rest.chars().next().unwrap_or(']');
                if c == ']' {
                    return Err(error(Kind::StrayClose, here));
                }
                if c.is_whitespace() || c.is_control() {
                    return Err(error(Kind::Character(c), here));
                }
                NodeSet::push_literal(&mut pattern, c);
                position += c.len_utf8();
            }
        }
        let count = dimensions
            .iter()
            .try_fold(1_usize, |count, set| count.checked_mul(set.len()))
            .filter(|&count| count <= LIMIT)
            .ok_or_else(|| error(Kind::TooMany, at))?;
        self.spend(count, at)?;
        Ok(NodeSet::product(pattern, &dimensions))
    }
}

/// Reads digits, a range, or a range with digits next to it (`1[0-9]5` is one number
/// with three parts). Returns how many bytes were read.
fn number(text: &str, at: usize, pattern: &mut String, dimensions: &mut Vec<Vec<Index>>) -> Result<usize> {
    let run = |from: usize| -> &str {
        let rest = &text[from..];
        &rest[..rest.bytes().take_while(u8::is_ascii_digit).count()]
    };
    let before = run(0);
    let open = before.len();
    if !text[open..].starts_with('[') {
        match Index::read(before) {
            Some(index) => {
                NodeSet::push_slot(pattern);
                dimensions.push(vec![index]);
            }
            // Too many digits for an index: part of the name, so that any name can be folded.
            None => pattern.push_str(before),
        }
        return Ok(open);
    }
    let inner = open + 1;
    let close = inner
        + text[inner..]
            .find(']')
            .ok_or_else(|| error(Kind::Unclosed, at + open))?;
    let set = ranges(&text[inner..close], at + inner)?;
    let after = run(close + 1);
    let end = close + 1 + after.len();
    if text[end..].starts_with('[') {
        return Err(error(Kind::Reopened, at + end));
    }
    NodeSet::push_slot(pattern);
    dimensions.push(if before.is_empty() && after.is_empty() {
        set
    } else {
        set.into_iter()
            .map(|index| {
                let whole = format!("{before}{index}{after}");
                Index::read(&whole).ok_or_else(|| error(Kind::TooLong(whole), at))
            })
            .collect::<Result<_>>()?
    });
    Ok(end)
}

/// The end of the operand that begins at `start`: the next operator outside of brackets.
fn operand_end(text: &str, start: usize) -> Result<usize> {
    let mut open = None;
    for (offset, c) in text[start..].char_indices() {
        let at = start + offset;
        match (c, open) {
            ('[', None) => open = Some(at),
            ('[', Some(_)) => return Err(error(Kind::Reopened, at)),
            (']', _) => open = None,
            (',' | '!' | '&' | '^', None) => return Ok(at),
            _ => {}
        }
    }
    match open {
        Some(at) => Err(error(Kind::Unclosed, at)),
        None => Ok(text.len()),
    }
}

/// Reads the contents of brackets: `1-5,7,010-020/5`. Sorted, without duplicates.
fn ranges(text: &str, at: usize) -> Result<Vec<Index>> {
    let mut parts = Vec::new();
    let mut total = 0_u64;
    let mut position = at;
    for part in text.split(',') {
        let here = position + (part.len() - part.trim_start().len());
        position += part.len() + 1;
        let (first, last, step) = range(part.trim(), here)?;
        total = total.saturating_add((last.value() - first.value()) / step + 1);
        if total > LIMIT as u64 {
            return Err(error(Kind::TooMany, here));
        }
        parts.push((first, last, step));
    }
    let mut set = BTreeSet::new();
    for (first, last, step) in parts {
        // A range has the padding of its first end; an unpadded one grows in width.
        let width = if first.width() == last.width() {
            first.width()
        } else {
            1
        };
        let mut value = Some(first.value());
        while let Some(now) = value.filter(|&now| now <= last.value()) {
            set.insert(Index::padded(now, width));
            value = now.checked_add(step);
        }
    }
    Ok(set.into_iter().collect())
}

/// Reads `7`, `1-5` or `0-6/2`.
fn range(text: &str, at: usize) -> Result<(Index, Index, u64)> {
    if text.is_empty() {
        return Err(error(Kind::EmptyRange, at));
    }
    let number = |part: &str| {
        let part = part.trim();
        Index::read(part).ok_or_else(|| {
            let long = part.len() > MAX_DIGITS && part.bytes().all(|b| b.is_ascii_digit());
            let kind = if long { Kind::TooLong } else { Kind::NotANumber };
            error(kind(part.to_owned()), at)
        })
    };
    let (ends, step) = match text.split_once('/') {
        Some((ends, step)) => (ends, number(step)?.value()),
        None => (text, 1),
    };
    let Some((first, last)) = ends.split_once('-') else {
        if step != 1 {
            return Err(error(Kind::StepWithoutRange(text.to_owned()), at));
        }
        let one = number(ends)?;
        return Ok((one, one, 1));
    };
    let (first, last) = (number(first)?, number(last)?);
    let is_padded = |index: Index| index != Index::padded(index.value(), 1);
    // `0-00` is the same as `0`: ClusterShell does not count zeros of a zero at the end as padding.
    let padded = is_padded(first) || (is_padded(last) && last.value() != 0);
    if padded && first.width() != last.width() {
        return Err(error(Kind::Padding(text.to_owned()), at));
    }
    if first.value() > last.value() {
        return Err(error(Kind::Backwards(text.to_owned()), at));
    }
    if step == 0 {
        return Err(error(Kind::ZeroStep(text.to_owned()), at));
    }
    Ok((first, last, step))
}
