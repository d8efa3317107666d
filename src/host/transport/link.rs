//! Commands on a host as root: over its SSH session, or on this machine. They are for `sh`, whatever the login shell is.
//! Scripts go to the standard input of `sh -s`, so nothing has to be quoted twice.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Child;
use tokio::sync::{OnceCell, mpsc};

use crate::base::crash_point;
use crate::base::shell::quote;
use crate::host::error::Cause;
use crate::ssh::{CommandShell, Ended, ExecEvent, ExecRequest, Input, Output, Session};

/// The most bytes of output that are read from a script.
const OUTPUT_LIMIT: usize = 16 << 20;
/// Added to the timeout of a script, which the session applies itself: for a session that hangs.
const SPARE: Duration = Duration::from_secs(2);
/// The beginning of every script. `$1` is `$SSH_CONNECTION`, `$2` the process that lives as long as the connection.
const PREAMBLE: &str = "export LC_ALL=C PATH=\"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:$PATH\"; umask 022\n";

/// A future with a fault point before and after it, named after the caller's source location.
macro_rules! around {
    ($what:literal, $work:expr) => {{
        #[cfg(feature = "fault-points")]
        let place = crash_point::place(std::panic::Location::caller());
        let work = $work;
        async move {
            crash_point::point!("{} {place} before", $what);
            let result = work.await;
            crash_point::point!("{} {place} after", $what);
            result
        }
    }};
}

/// The way to run commands on a host.
#[derive(Clone)]
enum Way {
    Local,
    Ssh(Arc<Session>),
}

/// Runs commands on a host as root.
#[derive(Clone)]
pub(crate) struct HostLink {
    way: Way,
    /// How to become root: empty, or `sudo -n `. Determined once.
    sudo: OnceCell<&'static str>,
}

impl HostLink {
    pub(crate) fn local() -> Self {
        Self {
            way: Way::Local,
            sudo: OnceCell::new(),
        }
    }

    pub(crate) fn ssh(session: Arc<Session>) -> Self {
        Self {
            way: Way::Ssh(session),
            sudo: OnceCell::new(),
        }
    }

    pub(crate) fn session(&self) -> Option<Arc<Session>> {
        match &self.way {
            Way::Local => None,
            Way::Ssh(session) => Some(session.clone()),
        }
    }

    /// Runs a script as root and returns its standard output; a failure contains its standard error.
    #[cfg_attr(feature = "fault-points", track_caller)]
    pub(crate) fn script(
        &self,
        script: &str,
        timeout: Duration,
    ) -> impl Future<Output = Result<String, Cause>> {
        around!("script", self.query(script, timeout))
    }

    /// Like `script`, for one that changes nothing.
    pub(crate) async fn query(&self, script: &str, timeout: Duration) -> Result<String, Cause> {
        let sudo = self.sudo(timeout).await?;
        let command = on_stdin(sudo);
        let stdin = as_block(script).into_bytes();
        let output = self.run(command, Input::Bytes(stdin), timeout).await?;
        check_status(output, sudo)
    }

    /// Runs a script as root with data on its standard input.
    #[cfg_attr(feature = "fault-points", track_caller)]
    pub(crate) fn script_with_input(
        &self,
        script: &str,
        data: Vec<u8>,
        timeout: Duration,
    ) -> impl Future<Output = Result<String, Cause>> {
        around!(
            "script_with_input",
            self.run_with_input(script, Input::Bytes(data), timeout)
        )
    }

    /// Runs a script as root with data in pieces on its standard input.
    #[cfg_attr(feature = "fault-points", track_caller)]
    pub(crate) fn script_with_pieces(
        &self,
        script: &str,
        data: mpsc::Receiver<Vec<u8>>,
        timeout: Duration,
    ) -> impl Future<Output = Result<String, Cause>> {
        around!(
            "script_with_pieces",
            self.run_with_input(script, Input::Pieces(data), timeout)
        )
    }

    async fn run_with_input(&self, script: &str, data: Input, timeout: Duration) -> Result<String, Cause> {
        let sudo = self.sudo(timeout).await?;
        let script = quote(&format!("{PREAMBLE}{script}"));
        let command = format!("exec {sudo}sh -c {script} vcluster");
        let output = self.run(command, data, timeout).await?;
        check_status(output, sudo)
    }

