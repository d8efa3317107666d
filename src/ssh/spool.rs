//! A stream for many readers: one thread copies it into an unlinked temporary file, and every reader gets all of it, at
//! its own pace. Takes memory that does not depend on the length of the stream.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

/// Bytes per piece.
const PIECE: usize = 32 << 10;

/// Pieces that wait for a reader.
const PIECES: usize = 2;

/// How far the copy may be ahead of the fastest reader, in bytes: an endless stream that no reader takes must not fill
/// the disk.
const AHEAD: u64 = 8 << 20;

/// The pause before a non-blocking stream without data is read again.
const PAUSE: Duration = Duration::from_millis(20);

/// Why a stream is not available to its readers.
#[derive(Debug)]
pub enum SpoolFailure {
    /// The stream could not be read.
    Source(io::Error),
    /// The copy could not be written or read.
    Copy {
        /// The directory of the copy.
        directory: PathBuf,
        /// The cause.
        cause: io::Error,
    },
}

/// A stream and the copy of it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Spool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Created with the first byte.
    file: OnceLock<File>,
    state: watch::Sender<State>,
    /// How many bytes the fastest reader has taken.
    taken: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    /// Bytes in the file.
    bytes: u64,
    end: End,
}

#[derive(Clone, Debug)]
enum End {
    Unknown,
    Complete,
    Failed(Arc<SpoolFailure>),
}

impl Spool {
    /// Starts to copy a stream. It is read on a thread of its own: a read cannot be cancelled, and the process must not
    /// wait for it at exit.
    pub fn of(source: impl Read + Send + 'static) -> Self {
        let shared = Arc::new(Shared {
            file: OnceLock::new(),
            state: watch::Sender::new(State {
                bytes: 0,
                end: End::Unknown,
            }),
            taken: watch::Sender::new(0),
        });
        let spool = Self(shared.clone());
        std::thread::spawn(move || {
            let end = match shared.copy(source) {
                Ok(()) => End::Complete,
                Err(failure) => End::Failed(Arc::new(failure)),
            };
            shared.end(end);
        });
        spool
    }

    /// The stream from its beginning, as it arrives. The end of the pieces is the end of the stream; after a failure
    /// they do not end, because a part of the stream must not look like all of it.
    pub fn pieces(&self) -> mpsc::Receiver<Vec<u8>> {
        let (sender, receiver) = mpsc::channel(PIECES);
        let shared = self.0.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = shared.send(&sender) => {}
                () = sender.closed() => {}
            }
        });
        receiver
    }

    /// Returns once the stream has failed, with the reason; never if it does not.
    pub async fn failed(&self) -> Arc<SpoolFailure> {
        let mut state = self.0.state.subscribe();
        let failed = state.wait_for(|state| matches!(state.end, End::Failed(_))).await;
        let failure = failed.ok().and_then(|state| match &state.end {
            End::Failed(failure) => Some(failure.clone()),
            _ => None,
        });
        match failure {
            Some(failure) => failure,
            None => std::future::pending().await,
        }
    }
}

impl Shared {
    fn copy(&self, mut source: impl Read) -> Result<(), SpoolFailure> {
        let mut taken = self.taken.subscribe();
        let mut buffer = vec![0; PIECE];
        let mut bytes = 0;
        loop {
            // It cannot fail: the sender is in `self`.
            let room = taken.wait_for(|taken| bytes < taken.saturating_add(AHEAD));
            let _ = futures::executor::block_on(room);
            let count = match source.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    std::thread::sleep(PAUSE);
                    continue;
                }
                Err(error) => return Err(SpoolFailure::Source(error)),
            };
            let written = self.file()?.write_all_at(&buffer[..count], bytes);
            written.map_err(copy_failure)?;
            bytes += count as u64;
            self.state.send_modify(|state| state.bytes = bytes);
        }
    }

    fn file(&self) -> Result<&File, SpoolFailure> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let file = tempfile::tempfile().map_err(copy_failure)?;
        Ok(self.file.get_or_init(|| file))
    }

    /// Sets the end, unless the stream has failed.
    fn end(&self, end: End) {
        self.state.send_modify(|state| {
            if !matches!(state.end, End::Failed(_)) {
                state.end = end;
            }
        });
    }

    /// Sends the stream to a reader, until its end or as long as there is a reader.
    async fn send(self: &Arc<Self>, reader: &mpsc::Sender<Vec<u8>>) {
        let mut state = self.state.subscribe();
        let mut at = 0;
        loop {
            let (bytes, end) = beyond(&mut state, at).await;
            let piece = match end {
                End::Failed(_) => None,
                _ if bytes == at => return,
                _ => self.piece(at, bytes).await,
            };
            let Some(piece) = piece else {
                return std::future::pending().await;
            };
            at += piece.len() as u64;
            if reader.send(piece).await.is_err() {
                return;
            }
            self.taken.send_if_modified(|taken| {
                let is_fastest = at > *taken;
                *taken = at.max(*taken);
                is_fastest
            });
        }
    }

    /// The bytes from `at`, at most a piece of the first `bytes` ones.
    async fn piece(self: &Arc<Self>, at: u64, bytes: u64) -> Option<Vec<u8>> {
        let length = usize::try_from(bytes - at).map_or(PIECE, |left| left.min(PIECE));
        let shared = self.clone();
        let read = tokio::task::spawn_blocking(move || -> Result<Vec<u8>, SpoolFailure> {
            let mut piece = vec![0; length];
            let read = shared.file()?.read_exact_at(&mut piece, at);
            read.map_err(copy_failure)?;
            Ok(piece)
        });
        match read.await.ok()? {
            Ok(piece) => Some(piece),
            Err(failure) => {
                self.end(End::Failed(Arc::new(failure)));
                None
            }
        }
    }
}

