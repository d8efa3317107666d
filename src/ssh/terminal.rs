//! Joins the terminal of this side with one on the far side, for `vcluster ssh`. The only place of this
//! module that touches standard input and output.

use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::AsFd;

use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::error::SshError;
use super::session::{ExecEvent, Session};
use super::shell::{Shell, ShellRequest};

/// Opens a terminal on the far side and stays until it ends; gives how it ended
/// ([`ExecEvent::Exit`], `Signal` or `Lost`).
pub async fn interact(session: &Session, command: Option<String>) -> Result<ExecEvent, SshError> {
    let (columns, rows) = size();
    let term = std::env::var("TERM").unwrap_or_else(|_| "xterm".into());
    let shell = session
        .shell(&ShellRequest {
            command,
            term,
            columns,
            rows,
        })
        .await?;
    let raw = Raw::enter();
    let ended = join(shell)
        .await
        .map_err(|error| SshError::Other(error.to_string()));
    drop(raw);
    ended
}

async fn join(mut shell: Shell) -> io::Result<ExecEvent> {
    let mut resized = signal(SignalKind::window_change())?;
    let mut typed = typed();
    let mut open = true;
    loop {
        tokio::select! {
            event = shell.next() => match event {
                Some(ExecEvent::Stdout(data) | ExecEvent::Stderr(data)) => {
                    let mut out = io::stdout().lock();
                    out.write_all(&data)?;
                    out.flush()?;
                }
                Some(ended) => return Ok(ended),
                None => return Ok(ExecEvent::Lost("the terminal was closed".into())),
            },
            bytes = typed.recv(), if open => {
                open = bytes.is_some();
                // The end of input is told as Control-D.
                shell.input(bytes.unwrap_or_else(|| vec![4])).await;
            }
            _ = resized.recv() => {
                let (columns, rows) = size();
                shell.resize(columns, rows).await;
            }
        }
    }
}

/// Standard input, read on a thread of its own: one of the runtime's would keep the process from ending.
fn typed() -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel(16);
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = io::stdin().lock().read(&mut buffer) {
            if sender.blocking_send(buffer[..count].to_vec()).is_err() {
                return;
            }
        }
    });
    receiver
}

fn size() -> (u32, u32) {
    terminal_size::terminal_size().map_or((80, 24), |(width, height)| (width.0.into(), height.0.into()))
}

/// The local terminal passes every key on, until this is dropped.
struct Raw(Option<Termios>);

impl Raw {
    fn enter() -> Self {
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return Self(None);
        }
        let Ok(before) = tcgetattr(stdin.as_fd()) else {
            return Self(None);
        };
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        let set = tcsetattr(stdin.as_fd(), SetArg::TCSADRAIN, &raw);
        Self(set.is_ok().then_some(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(io::stdin().as_fd(), SetArg::TCSADRAIN, before);
        }
    }
}
