//! `vcluster ssh`: opens a shell with a terminal on a node, or runs one command there.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::common::{ClusterArg, HostArgs};
use super::output::waits;
use super::{Context, tty};
use crate::base::exit::ExitCode;
use crate::base::name::NodeName;
use crate::base::text::sanitize;
use crate::cluster::Cluster;
use crate::cluster::nodes::close;
use crate::engine::{EngineError, Pending};
use crate::report;
use crate::ssh::{ExecEvent, ExecRequest, Nodes, ShellRequest, SshError};

/// The login shell of a standard input that is no terminal: as with ssh, it gets no terminal either, which would echo its
/// commands and show prompts.
const LOGIN_SHELL: &str = r#"exec "$SHELL" -l"#;

/// Open a shell on a node, or run one command there
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    cluster: ClusterArg,
    #[command(flatten)]
    hosts: HostArgs,
    /// Allocate a terminal even with a command
    #[arg(short = 't', long)]
    pub tty: bool,
    /// The node
    #[arg(value_name = "NODE")]
    pub node: NodeName,
    /// Command instead of the login shell; several words are joined by spaces, as in ssh
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// Runs the verb.
pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let cluster = Cluster::open(args.cluster.cluster.as_deref())?;
    let chosen = cluster.select(Some(args.node.as_str()), None)?;
    let waits = waits(context);
    let nodes = cluster.nodes(&chosen, &args.hosts.access(), &waits).await?;
    let pending = Pending::new("logging in to", &chosen);
    let session = tokio::select! {
        session = pending.shown(&waits, nodes.session(&args.node)) => session?,
        () = context.cancel.cancelled() => return Err(EngineError::Interrupted.into()),
    };
    let command = (!args.command.is_empty()).then(|| args.command.join(" "));
    let on_terminal = std::io::stdin().is_terminal() && (args.tty || command.is_none());
    let code = if on_terminal {
        terminal(&session, command, context).await?
    } else {
        let command = command.unwrap_or_else(|| LOGIN_SHELL.to_owned());
        plain(&nodes, &args.node, &session, command, context).await?
    };
    // Also ends a command that still runs there.
    close(&nodes, &waits).await;
    match code {
        Some(code) => Ok(ExitCode::Remote(code)),
        None => Err(EngineError::Interrupted.into()),
    }
}

/// Runs a command without a terminal, on this process's streams. `None` when interrupted.
async fn plain(
    nodes: &Nodes,
    node: &NodeName,
    session: &crate::ssh::Session,
    command: String,
    context: &Context,
) -> anyhow::Result<Option<u8>> {
    let mut keys = tty::keys();
    let (sender, input) = tokio::sync::mpsc::channel(16);
    tokio::spawn(async move {
        while let Some(bytes) = keys.recv().await {
            if sender.send(bytes).await.is_err() {
                break;
            }
        }
    });
    let request = ExecRequest {
        command,
        // With a timeout, the command can be found and killed; see `Nodes::close`.
        timeout: Some(Duration::from_hours(24 * 365)),
        ..ExecRequest::default()
    };
    let mut events = session.stream_with_input(&request, input).await?;
    let mut code = 255;
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Some(event) => match show(event).await {
                    Some(Shown::Code(ended)) => code = ended,
                    Some(Shown::Unread) => return Ok(Some(ExitCode::Interrupted.code())),
                    None => {}
                },
                None => return Ok(Some(code)),
            },
            why = nodes.dead_while_probed(node, session) => return Err(SshError::NotRunning(why).into()),
            () = context.cancel.cancelled() => return Ok(None),
        }
    }
}

/// Shows a terminal of the node in the local one. Keys go to the node; `None` if vcluster itself gets a signal.
async fn terminal(
    session: &crate::ssh::Session,
    command: Option<String>,
    context: &Context,
) -> anyhow::Result<Option<u8>> {
    let (columns, rows) = tty::size();
    let term = std::env::var("TERM").unwrap_or_else(|_| "xterm".into());
    let mut shell = session
        .shell(&ShellRequest {
            command,
            term,
            columns,
            rows,
        })
        .await?;
    let mut resized = signal(SignalKind::window_change())?;
    let mut keys = tty::keys();
    let mut typing = true;
    let raw = tty::RawMode::enter()?;
    let mut code = 255;
    let code = loop {
        tokio::select! {
            event = shell.next() => match event {
                Some(event) => match show(event).await {
                    Some(Shown::Code(ended)) => code = ended,
                    Some(Shown::Unread) => break Some(ExitCode::Interrupted.code()),
                    None => {}
                },
                None => break Some(code),
            },
            bytes = keys.recv(), if typing => if let Some(bytes) = bytes { shell.input(bytes).await } else {
                // Ctrl-D, the end of input in a terminal.
                shell.input(vec![4]).await;
                typing = false;
            },
            _ = resized.recv() => {
                let (columns, rows) = tty::size();
                shell.resize(columns, rows).await;
            }
            () = context.cancel.cancelled() => break None,
        }
    };
    drop(raw);
    Ok(code)
}

/// What follows from an event that was shown.
enum Shown {
    /// The command has ended; this is the exit code.
    Code(u8),
    /// Standard output takes no more.
    Unread,
}

/// Writes output unfiltered: the user asked for this node's terminal.
async fn show(event: ExecEvent) -> Option<Shown> {
    match event {
        // Its reader may be gone, as in `ssh NODE ... | head`: the caller then ends the command.
        ExecEvent::Stdout(bytes) => (!report::paced(&bytes).await).then_some(Shown::Unread),
        ExecEvent::Stderr(bytes) => {
            let _ = std::io::stderr().lock().write_all(&bytes);
            None
        }
        ExecEvent::Ended(ended) => Some(Shown::Code(ended.passed_on())),
        ExecEvent::TimedOut(_) => Some(Shown::Code(ExitCode::Timeout.code())),
        ExecEvent::Lost(why) => {
            report::message(&format!("\r\nconnection lost: {}", sanitize(&why)));
            Some(Shown::Code(255))
        }
    }
}
