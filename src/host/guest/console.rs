//! Consoles: the logs of all nodes of a host in one stream, the tail of one log, and a live console.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::mpsc;
use virt::stream::Stream;
use virt::sys;

use crate::base::name::NodeName;
use crate::base::shell::{quote, with_variables};
use crate::host::connect::{Connection, Host};
use crate::host::error::{Cause, HostError};
use crate::host::layout::{console_file, directory};
use crate::host::transport::forward::Forward;
use crate::host::transport::libvirt::Libvirt;
use crate::inventory::ClusterRef;

/// The longest line, in bytes; the rest of a longer line is dropped.
const LINE: usize = 4096;
/// The most lines of a console tail.
pub const CONSOLE_LINES: usize = 1000;
/// The most bytes of a console tail.
pub const CONSOLE_BYTES: usize = 64 << 10;

/// A line that a node wrote to its console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsoleLine {
    /// The node.
    pub node: NodeName,
    /// The line, without its end. Written by the guest: escape it before it is shown.
    pub line: String,
}

/// The console logs of the nodes on a host.
#[async_trait]
pub trait Consoles: Send + Sync {
    /// Follows the console logs of these nodes from their beginning, also logs that do not
    /// exist yet. Ends when the receiver is dropped or the connection is lost.
    ///
    /// One stream carries them all, so a guest can forge lines of another guest on its host: use them only as
    /// hints that are checked otherwise (a READY line leads to a login against a pinned host key).
    async fn watch_consoles(
        &self,
        cluster: &ClusterRef,
        nodes: Vec<NodeName>,
    ) -> Result<mpsc::Receiver<ConsoleLine>, HostError>;

    /// The last lines of a node's console log, within [`CONSOLE_LINES`] and [`CONSOLE_BYTES`]; empty if there is none.
    async fn console_tail(
        &self,
        cluster: &ClusterRef,
        node: &NodeName,
        lines: usize,
    ) -> Result<String, HostError>;

    /// A live console of a domain.
    async fn console(&self, domain: &str) -> Result<InteractiveConsole, HostError>;
}

#[async_trait]
impl Consoles for Host {
    async fn watch_consoles(
        &self,
        cluster: &ClusterRef,
        nodes: Vec<NodeName>,
    ) -> Result<mpsc::Receiver<ConsoleLine>, HostError> {
        let doing = "follow the consoles";
        let directory = directory(cluster);
        let (sender, receiver) = mpsc::channel(256);
        if nodes.is_empty() {
            return Ok(receiver);
        }
        let script = watch_script(&directory, &nodes);
        let mut pieces = self
            .inner
            .link
            .stream_output(&script, self.inner.options.call_timeout)
            .await
            .map_err(self.failed(doing))?;
        tokio::spawn(async move {
            let mut split = LineSplitter::new(&nodes);
            loop {
                let piece = tokio::select! {
                    piece = pieces.recv() => piece,
                    () = sender.closed() => break,
                };
                let Some(piece) = piece else { break };
                for line in split.feed(&piece) {
                    if sender.send(line).await.is_err() {
                        return;
                    }
                }
            }
        });
        Ok(receiver)
    }

    async fn console_tail(
        &self,
        cluster: &ClusterRef,
        node: &NodeName,
        lines: usize,
    ) -> Result<String, HostError> {
        let (directory, file) = (directory(cluster), console_file(node));
        let script = format!(
            "cd {} 2>/dev/null || exit 0; [ ! -f {file} ] || tail -n {} {file} | tail -c {CONSOLE_BYTES}",
            quote(&directory),
            lines.min(CONSOLE_LINES)
        );
        self.query(&script)
            .await
            .map_err(self.failed(format!("read the console of `{node}`")))
    }

    async fn console(&self, domain: &str) -> Result<InteractiveConsole, HostError> {
        let doing = format!("open the console of `{domain}`");
        self.open_console(domain.to_owned())
            .await
            .map_err(self.failed(doing))
    }
}

