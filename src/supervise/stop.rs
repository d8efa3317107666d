//! Ends a step that an earlier command left on a node.

use std::io;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Step;
use super::ended::StepError;
use super::follow::follow;
use super::way::{Sink, Way};
use crate::base::event::Stream;
use crate::ssh::Nodes;

/// Timeout of the login.
const LOGIN: Duration = Duration::from_secs(30);

struct Nothing;

impl Sink for Nothing {
    fn take(&mut self, _: Stream, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

/// Ends a step. Returns whether it was still there; an error means that the node did not answer.
pub async fn stop(nodes: &Nodes, node: &str, step: &Step) -> Result<bool, StepError> {
    let cancel = CancellationToken::new();
    let way = Way {
        nodes,
        node,
        cancel: &cancel,
        start_timeout: LOGIN,
    };
    let step = Step {
        // Attaches and never starts; the timeout expires at once.
        arrived: Some([u64::MAX; 2]),
        timeout: Duration::ZERO,
        ..step.clone()
    };
    match follow(&way, &step, None, &mut Nothing).await {
        Ok(_) | Err(StepError::TimedOut { .. }) => Ok(true),
        Err(StepError::Gone | StepError::Rebooted) => Ok(false),
        Err(error) => Err(error),
    }
}
