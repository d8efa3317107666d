//! The events of a run in its `events.jsonl`: JSON lines in the form of `--format json`, without output of nodes. A
//! command that resumes the run appends its own, with a header of their own.

use std::fs::File;
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Instant;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::base::crash_point;
use crate::base::event::Event;
use crate::base::json_line::{format, header};

/// The file.
pub(super) const FILE: &str = "events.jsonl";

/// The most bytes that a command writes; the rest is left out.
const LIMIT: u64 = 64 << 20;

/// The most events that are written at once.
const BATCH: usize = 256;

/// Writes events until it is ended.
pub(super) struct KeptEvents {
    end: oneshot::Sender<()>,
    writing: JoinHandle<io::Result<()>>,
}

impl KeptEvents {
    /// Begins to write the events of a receiver, those that it has already included.
    pub(super) fn begin(run: &Path, receiver: UnboundedReceiver<Event>) -> io::Result<Self> {
        crash_point::point!("events opened before");
        let mut lines = Lines::open(&run.join(FILE))?;
        crash_point::point!("events opened after");
        let (end, ended) = oneshot::channel();
        let writing = tokio::spawn(async move { write(&mut lines, receiver, ended).await });
        Ok(Self { end, writing })
    }

    /// Writes what has been sent so far. Later events are not in the file.
    pub(super) async fn end(self) -> io::Result<()> {
        // Its receiver is gone if writing has failed, which is reported below.
        let _ = self.end.send(());
        self.writing.await.map_err(io::Error::other)?
    }
}

async fn write(
    lines: &mut Lines,
    mut receiver: UnboundedReceiver<Event>,
    mut ended: oneshot::Receiver<()>,
) -> io::Result<()> {
    let mut batch = Vec::with_capacity(BATCH);
    let mut is_ending = false;
    loop {
        tokio::select! {
            biased;
            count = receiver.recv_many(&mut batch, BATCH) => {
                if count == 0 {
                    return Ok(());
                }
                lines.write(&batch)?;
                batch.clear();
            }
            _ = &mut ended, if !is_ending => {
                is_ending = true;
                receiver.close();
            }
        }
    }
}

/// The file and the numbers of its lines.
struct Lines {
    file: BufWriter<File>,
    began: Instant,
    seq: u64,
    bytes: u64,
}

impl Lines {
    /// Opens the file, and writes the header. A line that a killed command left without its end stays a line.
    fn open(path: &Path) -> io::Result<Self> {
        let mut options = File::options();
        let mut file = options
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)?;
        let mut torn = false;
        if file.metadata()?.len() > 0 {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            torn = last != *b"\n";
        }
        let mut file = BufWriter::new(file);
        if torn {
            file.write_all(b"\n")?;
        }
        file.write_all(header().as_bytes())?;
        file.flush()?;
        Ok(Self {
            file,
            began: Instant::now(),
            seq: 0,
            bytes: 0,
        })
    }

    fn write(&mut self, events: &[Event]) -> io::Result<()> {
        for event in events {
            if self.bytes > LIMIT {
                break;
            }
            self.line(event)?;
            if self.bytes > LIMIT {
                self.line(&Event::Warning {
                    text: "further events of this run are left out".into(),
                })?;
            }
        }
        self.file.flush()
    }

    fn line(&mut self, event: &Event) -> io::Result<()> {
        self.seq += 1;
        let line = format(self.seq, self.began.elapsed(), "event", event);
        self.bytes += line.len() as u64;
        self.file.write_all(line.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::base::event::{Events, Stream};

    fn lines(path: &Path) -> Vec<String> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[tokio::test]
    async fn events_are_numbered_lines_without_output_and_a_resumed_run_appends_its_own() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join(FILE);
        for round in 1..=2 {
            let (events, mut shown) = Events::channel();
            let (copied, receiver) = events.copied();
            copied.note("before");
            let kept = KeptEvents::begin(temp.path(), receiver).unwrap();
            copied.emit(Event::Output {
                node: "n1".parse().unwrap(),
                stream: Stream::Stdout,
                line: "x".into(),
            });
            copied.note("after");
            kept.end().await.unwrap();
            copied.note("too late");
            let mut all = 0;
            while shown.try_recv().is_ok() {
                all += 1;
            }
            assert_eq!(all, 4);
            let lines = lines(&path);
            assert_eq!(lines.len(), 3 * round + (round - 1));
            let last: Value = serde_json::from_str(&lines[lines.len() - 1]).unwrap();
            assert_eq!((&last["seq"], &last["text"]), (&2.into(), &"after".into()));
            let first: Value = serde_json::from_str(&lines[lines.len() - 3]).unwrap();
            assert_eq!(
                (&first["version"], &first["type"]),
                (&1.into(), &"vcluster".into())
            );
            // A kill in the middle of a line.
            let mut file = File::options().append(true).open(&path).unwrap();
            file.write_all(b"{\"seq\":3").unwrap();
        }
    }

    #[tokio::test]
    async fn events_without_end_are_cut_and_the_file_says_so() {
        let temp = tempfile::tempdir().unwrap();
        let mut lines = Lines::open(&temp.path().join(FILE)).unwrap();
        lines.bytes = LIMIT - 10;
        let note = Event::Note { text: "x".into() };
        lines.write(&[note.clone(), note.clone(), note]).unwrap();
        let text = std::fs::read_to_string(temp.path().join(FILE)).unwrap();
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(
            text.ends_with("\"text\":\"further events of this run are left out\"}\n"),
            "{text}"
        );
    }
}
