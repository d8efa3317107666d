//! The hosts or nodes that a command waits for: those that have not answered yet are named. Prints nothing.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crate::base::event::Events;
use crate::base::waiting;
use crate::ssh::fanout;

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

    /// Does the work for each of the items, at most `at_once` at the same time, and names those whose work has not
    /// ended. Returns the results in the order of the items.
    pub(crate) async fn each<I, N, T, F>(
        events: &Events,
        what: impl Into<String>,
        at_once: usize,
        items: impl IntoIterator<Item = I>,
        name: impl Fn(&I) -> &N,
        work: impl Fn(I) -> F,
    ) -> Vec<T>
    where
        N: AsRef<str> + ?Sized,
        F: Future<Output = T>,
    {
        let items: Vec<I> = items.into_iter().collect();
        let pending = Self::new(what, items.iter().map(|item| name(item).as_ref().to_owned()));
        pending.each_of(events, at_once, items, name, work).await
    }

    /// As [`Self::each`], for a wait that does not begin with exactly these names: it has more of them, or fewer, or
    /// they begin during the work.
    pub(crate) async fn each_of<I, N, T, F>(
        &self,
        events: &Events,
        at_once: usize,
        items: impl IntoIterator<Item = I>,
        name: impl Fn(&I) -> &N,
        work: impl Fn(I) -> F,
    ) -> Vec<T>
    where
        N: AsRef<str> + ?Sized,
        F: Future<Output = T>,
    {
        let all = fanout::each(items, at_once, |item| {
            let name = name(&item).as_ref().to_owned();
            let job = work(item);
            async move {
                let result = job.await;
                self.answered(name);
                result
            }
        });
        self.shown(events, all).await
    }

    fn text(&self) -> Option<String> {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        (!names.is_empty()).then(|| format!("{} {}", self.what, crate::nodeset::fold(&*names)))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

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

    #[tokio::test]
    async fn the_results_have_the_order_of_the_items_and_no_more_than_the_limit_work_at_once() {
        let (events, _receiver) = Events::channel();
        let (working, most) = (&Cell::new(0), &Cell::new(0));
        let results = Pending::each(
            &events,
            "an answer from",
            2,
            [("bm07", 30), ("bm08", 20), ("bm09", 10)],
            |(name, _)| *name,
            |(_, time)| async move {
                working.set(working.get() + 1);
                most.set(most.get().max(working.get()));
                tokio::time::sleep(Duration::from_millis(time)).await;
                working.set(working.get() - 1);
                time
            },
        )
        .await;
        assert_eq!((results, most.get()), (vec![30, 20, 10], 2));
    }

    #[tokio::test]
    async fn one_is_named_until_its_work_ends_and_one_that_is_no_item_stays_named() {
        let (events, _receiver) = Events::channel();
        let pending = &Pending::new("sending to", ["bm05", "bm07", "bm09"]);
        let texts = pending
            .each_of(
                &events,
                1,
                ["bm09", "bm07"],
                |name| *name,
                |_| async move { pending.text().unwrap_or_default() },
            )
            .await;
        assert_eq!(texts, ["sending to bm[05,07,09]", "sending to bm[05,07]"]);
        assert_eq!(pending.text().as_deref(), Some("sending to bm05"));
    }
}