/// How many bytes there are, and the end: once there are more than `at`, or the end is known.
async fn beyond(state: &mut watch::Receiver<State>, at: u64) -> (u64, End) {
    let more = state.wait_for(|state| state.bytes > at || !matches!(state.end, End::Unknown));
    // It cannot fail: a reader holds the sender.
    more.await
        .map_or((at, End::Unknown), |state| (state.bytes, state.end.clone()))
}

fn copy_failure(cause: io::Error) -> SpoolFailure {
    SpoolFailure::Copy {
        directory: std::env::temp_dir(),
        cause,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write as _};

    use super::*;

    async fn all(mut pieces: mpsc::Receiver<Vec<u8>>) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(piece) = pieces.recv().await {
            all.extend(piece);
        }
        all
    }

    #[tokio::test]
    async fn every_reader_gets_all_bytes_even_one_that_begins_after_the_end() {
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
        let spool = Spool::of(Cursor::new(bytes.clone()));
        let early = [spool.pieces(), spool.pieces()].map(|pieces| tokio::spawn(all(pieces)));
        for reading in early {
            assert!(reading.await.unwrap() == bytes);
        }
        assert!(all(spool.pieces()).await == bytes);
    }

    #[tokio::test]
    async fn a_slow_writer_is_passed_on_as_it_writes_and_its_end_is_an_end() {
        let (source, mut writer) = io::pipe().unwrap();
        let spool = Spool::of(source);
        let mut pieces = spool.pieces();
        for word in [&b"one"[..], b"two"] {
            writer.write_all(word).unwrap();
            assert_eq!(pieces.recv().await.as_deref(), Some(word));
        }
        drop(writer);
        assert_eq!(pieces.recv().await, None);
    }

    #[tokio::test]
    async fn an_empty_stream_needs_no_file() {
        let spool = Spool::of(io::empty());
        assert_eq!(all(spool.pieces()).await, b"");
        assert!(spool.0.file.get().is_none());
    }

    #[tokio::test]
    async fn an_endless_stream_is_copied_only_a_little_ahead_of_the_fastest_reader() {
        let spool = Spool::of(io::repeat(b'y'));
        let copied = || spool.0.state.borrow().bytes;
        let far = spool
            .0
            .state
            .subscribe()
            .wait_for(|state| state.bytes >= AHEAD)
            .await
            .is_ok();
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(far && copied() < AHEAD + PIECE as u64, "{}", copied());

        let mut pieces = spool.pieces();
        let mut read = 0;
        while read < 2 * AHEAD {
            read += pieces.recv().await.unwrap().len() as u64;
        }
        drop(pieces);
        let further = spool
            .0
            .state
            .subscribe()
            .wait_for(|state| state.bytes > 2 * AHEAD)
            .await
            .is_ok();
        assert!(further);
    }

    /// A stream that breaks in the middle.
    struct Broken(bool);

    impl Read for Broken {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if std::mem::replace(&mut self.0, true) {
                return Err(io::Error::other("broken"));
            }
            buffer[..4].copy_from_slice(b"rm /");
            Ok(4)
        }
    }

    #[tokio::test]
    async fn half_a_stream_never_looks_like_all_of_it() {
        let spool = Spool::of(Broken(false));
        let mut pieces = spool.pieces();
        let failure = spool.failed().await;
        assert!(
            matches!(&*failure, SpoolFailure::Source(error) if error.to_string() == "broken"),
            "{failure:?}"
        );
        let ended = async { while pieces.recv().await.is_some() {} };
        assert!(
            tokio::time::timeout(Duration::from_millis(100), ended)
                .await
                .is_err()
        );
    }

    #[tokio::test]
    async fn a_reader_that_is_gone_ends_what_sends_to_it() {
        let spool = Spool::of(io::repeat(b'y'));
        let count = || Arc::strong_count(&spool.0);
        let before = count();
        drop(spool.pieces());
        while count() > before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
