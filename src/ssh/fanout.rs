//! Runs a command on many nodes, a limited number at once, and emits their output line by line.
//! The reporter handles control characters in the lines.

use std::time::Duration;

use futures::StreamExt;
use tokio::sync::mpsc;

use super::ended::{Ended, REFUSED};
use super::lines::Lines;
use super::pool::Nodes;
use super::request::{ExecEvent, ExecRequest};
use super::spool::Spool;
use crate::base::event::Stream;

/// What became of the command on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FanEnd {
    /// It ended on its own.
    Ended(Ended),
    /// It timed out and was killed.
    TimedOut(Duration),
    /// The connection was lost while it ran; it may still run.
    Lost(String),
    /// It was not started: no login, or the node refused.
    NotStarted(String),
    /// The caller cancelled before its turn.
    Cancelled,
}

impl FanEnd {
    /// Whether it ended with exit code 0.
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Ended(ended) if ended.is_success())
    }
}

impl std::fmt::Display for FanEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ended(ended) => write!(f, "{ended}"),
            Self::TimedOut(after) => write!(f, "timed out after {}", humantime::format_duration(*after)),
            Self::Lost(reason) => write!(f, "connection lost: {reason}"),
            Self::NotStarted(reason) => write!(f, "not started: {reason}"),
            Self::Cancelled => f.write_str("cancelled"),
        }
    }
}

/// Something that happened on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FanEvent {
    /// A line, or a piece of one that is longer than 16 KiB.
    Line {
        /// The node.
        node: String,
        /// The stream that it was written to.
        stream: Stream,
        /// The line without its end; invalid UTF-8 is replaced.
        line: String,
        /// Whether the line ends here; `false` if it continues in the next piece, or if the output ends without a line
        /// end.
        ended: bool,
    },
    /// The command ended; nothing more comes from this node.
    Ended {
        /// The node.
        node: String,
        /// How.
        ended: FanEnd,
    },
}

/// What to run, and how.
#[derive(Clone, Debug)]
pub struct FanRequest {
    /// The same command for all.
    pub exec: ExecRequest,
    /// The standard input of each, in place of that of `exec`.
    pub stdin: Option<Spool>,
    /// Nodes at once.
    pub fanout: usize,
    /// Stops running commands and starts no more.
    pub cancel: tokio_util::sync::CancellationToken,
}

/// Runs it on the nodes, in their order as far as the fan-out allows. Every node emits exactly one
/// [`FanEvent::Ended`]. Returns how each ended, in the order of `names`.
pub async fn run(
    nodes: &Nodes,
    names: &[String],
    request: &FanRequest,
    events: mpsc::Sender<FanEvent>,
) -> Vec<(String, FanEnd)> {
    each(names.iter().cloned(), request.fanout, |node| {
        let (nodes, events, request) = (nodes.clone(), events.clone(), request.clone());
        async move {
            let ended = tokio::select! {
                ended = one(&nodes, &node, &request, &events) => ended,
                () = request.cancel.cancelled() => FanEnd::Cancelled,
            };
            let _ = events
                .send(FanEvent::Ended {
                    node: node.clone(),
                    ended: ended.clone(),
                })
                .await;
            (node, ended)
        }
    })
    .await
}

/// Does the work for each of the items, `fanout` at once, and returns the results in the order of the items. They run in
/// any order: a slow one must not delay the others.
pub async fn each<I, T, F>(items: impl IntoIterator<Item = I>, fanout: usize, work: impl Fn(I) -> F) -> Vec<T>
where
    F: Future<Output = T>,
{
    let jobs = futures::stream::iter(items.into_iter().enumerate()).map(|(index, item)| {
        let job = work(item);
        async move { (index, job.await) }
    });
    let mut done: Vec<(usize, T)> = jobs.buffer_unordered(fanout.max(1)).collect().await;
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

async fn one(nodes: &Nodes, node: &str, request: &FanRequest, events: &mpsc::Sender<FanEvent>) -> FanEnd {
    let session = match nodes.session_within(node, request.exec.timeout).await {
        Ok(session) => session,
        Err(super::SshError::Timeout { after, .. }) => return FanEnd::TimedOut(after),
        Err(error) => return FanEnd::NotStarted(error.to_string()),
    };
    // Only commands with a limit can be found and killed, and a user's command must end on Ctrl-C; see
    // `Nodes::close`.
    let mut exec = request.exec.clone();
    exec.timeout.get_or_insert(Duration::from_hours(24 * 365));
    let started = match &request.stdin {
        Some(stdin) => session.stream_with_input(&exec, stdin.pieces()).await,
        None => session.stream(&exec).await,
    };
    let mut stream = match started {
        Ok(stream) => stream,
        Err(super::SshError::CommandTimeout { after, .. }) => return FanEnd::TimedOut(after),
        Err(error) => return FanEnd::NotStarted(error.to_string()),
    };
    let (mut out, mut err) = (Lines::default(), Lines::default());
    let mut ended = FanEnd::Lost("the command's channel was closed".into());
    let dead = nodes.dead_while_probed(node, &session);
    tokio::pin!(dead);
    loop {
        let event = tokio::select! {
            event = stream.recv() => event,
            why = &mut dead => {
                ended = FanEnd::Lost(why.reason);
                session.cut();
                break;
            }
        };
        let Some(event) = event else { break };
        let mut found = Vec::new();
        match event {
            ExecEvent::Stdout(data) => {
                out.push(&data, |line, ended| found.push((Stream::Stdout, line, ended)));
            }
            ExecEvent::Stderr(data) => {
                err.push(&data, |line, ended| found.push((Stream::Stderr, line, ended)));
            }
            ExecEvent::Ended(own) => ended = FanEnd::Ended(own),
            ExecEvent::TimedOut(after) => ended = FanEnd::TimedOut(after),
            ExecEvent::Lost(reason) if reason.starts_with(REFUSED) => ended = FanEnd::NotStarted(reason),
            ExecEvent::Lost(reason) => ended = FanEnd::Lost(reason),
        }
        send(events, node, found).await;
    }
    let rest = [(Stream::Stdout, out.finish()), (Stream::Stderr, err.finish())];
    send(
        events,
        node,
        rest.into_iter()
            .filter_map(|(stream, line)| Some((stream, line?, false)))
            .collect(),
    )
    .await;
    ended
}

async fn send(events: &mpsc::Sender<FanEvent>, node: &str, lines: Vec<(Stream, String, bool)>) {
    for (stream, line, ended) in lines {
        let _ = events
            .send(FanEvent::Line {
                node: node.to_owned(),
                stream,
                line,
                ended,
            })
            .await;
    }
}
