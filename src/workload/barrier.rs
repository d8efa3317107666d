//! The barrier: no node starts before all are ready. If one never arrives, the others fail with an
//! error that names it.

use std::collections::BTreeSet;
use std::sync::{Mutex, OnceLock, PoisonError};

use tokio::sync::watch;

use crate::base::name::NodeName;

/// The state of the barrier, for the nodes that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// Not all nodes have arrived yet.
    Wait,
    /// All nodes have arrived.
    Go,
    /// A node will never arrive.
    Broken,
}

/// A barrier for known nodes.
#[derive(Debug)]
pub(super) struct Barrier {
    signal: watch::Sender<Signal>,
    /// The nodes that have not arrived yet.
    absent: Mutex<BTreeSet<NodeName>>,
    /// The nodes whose step had started before they came to the barrier: an earlier command let them pass.
    passed: Mutex<BTreeSet<NodeName>>,
    /// The first node that will never arrive.
    broken_by: OnceLock<NodeName>,
}

impl Barrier {
    /// A barrier that opens when all of these nodes have arrived.
    pub(super) fn new(wanted: &[NodeName]) -> Self {
        Self {
            signal: watch::Sender::new(if wanted.is_empty() {
                Signal::Go
            } else {
                Signal::Wait
            }),
            absent: Mutex::new(wanted.iter().cloned().collect()),
            passed: Mutex::default(),
            broken_by: OnceLock::new(),
        }
    }

    /// Arrives, and waits for all others. `false`: it will never open.
    pub(super) async fn arrive(&self, node: &NodeName) -> bool {
        let mut receiver = self.signal.subscribe();
        self.arrived(node);
        let signal = receiver.wait_for(|signal| *signal != Signal::Wait).await;
        signal.is_ok_and(|signal| *signal == Signal::Go)
    }

    /// Records that a node has already passed; the others no longer wait for it.
    pub(super) fn passed(&self, node: &NodeName) {
        let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        passed.insert(node.clone());
        drop(passed);
        self.arrived(node);
    }

    fn arrived(&self, node: &NodeName) {
        let mut absent = self.absent.lock().unwrap_or_else(PoisonError::into_inner);
        if absent.remove(node) && absent.is_empty() {
            drop(absent);
            self.turn(Signal::Go);
        }
    }

    /// Records that a node has ended. Unless it has passed, the barrier breaks; an open barrier stays open.
    pub(super) fn ended(&self, node: &NodeName) {
        let passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        if passed.contains(node) {
            return;
        }
        drop(passed);
        let absent = self
            .absent
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(node);
        if absent {
            // Before the signal, so that the name is there when the signal arrives.
            let _ = self.broken_by.set(node.clone());
        }
        self.turn(Signal::Broken);
    }

    /// The nodes that did not arrive.
    pub(super) fn absent_nodes(&self) -> String {
        match self.broken_by.get() {
            Some(node) => node.to_string(),
            None => crate::nodeset::fold(&*self.absent.lock().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    fn turn(&self, to: Signal) {
        self.signal.send_if_modified(|signal| {
            let waiting = *signal == Signal::Wait;
            if waiting {
                *signal = to;
            }
            waiting
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    fn two() -> (Arc<Barrier>, NodeName, NodeName) {
        let nodes: Vec<NodeName> = ["a", "b"].map(|name| name.parse().unwrap()).into();
        (Arc::new(Barrier::new(&nodes)), nodes[0].clone(), nodes[1].clone())
    }

    fn arrives(barrier: &Arc<Barrier>, node: &NodeName) -> tokio::task::JoinHandle<bool> {
        let (barrier, node) = (Arc::clone(barrier), node.clone());
        tokio::spawn(async move { barrier.arrive(&node).await })
    }

    #[tokio::test]
    async fn no_node_passes_before_the_last_one_arrives() {
        let (barrier, a, b) = two();
        let first = arrives(&barrier, &a);
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!first.is_finished());
        assert!(barrier.arrive(&b).await);
        assert!(first.await.unwrap());
    }

    #[tokio::test]
    async fn a_broken_barrier_ends_all_waits_and_names_the_node_that_did_not_arrive() {
        let (barrier, a, b) = two();
        let first = arrives(&barrier, &a);
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(barrier.absent_nodes(), "b", "it has not arrived yet");
        barrier.ended(&b);
        assert!(!first.await.unwrap());
        // It makes no difference that the first one then gives up too.
        barrier.ended(&a);
        assert_eq!(barrier.absent_nodes(), "b");
    }

    #[tokio::test]
    async fn the_end_of_a_node_that_had_passed_before_does_not_break_the_barrier() {
        let (barrier, a, b) = two();
        barrier.passed(&a);
        barrier.ended(&a);
        assert!(barrier.arrive(&b).await);
    }
}
