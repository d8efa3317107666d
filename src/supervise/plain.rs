//! A step without a supervisor, for nodes that cannot run it: a command over SSH, which ends with its connection.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Step;
use super::ended::{End, Lost, StepError};
use super::way::{Gate, Sink, Way};
use crate::base::event::Stream;
use crate::base::shell::quote;
use crate::ssh::{ExecEvent, ExecRequest, Session, SshError};

pub(super) async fn run(
    way: &Way<'_>,
    step: &Step,
    session: &Session,
    gate: Option<Gate<'_>>,
    is_open: bool,
    sink: &mut dyn Sink,
) -> Result<End, StepError> {
    let command = format!("sh -c {}", quote(&step.command));
    let waits = gate.is_some() && !is_open;
    let spare = if waits { way.start_timeout } else { Duration::ZERO };
    let line = if waits {
        format!(
            "sh -c {}",
            quote(&format!("read go && exec {command} </dev/null"))
        )
    } else {
        command
    };
    let request = ExecRequest {
        command: way.nodes.as_root(way.node, &line),
        timeout: Some(step.timeout + spare),
        ..ExecRequest::default()
    };
    let time_out = || StepError::TimedOut {
        after: step.timeout,
        doing: None,
    };
    let (orders, pieces) = mpsc::channel(1);
    let mut output = session
        .stream_with_input(&request, pieces)
        .await
        .map_err(|error| match error {
            SshError::CommandTimeout { .. } => time_out(),
            other => StepError::Ssh(other),
        })?;
    if let Some(gate) = gate
        && waits
    {
        if !gate.await {
            return Err(StepError::Barrier);
        }
        let _ = orders.send(b"go\n".to_vec()).await;
    }
    drop(orders);
    sink.started();
    let began = Instant::now();
    loop {
        let event = tokio::select! {
            event = output.recv() => event,
            () = tokio::time::sleep_until(began + step.timeout) => return Err(time_out()),
            () = way.cancel.cancelled() => return Err(StepError::Interrupted),
            why = way.nodes.dead_while_probed(way.node, session) => return Err(StepError::Dead(why)),
        };
        let ended = match event {
            Some(ExecEvent::Stdout(bytes)) => {
                sink.take(Stream::Stdout, &bytes)?;
                continue;
            }
            Some(ExecEvent::Stderr(bytes)) => {
                sink.take(Stream::Stderr, &bytes)?;
                continue;
            }
            Some(ExecEvent::Ended(ended)) => ended,
            Some(ExecEvent::TimedOut(_)) => return Err(time_out()),
            Some(ExecEvent::Lost(why)) => return Err(StepError::Lost(why)),
            None => return Err(StepError::Lost("the connection ended".into())),
        };
        let end = End {
            ended,
            took: began.elapsed(),
            lost: Lost::default(),
            measured: None,
        };
        sink.ended(&end, None)?;
        return Ok(end);
    }
}
