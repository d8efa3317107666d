//! A stage of a host or node: emits that it has begun, and how it ended.

use std::time::Instant;

use crate::base::event::{Event, Events, NodeStage, Progress};
use crate::base::failure::{UserFacing, explain, with_console};
use crate::base::name::{HostName, NodeName};

/// Runs a stage. `work` also returns whether it changed anything; `failed` is its end with an error.
pub(super) async fn run<T, E>(
    emit: impl Fn(Progress),
    failed: impl Fn(&E) -> Progress,
    work: impl Future<Output = Result<(bool, T), E>>,
) -> Result<T, E> {
    emit(Progress::Begun);
    let began = Instant::now();
    let result = work.await;
    emit(match &result {
        Ok((changed, _)) => Progress::Done {
            changed: *changed,
            took: began.elapsed(),
        },
        Err(error) => failed(error),
    });
    result.map(|(_, value)| value)
}

/// The end of a stage with an error, which the last lines of a console may follow.
pub(super) fn failed(error: &dyn UserFacing, console: Option<&str>) -> Progress {
    Progress::Failed {
        error: with_console(&explain(error), console),
        kind: Some(error.kind()),
        left: error.leftovers().what(),
    }
}

/// Emits the progress of a node's stage.
pub(super) fn of_node<'a>(
    events: &'a Events,
    node: &'a NodeName,
    host: &'a HostName,
    stage: NodeStage,
) -> impl Fn(Progress) + 'a {
    move |progress| {
        events.emit(Event::Node {
            node: node.clone(),
            host: host.clone(),
            stage,
            progress,
        });
    }
}