    /// Runs a script as root until the receiver is dropped; its standard output arrives in pieces.
    pub(crate) async fn stream_output(
        &self,
        script: &str,
        timeout: Duration,
    ) -> Result<mpsc::Receiver<Vec<u8>>, Cause> {
        let sudo = self.sudo(timeout).await?;
        let command = on_stdin(sudo);
        let stdin = as_block(script).into_bytes();
        let (sender, receiver) = mpsc::channel(64);
        crash_point::point!("stream_output before");
        match &self.way {
            Way::Local => {
                let mut child = start_local(&command)?;
                let input = child.stdin.take();
                tokio::spawn(async move {
                    if let Some(mut input) = input {
                        let _ = input.write_all(&stdin).await;
                    }
                });
                tokio::spawn(forward_local(child, sender));
            }
            Way::Ssh(session) => {
                let request = ExecRequest {
                    command,
                    shell: CommandShell::Sh,
                    stdin,
                    ..ExecRequest::default()
                };
                let events = session.stream(&request).await?;
                tokio::spawn(forward(events, sender));
            }
        }
        crash_point::point!("stream_output after");
        Ok(receiver)
    }

    /// Runs a script as root whose standard input stays open until the sender is dropped or this process ends.
    /// Its standard output arrives in pieces; dropping the receiver ends it too.
    pub(crate) async fn stream_with_input(
        &self,
        script: &str,
        timeout: Duration,
    ) -> Result<(mpsc::Sender<Vec<u8>>, mpsc::Receiver<Vec<u8>>), Cause> {
        let sudo = self.sudo(timeout).await?;
        let script = quote(&format!("{PREAMBLE}{script}"));
        let command = format!("exec {sudo}sh -c {script} vcluster");
        let (input, mut typed) = mpsc::channel::<Vec<u8>>(4);
        let (sender, receiver) = mpsc::channel(4);
        match &self.way {
            Way::Local => {
                let mut child = start_local(&command)?;
                let input = child.stdin.take();
                tokio::spawn(async move {
                    let Some(mut input) = input else { return };
                    while let Some(bytes) = typed.recv().await {
                        if input.write_all(&bytes).await.is_err() {
                            break;
                        }
                    }
                });
                tokio::spawn(forward_local(child, sender));
            }
            Way::Ssh(session) => {
                let request = ExecRequest {
                    command,
                    shell: CommandShell::Sh,
                    ..ExecRequest::default()
                };
                let events = session.stream_with_input(&request, typed).await?;
                tokio::spawn(forward(events, sender));
            }
        }
        Ok((input, receiver))
    }

    /// Runs a script as the login user and returns its standard output.
    pub(crate) async fn as_user(&self, script: &str, timeout: Duration) -> Result<String, Cause> {
        let output = self.run(script.to_owned(), Input::default(), timeout).await?;
        check_status(output, "")
    }

    async fn sudo(&self, timeout: Duration) -> Result<&'static str, Cause> {
        self.sudo
            .get_or_try_init(|| async {
                // sudo is tried once with a harmless script, so that a refusal gets its own error.
                let script = "if [ \"$(id -u)\" = 0 ]; then echo root; elif sudo -n sh -c :; then echo sudo; else echo none; fi";
                let output = self.run(script.to_owned(), Input::default(), timeout).await?;
                let words = String::from_utf8_lossy(&output.stderr).into_owned();
                match output.stdout.trim_ascii() {
                    b"root" => Ok(""),
                    b"sudo" => Ok("sudo -n "),
                    b"none" => Err(Cause::NotRoot(words)),
                    _ => Err(Cause::script(output.code(), words)),
                }
            })
            .await
            .copied()
    }

    async fn run(&self, command: String, input: Input, timeout: Duration) -> Result<Output, Cause> {
        // The session's own deadline expires first and cleans up.
        let spare = timeout + SPARE;
        let run = async {
            match &self.way {
                Way::Local => run_local(&command, input).await,
                Way::Ssh(session) => {
                    let request = ExecRequest {
                        command,
                        shell: CommandShell::Sh,
                        timeout: Some(timeout),
                        limit: OUTPUT_LIMIT,
                        ..ExecRequest::default()
                    };
                    Ok(session.exec_with(&request, input).await?)
                }
            }
        };
        tokio::time::timeout(spare, run)
            .await
            .unwrap_or(Err(Cause::Timeout(timeout)))
    }
}

