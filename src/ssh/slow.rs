//! Tracks the nodes whose response is being waited for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A response that takes longer than this is reported as slow.
pub(super) const SLOW: Duration = Duration::from_secs(10);

/// The nodes that are being waited for, and since when.
#[derive(Clone, Debug, Default)]
pub(super) struct Waiting(Arc<Mutex<BTreeMap<(String, u64), Instant>>>);

/// A node is being waited for as long as this lives.
#[derive(Debug)]
pub struct Waits {
    waiting: Waiting,
    key: (String, u64),
}

impl Waiting {
    /// Starts to wait for a node.
    pub(super) fn begin(&self, node: &str) -> Waits {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = all
            .range((node.to_owned(), 0)..=(node.to_owned(), u64::MAX))
            .next_back();
        let key = (node.to_owned(), last.map_or(0, |((_, number), _)| number + 1));
        all.insert(key.clone(), Instant::now());
        Waits {
            waiting: self.clone(),
            key,
        }
    }

    /// The nodes that have been waited for at least this long, with their waiting times.
    pub(super) fn longer_than(&self, time: Duration) -> Vec<(String, Duration)> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut slow: Vec<(String, Duration)> = Vec::new();
        for ((node, _), since) in &*all {
            let waited = since.elapsed();
            match slow.last_mut() {
                _ if waited < time => {}
                Some((last, longest)) if last == node => *longest = waited.max(*longest),
                _ => slow.push((node.clone(), waited)),
            }
        }
        slow
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        let mut all = self.waiting.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_slow_as_long_as_any_answer_is_missing() {
        let waiting = Waiting::default();
        let first = waiting.begin("a");
        let second = waiting.begin("a");
        drop(first);
        let slow = waiting.longer_than(Duration::ZERO);
        assert_eq!(slow.len(), 1);
        assert_eq!(slow[0].0, "a");
        assert!(waiting.longer_than(Duration::from_mins(1)).is_empty());
        drop(second);
        assert!(waiting.longer_than(Duration::ZERO).is_empty());
    }
}