impl Host {
    /// A live console, on its own libvirt connection: only closing that ends a waiting read.
    async fn open_console(&self, name: String) -> Result<InteractiveConsole, Cause> {
        let options = self.inner.options;
        let far = match self.session() {
            Some(session) => crate::host::transport::forward::FarEnd::Ssh(session),
            None => crate::host::transport::forward::FarEnd::Local,
        };
        let forward = Arc::new(Forward::open(far, self.inner.socket.as_deref()).await?);
        let libvirt = Libvirt::open(forward.clone(), options.timeout, options.call_timeout).await?;
        let stream = libvirt
            .call(move |connection| {
                let domain = connection.lookup_domain_by_name(&name)?;
                let stream = Stream::new(connection, 0)?;
                domain.open_console(None, &stream, sys::VIR_DOMAIN_CONSOLE_FORCE)?;
                Ok(Arc::new(stream))
            })
            .await?;
        let (near, far) = tokio::io::duplex(16 << 10);
        let (mut from_user, mut to_user) = tokio::io::split(far);
        let (reader, writer) = (stream.clone(), stream);
        let (sender, mut receiver) = mpsc::channel::<Vec<u8>>(16);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // Zero is the end, and so is an error: the guest or the connection is gone.
            while let Ok(count @ 1..) = reader.recv(&mut buffer) {
                let count = usize::try_from(count).unwrap_or(0);
                if sender.blocking_send(buffer[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        tokio::spawn(async move {
            while let Some(bytes) = receiver.recv().await {
                if to_user.write_all(&bytes).await.is_err() {
                    break;
                }
            }
            let _ = to_user.shutdown().await;
        });
        let (keys, typed) = std::sync::mpsc::channel::<Vec<u8>>();
        tokio::spawn(async move {
            let mut buffer = [0; 1024];
            while let Ok(count @ 1..) = from_user.read(&mut buffer).await {
                if keys.send(buffer[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        std::thread::spawn(move || {
            for bytes in typed {
                let mut rest = bytes.as_slice();
                while !rest.is_empty() {
                    match writer.send(rest) {
                        Ok(count @ 1..) => {
                            rest = &rest[usize::try_from(count).unwrap_or(0).min(rest.len())..];
                        }
                        _ => return,
                    }
                }
            }
        });
        Ok(InteractiveConsole {
            stream: near,
            forward,
            _libvirt: libvirt,
        })
    }
}

/// A live console of a node: writing to it types there.
pub struct InteractiveConsole {
    /// Both directions. The end of reading is the end of the guest or of the connection.
    pub stream: DuplexStream,
    forward: Arc<Forward>,
    _libvirt: Libvirt,
}

impl InteractiveConsole {
    /// Leaves the console.
    pub fn close(self) {
        self.forward.close();
    }
}

impl std::fmt::Debug for InteractiveConsole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InteractiveConsole")
    }
}

/// One `tail` for all logs. It polls three times a second instead of using inotify: QEMU writes the log byte by
/// byte, and every byte would become a packet. It ends with the connection (`$2` is sshd's process for it).
fn watch_script(directory: &str, nodes: &[NodeName]) -> String {
    let files: Vec<String> = nodes.iter().map(console_file).collect();
    let files = files.join(" ");
    let variables = [("directory", directory), ("files", files.as_str())];
    with_variables(&variables, include_str!("console.sh"))
}

/// Splits the output of a `tail` of many files: a line `==> NAME <==` names the file of the bytes that follow.
pub(crate) struct LineSplitter {
    headers: HashMap<Vec<u8>, Option<usize>>,
    nodes: Vec<NodeName>,
    /// The unfinished line of each node: a header may come in the middle of a line.
    partial: Vec<Vec<u8>>,
    current: Option<usize>,
    /// A line that has ended. `tail` puts a newline before each header, so only the following bytes show
    /// whether the node ended the line or a header cut it.
    held: Option<Vec<u8>>,
    /// The line being read, which may still turn out to be a header.
    line: Vec<u8>,
}

impl LineSplitter {
    pub(crate) fn new(nodes: &[NodeName]) -> Self {
        let header = |name: &str| format!("==> {name} <==").into_bytes();
        let mut headers = HashMap::from([(header("/dev/null"), None)]);
        for (at, node) in nodes.iter().enumerate() {
            headers.insert(header(&console_file(node)), Some(at));
        }
        Self {
            headers,
            nodes: nodes.to_vec(),
            partial: vec![Vec::new(); nodes.len()],
            current: None,
            held: None,
            line: Vec::new(),
        }
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Vec<ConsoleLine> {
        let mut lines = Vec::new();
        for byte in bytes {
            if *byte != b'\n' {
                if self.line.len() < LINE {
                    self.line.push(*byte);
                }
                continue;
            }
            let line = std::mem::take(&mut self.line);
            if let Some(at) = self.headers.get(&line) {
                if let (Some(cut), Some(current)) = (self.held.take(), self.current) {
                    let partial = &mut self.partial[current];
                    let room = LINE.saturating_sub(partial.len()).min(cut.len());
                    partial.extend_from_slice(&cut[..room]);
                }
                self.current = *at;
            } else {
                self.finish_held(&mut lines);
                self.held = Some(line);
            }
        }
        // `tail` writes its newline and the header at once: if no header has started, none follows.
        if !(b"==> ".starts_with(&self.line) && !self.line.is_empty() || self.line.starts_with(b"==> ")) {
            self.finish_held(&mut lines);
        }
        lines
    }

    fn finish_held(&mut self, lines: &mut Vec<ConsoleLine>) {
        let (Some(line), Some(current)) = (self.held.take(), self.current) else {
            return;
        };
        let mut whole = std::mem::take(&mut self.partial[current]);
        whole.extend(line);
        whole.truncate(LINE);
        // Serial lines end with CR LF.
        let text = String::from_utf8_lossy(&whole);
        let text = text.trim_end_matches('\r');
        if !text.is_empty() {
            lines.push(ConsoleLine {
                node: self.nodes[current].clone(),
                line: text.to_owned(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes() -> Vec<NodeName> {
        ["n1", "n2"].map(|name| name.parse().unwrap()).to_vec()
    }

    fn lines(pieces: &[&str]) -> Vec<String> {
        let mut split = LineSplitter::new(&nodes());
        let lines = pieces.iter().flat_map(|piece| split.feed(piece.as_bytes()));
        lines
            .map(|line| format!("{}: {}", line.node, line.line))
            .collect()
    }

    #[test]
    fn lines_are_assigned_to_the_file_they_come_from() {
        let text = "==> n1.console <==\none\r\ntwo\r\n\n==> n2.console <==\nthree\r\n";
        assert_eq!(lines(&[text]), ["n1: one", "n1: two", "n2: three"]);
    }

    #[test]
    fn a_line_that_a_header_cuts_is_put_together_again() {
        let pieces = [
            "==> n1.console <==\nVCLUSTER-RE",
            "\n==> n2.console <==\nx\n\n==> n1.con",
            "sole <==\nADY id\n",
        ];
        assert_eq!(lines(&pieces), ["n2: x", "n1: VCLUSTER-READY id"]);
    }

    #[test]
    fn a_finished_line_is_not_held_back() {
        assert_eq!(lines(&["==> n1.console <==\n", "READY\r\n"]), ["n1: READY"]);
        assert_eq!(lines(&["no header yet\n"]), Vec::<String>::new());
    }

    #[test]
    fn an_endless_line_is_cut() {
        let long = format!("==> n1.console <==\n{}\n", "x".repeat(1 << 20));
        let all = lines(&[&long]);
        assert!(all.len() == 1 && all[0].len() <= LINE + 4);
    }

    #[test]
    fn a_line_that_headers_cut_without_end_takes_bounded_memory() {
        let mut split = LineSplitter::new(&nodes());
        for _ in 0..1_000 {
            let text = "x".repeat(LINE);
            let piece = format!("\n==> n1.console <==\n{text}\n==> n2.console <==\n");
            assert_eq!(split.feed(piece.as_bytes()), Vec::new());
        }
        assert!(!split.partial[0].is_empty());
        assert!(split.partial[0].len() <= LINE, "{}", split.partial[0].len());
    }

    #[tokio::test]
    async fn logs_that_appear_later_are_followed_too() {
        let directory = tempfile::tempdir().unwrap();
        let script = watch_script(directory.path().to_str().unwrap(), &nodes());
        let link = crate::host::transport::link::HostLink::local();
        let mut pieces = link
            .stream_output(&script, std::time::Duration::from_secs(5))
            .await
            .unwrap();
        // The header of /dev/null: `tail` runs and has found no logs yet.
        assert!(pieces.recv().await.is_some());
        std::fs::write(directory.path().join("n2.console"), "hello\n").unwrap();
        let mut split = LineSplitter::new(&nodes());
        let found = tokio::time::timeout(std::time::Duration::from_secs(10), async {
            loop {
                let piece = pieces.recv().await.unwrap();
                if let Some(line) = split.feed(&piece).pop() {
                    break line;
                }
            }
        });
        let hello = found.await.unwrap();
        assert_eq!((hello.node.as_str(), hello.line.as_str()), ("n2", "hello"));
    }
}
