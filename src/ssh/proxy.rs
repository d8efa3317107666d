//! A connection through the command of `ProxyCommand`: its standard input and output are the stream.

use std::io;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::task::JoinHandle;

use crate::base::text::sanitize;

/// Bytes kept of what the command prints on standard error.
const KEPT: usize = 600;

/// How long the standard error of a command that has ended is read.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The running command. It is ended when this and what it printed are dropped.
pub(super) struct Proxy {
    _child: Arc<Child>,
    input: ChildStdin,
    output: ChildStdout,
}

/// What the command prints on standard error.
pub(super) struct Printed {
    text: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
    /// A command may close its output before it prints why.
    _child: Arc<Child>,
}

/// Starts the command in the user's shell, as `ssh` does.
pub(super) fn start(command: &str) -> io::Result<(Proxy, Printed)> {
    let shell = std::env::var_os("SHELL").filter(|shell| !shell.is_empty());
    let mut child = tokio::process::Command::new(shell.unwrap_or_else(|| "/bin/sh".into()))
        .arg("-c")
        .arg(format!("exec {command}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let (Some(input), Some(output), Some(errors)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(io::ErrorKind::BrokenPipe.into());
    };
    let text = Arc::default();
    let reader = tokio::spawn(collect(errors, Arc::clone(&text)));
    let child = Arc::new(child);
    let printed = Printed {
        text,
        reader,
        _child: Arc::clone(&child),
    };
    let proxy = Proxy {
        _child: child,
        input,
        output,
    };
    Ok((proxy, printed))
}

/// Reads to the end, so that the command never blocks, and keeps the beginning.
async fn collect(mut errors: ChildStderr, text: Arc<Mutex<Vec<u8>>>) {
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = errors.read(&mut buffer).await {
        let mut text = text.lock().unwrap_or_else(PoisonError::into_inner);
        let room = KEPT.saturating_sub(text.len()).min(count);
        text.extend_from_slice(&buffer[..room]);
    }
}

impl Printed {
    /// The lines of a command whose input and output are closed, which usually ends it.
    pub(super) async fn read(self) -> String {
        // A child of the command may keep its output open.
        let _ = tokio::time::timeout(LAST_WORDS, self.reader).await;
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&text).into_owned();
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        sanitize(&lines.collect::<Vec<_>>().join("; ")).into_owned()
    }
}

impl AsyncRead for Proxy {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().output).poll_read(cx, buf)
    }
}

impl AsyncWrite for Proxy {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().input).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().input).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().input).poll_shutdown(cx)
    }
}
