//! Writes the lines of a recording on a thread of its own, so that a slow disk delays no request.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::json_lines::{self, Line};

/// Lines that wait to be written; further ones are dropped and counted.
const QUEUE: usize = 65_536;

/// Lines between two flushes.
const BATCH: usize = 1_024;

/// Where connections send their lines.
pub(super) struct Writer {
    lines: mpsc::Sender<Line>,
    dropped: AtomicU64,
}

impl Writer {
    /// Creates the file, which must not exist. The task ends when the writer is dropped, with the number of lines.
    pub(super) fn create(path: &Path) -> std::io::Result<(Self, JoinHandle<std::io::Result<u64>>)> {
        let file = File::create_new(path)?;
        let (sender, receiver) = mpsc::channel(QUEUE);
        let task = tokio::task::spawn_blocking(move || write(receiver, BufWriter::new(file)));
        let writer = Self {
            lines: sender,
            dropped: AtomicU64::new(0),
        };
        Ok((writer, task))
    }

    /// Sends a line to be written.
    pub(super) fn send(&self, line: Line) {
        // Full, or closed: then the file cannot be written, and the proxy ends for that reason.
        if self.lines.try_send(line).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many lines were not written.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

fn write(mut lines: mpsc::Receiver<Line>, mut out: impl Write) -> std::io::Result<u64> {
    let mut count = 0;
    let mut batch = Vec::with_capacity(BATCH);
    while lines.blocking_recv_many(&mut batch, BATCH) > 0 {
        for line in batch.drain(..) {
            out.write_all(json_lines::text(&line).as_bytes())?;
            count += 1;
        }
        // So that a recording can be read while it grows, and a kill loses little.
        out.flush()?;
    }
    Ok(count)
}
