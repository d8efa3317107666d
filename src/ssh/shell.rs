//! A terminal on the remote side. The caller handles the local terminal.

use std::sync::Arc;

use russh::ChannelMsg;
use russh::client::Msg;
use russh::{Channel, ChannelWriteHalf};
use tokio::sync::mpsc;

use super::channel::Inner;
use super::command;
use super::ended::Ended;
use super::error::SshError;
use super::reason::Requested;
use super::request::ExecEvent;

/// The terminal to open.
#[derive(Clone, Debug)]
pub struct ShellRequest {
    /// A command instead of the login shell.
    pub command: Option<String>,
    /// `$TERM`.
    pub term: String,
    /// Width in characters.
    pub columns: u32,
    /// Height in characters.
    pub rows: u32,
}

/// An open terminal. Dropping it closes it.
pub struct Shell {
    events: mpsc::Receiver<ExecEvent>,
    orders: mpsc::Sender<Order>,
}

enum Order {
    Input(Vec<u8>),
    Size(u32, u32),
}

impl Shell {
    /// The next event; `None` after the end.
    pub async fn next(&mut self) -> Option<ExecEvent> {
        self.events.recv().await
    }

    /// Sends input. Has no effect once the terminal has ended.
    pub async fn input(&self, bytes: Vec<u8>) {
        let _ = self.orders.send(Order::Input(bytes)).await;
    }

    /// Sends the new size of the terminal.
    pub async fn resize(&self, columns: u32, rows: u32) {
        let _ = self.orders.send(Order::Size(columns, rows)).await;
    }
}

/// Opens a terminal.
pub(super) async fn open(session: &Arc<Inner>, request: &ShellRequest) -> Result<Shell, SshError> {
    let slot = session
        .slots
        .clone()
        .acquire_owned()
        .await
        .map_err(|e| SshError::Other(e.to_string()))?;
    let channel = session
        .opened(Requested::Session, session.handle.channel_open_session())
        .await?;
    let (events, receiver) = mpsc::channel(64);
    let (orders, list) = mpsc::channel(64);
    let (session, request) = (session.clone(), request.clone());
    tokio::spawn(async move {
        if let Err(error) = prepare(&channel, &request).await {
            let _ = events.send(ExecEvent::Lost(error.to_string())).await;
            let _ = channel.close().await;
        } else {
            drive(&session, channel, &events, list).await;
        }
        drop(slot);
    });
    Ok(Shell {
        events: receiver,
        orders,
    })
}

async fn prepare(channel: &Channel<Msg>, request: &ShellRequest) -> Result<(), russh::Error> {
    channel
        .request_pty(false, &request.term, request.columns, request.rows, 0, 0, &[])
        .await?;
    match &request.command {
        Some(command) => channel.exec(true, command.as_bytes()).await,
        None => channel.request_shell(true).await,
    }
}

async fn drive(
    session: &Inner,
    channel: Channel<Msg>,
    events: &mpsc::Sender<ExecEvent>,
    mut orders: mpsc::Receiver<Order>,
) {
    let (mut read, write) = channel.split();
    let mut ended = None;
    let mut deserted = false;
    loop {
        let message = tokio::select! {
            message = read.wait() => message,
            order = orders.recv(), if !deserted => {
                deserted = order.is_none();
                execute(&write, order).await;
                continue;
            }
            () = events.closed() => {
                let _ = write.close().await;
                return;
            }
        };
        let event = match message {
            None | Some(ChannelMsg::Close) => break,
            Some(ChannelMsg::Data { data }) => ExecEvent::Stdout(data.into()),
            Some(ChannelMsg::ExtendedData { data, .. }) => ExecEvent::Stderr(data.into()),
            Some(ChannelMsg::ExitStatus { exit_status }) => {
                ended = Some(ExecEvent::Ended(Ended::Exit(exit_status)));
                continue;
            }
            Some(ChannelMsg::ExitSignal { signal_name, .. }) => {
                ended = Some(ExecEvent::Ended(Ended::Signal(command::name(&signal_name))));
                continue;
            }
            Some(ChannelMsg::Failure) => {
                ended = Some(ExecEvent::Lost("the remote side refused a terminal".into()));
                let _ = write.close().await;
                break;
            }
            Some(_) => continue,
        };
        if events.send(event).await.is_err() {
            let _ = write.close().await;
            return;
        }
    }
    let reason = session
        .shared
        .reason()
        .unwrap_or_else(|| "the terminal was closed".into());
    let _ = events.send(ended.unwrap_or(ExecEvent::Lost(reason))).await;
}

async fn execute(write: &ChannelWriteHalf<Msg>, order: Option<Order>) {
    let _ = match order {
        Some(Order::Input(bytes)) => write.data_bytes(bytes).await,
        Some(Order::Size(columns, rows)) => write.window_change(columns, rows, 0, 0).await,
        None => write.eof().await,
    };
}
