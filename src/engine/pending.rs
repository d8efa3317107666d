//! The hosts or nodes that a command waits for: those that have not answered yet are named. Prints nothing.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crate::base::event::Events;
use crate::base::waiting;

/// What some hosts or nodes still owe.
#[derive(Debug)]
pub(crate) struct Pending {
    /// What is waited for, up to the names: `connecting to`.
    what: String,
    names: Mutex<BTreeSet<String>>,
}

impl Pending {
    /// Waits for all of these.
    pub(crate) fn new<N: ToString>(what: impl Into<String>, names: impl IntoIterator<Item = N>) -> Self {
        let names = names.into_iter().map(|name| name.to_string());
        Self {
            what: what.into(),
            names: Mutex::new(names.collect()),
        }
    }

    /// Waits for this one as well.
    pub(crate) fn begin(&self, name: impl ToString) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.insert(name.to_string());
    }

    /// Waits for this one no longer.
    pub(crate) fn answered(&self, name: impl AsRef<str>) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.remove(name.as_ref());
    }

    /// Does the work. As long as it lasts, names those that have not answered.
    pub(crate) fn shown<T>(&self, events: &Events, work: impl Future<Output = T>) -> impl Future<Output = T> {
        waiting::shown(events, move || self.text(), work)
    }

    fn text(&self) -> Option<String> {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        (!names.is_empty()).then(|| format!("{} {}", self.what, crate::nodeset::fold(&*names)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_have_not_answered_are_named_and_nobody_when_all_have() {
        let pending = Pending::new("connecting to", ["bm07", "bm08", "bm09"]);
        pending.answered("bm08");
        assert_eq!(pending.text().as_deref(), Some("connecting to bm[07,09]"));
        pending.answered("bm07");
        pending.answered("bm09");
        assert_eq!(pending.text(), None);
        pending.begin("bm01");
        assert_eq!(pending.text().as_deref(), Some("connecting to bm01"));
    }
}
