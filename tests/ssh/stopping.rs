//! `run --stop` of a step that does not answer, or writes without end.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use vcluster::supervise::{self, Discard, StepError};

use crate::server::{Server, asleep};
use crate::supervise::{Kept, gone, leave, nodes, step};

/// A node that does not answer has not confirmed that a step ended, and the user does not have to wait for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_that_gets_no_answer_is_unconfirmed_and_can_be_interrupted() {
    let server = Server::openssh("");
    let mark = format!("35{}", std::process::id());
    let left = step(&format!("sleep {mark}"));
    let first = nodes(&server);
    leave(&first, &left, &mut Kept::default(), "its start", || asleep(&mark)).await;
    let others = nodes(&server);
    server.suspend();
    let cancel = CancellationToken::new();
    let interrupt = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        cancel.cancel();
    };
    let mut sink = Discard;
    let stop = supervise::stop(&others, "node", &left, &mut sink, &cancel);
    let (stopped, ()) = tokio::join!(stop, interrupt);
    match stopped {
        // The interrupt ended it, and not the time for an answer.
        Err(StepError::Unconfirmed(error)) => {
            assert!(!matches!(*error, StepError::NoAnswer { .. }), "{error:?}");
        }
        other => panic!("{other:?}"),
    }
    assert!(asleep(&mark));
    server.resume();
    let stopped = supervise::stop(&others, "node", &left, &mut Discard, &CancellationToken::new()).await;
    assert!(stopped.unwrap() && !asleep(&mark));
    first.close().await;
    others.close().await;
}

/// The supervisor's memory is full, and nobody wants the output.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_writes_without_end_is_stopped() {
    let server = Server::openssh("");
    let seen = server.path("seen");
    let left = step(&format!("touch {}; sleep 2; yes", seen.display()));
    let first = nodes(&server);
    leave(&first, &left, &mut Kept::default(), "its start", || seen.exists()).await;
    first.close().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let others = nodes(&server);
    let (mut sink, cancel) = (Discard, CancellationToken::new());
    let stop = supervise::stop(&others, "node", &left, &mut sink, &cancel);
    let stopped = tokio::time::timeout(Duration::from_secs(30), stop).await;
    assert!(stopped.unwrap().unwrap());
    gone(&left);
    others.close().await;
}
