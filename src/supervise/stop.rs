//! Ends a step that an earlier command left on a node.

use tokio_util::sync::CancellationToken;

use super::Step;
use super::ended::StepError;
use super::ending::ANSWER;
use super::follow::end;
use super::way::{Sink, Way};
use crate::base::patience::patience;
use crate::ssh::Nodes;

/// Ends a step. Returns whether it was still there; an error means that the node did not confirm its end. `cancel` ends
/// the wait.
pub async fn stop(
    nodes: &Nodes,
    node: &str,
    step: &Step,
    sink: &mut dyn Sink,
    cancel: &CancellationToken,
) -> Result<bool, StepError> {
    let way = Way {
        nodes,
        node,
        cancel,
        start_timeout: patience(ANSWER),
    };
    let step = Step {
        // Attaches and never starts; no output is wanted.
        arrived: Some([u64::MAX; 2]),
        ..step.clone()
    };
    let ended = tokio::select! {
        ended = end(&way, &step, sink) => ended,
        () = cancel.cancelled() => Err(StepError::Unconfirmed(Box::new(StepError::Interrupted))),
    };
    match ended {
        Ok(_) | Err(StepError::Stopped) => Ok(true),
        Err(error) if error.proves_the_end() => Ok(false),
        Err(error) => Err(error),
    }
}