/// The command that runs a script from its standard input as root.
fn on_stdin(sudo: &str) -> String {
    format!("exec {sudo}sh -s -- \"$SSH_CONNECTION\" \"$PPID\"")
}

/// Makes the shell read the whole script before it runs any of it. `sh -s` runs what it has read so far, so a
/// connection that ends in the middle would make it run half a script, or half a word of its last line.
fn as_block(script: &str) -> String {
    format!("{PREAMBLE}{{\n{script}\n}}\n")
}

/// Like `forward`, for a local process; ends it when the receiver is dropped.
async fn forward_local(mut child: Child, sender: mpsc::Sender<Vec<u8>>) {
    let Some(mut output) = child.stdout.take() else {
        return;
    };
    let mut buffer = vec![0; 16 << 10];
    loop {
        let read = tokio::select! {
            read = output.read(&mut buffer) => read,
            () = sender.closed() => break,
        };
        match read {
            Ok(count @ 1..) if sender.send(buffer[..count].to_vec()).await.is_ok() => {}
            _ => break,
        }
    }
    let _ = child.kill().await;
}

/// Passes on a command's output until it ends or the receiver is dropped.
async fn forward(mut events: mpsc::Receiver<ExecEvent>, sender: mpsc::Sender<Vec<u8>>) {
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            () = sender.closed() => break,
        };
        match event {
            Some(ExecEvent::Stdout(bytes)) => {
                if sender.send(bytes).await.is_err() {
                    break;
                }
            }
            Some(ExecEvent::Stderr(_)) => {}
            _ => break,
        }
    }
}

fn start_local(command: &str) -> Result<tokio::process::Child, Cause> {
    tokio::process::Command::new("sh")
        .arg("-c")
        .arg(command)
        // The controller's own SSH login does not describe this machine as a host.
        .env_remove("SSH_CONNECTION")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| Cause::local("cannot run sh", &error))
}

async fn run_local(command: &str, data: Input) -> Result<Output, Cause> {
    let mut child = start_local(command)?;
    let mut input = child.stdin.take();
    let write_input = async move {
        // If a script ends before it has read all of its input, its status shows the failure.
        match (input.as_mut(), data) {
            (None, _) => {}
            (Some(input), Input::Bytes(bytes)) => {
                let _ = input.write_all(&bytes).await;
            }
            (Some(input), Input::Pieces(mut pieces)) => {
                while let Some(piece) = pieces.recv().await {
                    if input.write_all(&piece).await.is_err() {
                        break;
                    }
                }
            }
        }
        drop(input);
    };
    let (output, ()) = tokio::join!(child.wait_with_output(), write_input);
    let output = output.map_err(|error| Cause::local("cannot wait for sh", &error))?;
    Ok(Output {
        ended: output
            .status
            .code()
            .and_then(|code| u32::try_from(code).ok())
            .map(Ended::Exit),
        stdout: output.stdout,
        stderr: output.stderr,
        ..Output::default()
    })
}

fn check_status(output: Output, sudo: &str) -> Result<String, Cause> {
    if output.is_success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    // sudo may warn, for instance about a host name, and run the script all the same: then the script has words as well.
    let (of_sudo, own): (Vec<&str>, Vec<&str>) = words
        .lines()
        .filter(|line| !line.trim().is_empty())
        .partition(|line| !sudo.is_empty() && line.starts_with("sudo:"));
    let is_refusal = |line: &&str| !line.starts_with("sudo: unable to resolve host");
    if own.is_empty() && of_sudo.iter().any(is_refusal) {
        return Err(Cause::NotRoot(words));
    }
    let words = if of_sudo.is_empty() { words } else { own.join("\n") };
    if let Some(command) = words.trim_end().strip_prefix("vcluster-missing: ") {
        return Err(Cause::Missing(command.to_owned()));
    }
    Err(Cause::script(output.code(), words))
}

#[cfg(test)]
mod tests;
