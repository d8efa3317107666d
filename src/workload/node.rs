//! One step on one node: wait at the barrier, run, keep the output, fetch the files.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::barrier::Barrier;
use super::results::{NodeResult, Outcome};
use super::run::Workload;
use crate::engine::{Event, Stream};
use crate::name::NodeName;
use crate::report::LineBuffer;
use crate::ssh::{ExecEvent, ExecRequest, quote};
use crate::topology::WorkloadStep;

/// What the waiting command prints when it stands at the barrier.
const AT_BARRIER: &[u8] = b"VCLUSTER-AT-BARRIER\n";

/// The most bytes kept of one stream of one node; more is counted and dropped.
const KEPT: u64 = 256 << 20;

/// The most bytes of one stream of one node that become lines on the screen; the file keeps more. Lines wait for
/// the screen without a limit of their own.
const SHOWN: u64 = 4 << 20;

/// An output stream on its way to a file and to the events.
struct Sink<'a> {
    workload: &'a Workload<'a>,
    node: &'a NodeName,
    stream: Stream,
    file: std::fs::File,
    bytes: u64,
    lines: LineBuffer,
}

impl<'a> Sink<'a> {
    fn new(
        workload: &'a Workload<'a>,
        node: &'a NodeName,
        stream: Stream,
        dir: &Path,
        ending: &str,
    ) -> std::io::Result<Self> {
        let file = super::results::private(&dir.join(format!("{node}.{ending}")))?;
        Ok(Self {
            workload,
            node,
            stream,
            file,
            bytes: 0,
            lines: LineBuffer::default(),
        })
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let room = usize::try_from(KEPT.saturating_sub(self.bytes)).unwrap_or(usize::MAX);
        self.file.write_all(&bytes[..bytes.len().min(room)])?;
        let before = self.bytes;
        self.bytes += bytes.len() as u64;
        if self.workload.live {
            let (workload, node, stream) = (self.workload, self.node, self.stream);
            let shown = shown(before, bytes);
            self.lines.push(shown, |line| say(workload, node, stream, line));
            if before <= SHOWN && self.bytes > SHOWN {
                let rest = self.lines.finish();
                for line in rest.into_iter().chain(["[more is in the file only]".to_owned()]) {
                    say(workload, node, stream, line);
                }
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> u64 {
        if let Some(line) = self.lines.finish() {
            say(self.workload, self.node, self.stream, line);
        }
        self.bytes
    }
}

/// The part of a piece that is shown, where so many bytes came before it.
fn shown(before: u64, bytes: &[u8]) -> &[u8] {
    let room = usize::try_from(SHOWN.saturating_sub(before)).unwrap_or(usize::MAX);
    &bytes[..bytes.len().min(room)]
}

fn say(workload: &Workload<'_>, node: &NodeName, stream: Stream, line: String) {
    workload.events.emit(Event::Output {
        node: node.clone(),
        stream,
        line,
    });
}

/// Runs a step on a node.
pub(super) async fn run(
    workload: &Workload<'_>,
    step: &WorkloadStep,
    node: &NodeName,
    dir: &Path,
    barrier: Option<&Barrier>,
) -> NodeResult {
    let began = Instant::now();
    let mut bytes = 0;
    let mut started = began;
    let outcome = command(workload, step, node, dir, barrier, &mut started, &mut bytes)
        .await
        .unwrap_or_else(|error| Outcome::Error { error });
    if let Some(barrier) = barrier {
        barrier.ended(node);
    }
    let took = started.elapsed();
    let outcome = match (&outcome, collect(workload, step, node, dir).await) {
        (Outcome::Passed, Err(error)) => Outcome::Error { error },
        _ => outcome,
    };
    NodeResult {
        node: node.clone(),
        outcome,
        took,
        bytes,
    }
}

async fn command(
    workload: &Workload<'_>,
    step: &WorkloadStep,
    node: &NodeName,
    dir: &Path,
    barrier: Option<&Barrier>,
    started: &mut Instant,
    bytes: &mut u64,
) -> Result<Outcome, String> {
    let text = |error: &dyn std::error::Error| crate::engine::explain(error);
    let command = workload
        .renderer
        .render_text(&step.run, &step.name, node)
        .map_err(|error| text(&error))?;
    let inner = format!("sh -c {}", quote(&command));
    let line = if barrier.is_some() {
        format!(
            "sh -c {}",
            quote(&format!(
                "echo VCLUSTER-AT-BARRIER; read go && exec {inner} </dev/null"
            ))
        )
    } else {
        inner
    };
    let login = workload.nodes.session(node);
    let session = if barrier.is_some() {
        // The others wait for it.
        tokio::time::timeout(workload.barrier_timeout, login)
            .await
            .map_err(|_| "no login within the time for the barrier".to_owned())?
    } else {
        login.await
    };
    let session = session.map_err(|error| text(&error))?;
    // The time spent waiting for others is not the command's.
    let waiting = if barrier.is_some() {
        workload.barrier_timeout
    } else {
        Duration::ZERO
    };
    let request = ExecRequest {
        command: workload.nodes.as_root(node, &line),
        timeout: Some(step.timeout + waiting),
        ..ExecRequest::default()
    };
    let (input, pieces) = mpsc::channel(1);
    let mut input = Some(input);
    if barrier.is_none() {
        input = None;
    }
    crate::fault::point!("workload {} before", step.name);
    let mut output = session
        .stream_with_input(&request, pieces)
        .await
        .map_err(|error| text(&error))?;
    let io = |error: std::io::Error| format!("failed to write results: {error}");
    let mut stdout = Sink::new(workload, node, Stream::Stdout, dir, "out").map_err(io)?;
    let mut stderr = Sink::new(workload, node, Stream::Stderr, dir, "err").map_err(io)?;
    let mut ahead = Vec::new();
    let mut deadline = Box::pin(tokio::time::sleep(step.timeout + waiting));
    *started = Instant::now();
    let outcome = loop {
        let event = tokio::select! {
            event = output.recv() => event,
            () = &mut deadline => break Outcome::TimedOut,
            () = workload.cancel.cancelled() => break Outcome::Error { error: "interrupted".into() },
        };
        match event {
            Some(ExecEvent::Stdout(data)) => {
                let (Some(barrier), Some(go)) = (barrier, input.as_ref()) else {
                    stdout.write(&data).map_err(io)?;
                    continue;
                };
                ahead.extend_from_slice(&data);
                if ahead.len() < AT_BARRIER.len() {
                    continue;
                }
                if !ahead.starts_with(AT_BARRIER) {
                    return Err("the node said something else than that it is ready to start".into());
                }
                let arrival = barrier.arrive(node);
                let patience = tokio::time::sleep(workload.barrier_timeout);
                tokio::pin!(arrival, patience);
                let open = loop {
                    let event = tokio::select! {
                        open = &mut arrival => break open,
                        () = &mut patience => break false,
                        () = workload.cancel.cancelled() => break false,
                        event = output.recv() => event,
                    };
                    match event {
                        Some(ExecEvent::Stderr(data)) => stderr.write(&data).map_err(io)?,
                        Some(ExecEvent::Lost(why)) => {
                            return Err(format!("connection lost at the barrier: {why}"));
                        }
                        _ => return Err("the command ended at the barrier".into()),
                    }
                };
                if !open {
                    let culprits = barrier.culprits();
                    return Err(format!("not started: {culprits} did not become ready to start"));
                }
                let _ = go.send(b"go\n".to_vec()).await;
                crate::fault::point!("workload {} let go", step.name);
                input = None;
                *started = Instant::now();
                deadline
                    .as_mut()
                    .reset(tokio::time::Instant::now() + step.timeout);
                stdout.write(&ahead[AT_BARRIER.len()..]).map_err(io)?;
            }
            Some(ExecEvent::Stderr(data)) => stderr.write(&data).map_err(io)?,
            Some(ExecEvent::Exit(0)) => break Outcome::Passed,
            Some(ExecEvent::Exit(code)) => break Outcome::Failed { code },
            Some(ExecEvent::Signal(signal)) => break Outcome::Killed { signal },
            Some(ExecEvent::TimedOut(_)) => break Outcome::TimedOut,
            Some(ExecEvent::Lost(why)) => {
                break Outcome::Error {
                    error: format!("connection lost: {why}"),
                };
            }
            None => {
                break Outcome::Error {
                    error: "the connection ended before the command".into(),
                };
            }
        }
    };
    *bytes = stdout.finish() + stderr.finish();
    crate::fault::point!("workload {} after", step.name);
    Ok(outcome)
}

/// Fetches the files of a step, also after a failure: that is when they are wanted most.
async fn collect(
    workload: &Workload<'_>,
    step: &WorkloadStep,
    node: &NodeName,
    dir: &Path,
) -> Result<(), String> {
    if step.collect.is_empty() || workload.cancel.is_cancelled() {
        return Ok(());
    }
    let target = dir.join(node.as_str());
    let result = async {
        let mut paths = Vec::new();
        for path in &step.collect {
            let path = workload
                .renderer
                .render_text(path, &step.name, node)
                .map_err(|error| crate::engine::explain(&error))?;
            paths.push(path);
        }
        let session = workload
            .nodes
            .session(node)
            .await
            .map_err(|error| crate::engine::explain(&error))?;
        super::collect::collect(&session, &paths, &target).await
    };
    result
        .await
        .map_err(|error| format!("failed to collect files: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_without_end_is_shown_up_to_a_limit() {
        let piece = vec![b'x'; 100_000];
        let mut before = 0;
        let mut sum = 0;
        for _ in 0..1000 {
            sum += shown(before, &piece).len() as u64;
            before += piece.len() as u64;
        }
        assert_eq!(sum, SHOWN);
    }
}
