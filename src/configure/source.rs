//! What a file on a node is to contain: its size and digest, and where to read it. A file of this machine is read once
//! for its digest, whatever the number of nodes; a large one is read again for each node that needs it, in pieces.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::{OnceCell, mpsc};
use tokio::task::JoinHandle;

use crate::base::digest::{sha256, sha256_of};
use crate::ssh::pieces;
use crate::topology::{ConfigureAction, ConfigureStep};

/// The most bytes of content in one script. A larger content is sent alone, and only to nodes that do not have it.
pub(super) const INLINE: usize = 64 << 10;

/// What a file is to contain. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Content {
    /// Bytes.
    pub(super) size: u64,
    /// SHA-256 in hexadecimal.
    pub(super) digest: String,
    body: Body,
}

#[derive(Clone, Debug)]
enum Body {
    Bytes(Arc<[u8]>),
    File(Arc<Original>),
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self {
            size: bytes.len() as u64,
            digest: sha256(&bytes),
            body: Body::Bytes(bytes.into()),
        }
    }
}

impl Content {
    /// Its bytes, if they are few enough for a script.
    pub(super) fn inline(&self) -> Option<&[u8]> {
        match &self.body {
            Body::Bytes(bytes) if bytes.len() <= INLINE => Some(bytes),
            _ => None,
        }
    }

    /// Its bytes in pieces, and the task that reads them: an error there is one of the file on this machine.
    pub(super) fn pieces(&self) -> (mpsc::Receiver<Vec<u8>>, JoinHandle<io::Result<()>>) {
        match self.body.clone() {
            Body::Bytes(bytes) => pieces(move |piece, at| {
                let rest = bytes.get(at as usize..).unwrap_or_default();
                let count = rest.len().min(piece.len());
                piece[..count].copy_from_slice(&rest[..count]);
                Ok(count)
            }),
            Body::File(original) => pieces(move |piece, at| original.read_at(piece, at)),
        }
    }

    /// The file of this machine that it is read from while it is sent.
    pub(super) fn path(&self) -> Option<&Path> {
        match &self.body {
            Body::Bytes(_) => None,
            Body::File(original) => Some(&original.path),
        }
    }
}

/// A file as it was when its digest was computed. It stays open: a file that is replaced in the meantime is sent as it
/// was, and all nodes get the same.
#[derive(Debug)]
struct Original {
    path: PathBuf,
    file: File,
    stamp: Stamp,
}

/// What changes when a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    size: u64,
    modified: SystemTime,
}

impl Stamp {
    fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self {
            size: metadata.len(),
            modified: metadata.modified()?,
        })
    }
}

impl Original {
    fn open(path: &Path) -> io::Result<Self> {
        // Opening a named pipe would wait for a writer.
        if !fs::metadata(path)?.is_file() {
            return Err(io::Error::other("it is not a file"));
        }
        let file = File::open(path)?;
        Ok(Self {
            path: path.to_owned(),
            stamp: Stamp::of(&file)?,
            file,
        })
    }

    /// Reads up to its size. An error if it has changed, which is checked at both ends.
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        if at == 0 {
            self.check()?;
        }
        let left = self.stamp.size.saturating_sub(at);
        let room = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read_at(&mut buffer[..room], at)?;
        if read == 0 {
            self.check()?;
        }
        Ok(read)
    }

    fn check(&self) -> io::Result<()> {
        if Stamp::of(&self.file)? == self.stamp {
            Ok(())
        } else {
            Err(io::Error::other("it changed while it was being read"))
        }
    }
}

/// The files of this machine that steps copy.
#[derive(Debug)]
pub(super) struct Sources(HashMap<PathBuf, OnceCell<Result<Content, String>>>);

impl Sources {
    /// Those of these steps. Reads none yet.
    pub(super) fn of(steps: &[ConfigureStep]) -> Self {
        let files = steps.iter().filter_map(|step| match &step.action {
            ConfigureAction::File { source, .. } => Some((source.clone(), OnceCell::new())),
            _ => None,
        });
        Self(files.collect())
    }

    /// The content of a file, or why it cannot be read. The first call reads it, and the others wait for that.
    pub(super) async fn content(&self, path: &Path) -> Result<Content, String> {
        match self.0.get(path) {
            Some(known) => known.get_or_init(|| in_background(path)).await.clone(),
            None => in_background(path).await,
        }
    }
}

async fn in_background(path: &Path) -> Result<Content, String> {
    let path = path.to_owned();
    let reading = tokio::task::spawn_blocking(move || read(&path));
    match reading.await {
        Ok(content) => content.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// Reads a file once: the bytes of a small one are kept, of a large one only the digest.
fn read(path: &Path) -> io::Result<Content> {
    let original = Original::open(path)?;
    if original.stamp.size <= INLINE as u64 {
        // Some file systems report a size of 0 for a file that has content.
        let mut bytes = Vec::new();
        (&original.file).take(INLINE as u64 + 1).read_to_end(&mut bytes)?;
        original.check()?;
        if bytes.len() > INLINE {
            return Err(io::Error::other(
                "its size is not the one that its file system reports",
            ));
        }
        return Ok(bytes.into());
    }
    let mut at = 0;
    let digest = sha256_of(|piece| {
        let read = original.read_at(piece, at)?;
        at += read as u64;
        Ok(read)
    })?;
    Ok(Content {
        size: original.stamp.size,
        digest,
        body: Body::File(Arc::new(original)),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::time::Duration;

    use super::*;

    async fn all(content: &Content) -> (Vec<u8>, io::Result<()>) {
        let (mut pieces, reading) = content.pieces();
        let mut bytes = Vec::new();
        while let Some(piece) = pieces.recv().await {
            bytes.extend(piece);
        }
        (bytes, reading.await.unwrap())
    }

    #[tokio::test]
    async fn a_small_file_is_kept_and_a_large_one_is_read_again_in_pieces() {
        let temp = tempfile::tempdir().unwrap();
        for (size, inline) in [(0, true), (INLINE, true), (INLINE + 1, false), (1 << 20, false)] {
            let bytes: Vec<u8> = (0..size).map(|at| (at / 7) as u8).collect();
            let path = temp.path().join(size.to_string());
            fs::write(&path, &bytes).unwrap();
            let content = read(&path).unwrap();
            assert_eq!((content.size, &content.digest), (size as u64, &sha256(&bytes)));
            assert_eq!(content.inline().is_some(), inline, "{size}");
            let (read, end) = all(&content).await;
            assert!(read == bytes && end.is_ok(), "{size}: {end:?}");
        }
        let rendered = Content::from(vec![7_u8; INLINE + 1]);
        assert!(rendered.inline().is_none() && rendered.path().is_none());
        assert_eq!(all(&rendered).await.0, vec![7_u8; INLINE + 1]);
    }

    #[tokio::test]
    async fn a_file_that_changes_is_an_error_and_one_that_is_replaced_is_sent_as_it_was() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("source");
        fs::write(&path, vec![1_u8; 1 << 20]).unwrap();
        let content = read(&path).unwrap();
        fs::write(temp.path().join("new"), "new").unwrap();
        fs::rename(temp.path().join("new"), &path).unwrap();
        assert_eq!(all(&content).await.0, vec![1_u8; 1 << 20]);

        fs::write(&path, vec![1_u8; 1 << 20]).unwrap();
        let content = read(&path).unwrap();
        let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"more").unwrap();
        let (sent, end) = all(&content).await;
        assert_eq!(sent.len(), 0);
        assert_eq!(end.unwrap_err().to_string(), "it changed while it was being read");
        // The same size, another time.
        file.set_len(1 << 20).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(9))
            .unwrap();
        assert!(all(&content).await.1.is_err());
    }

    #[tokio::test]
    async fn a_source_is_read_once_for_all_nodes_and_what_is_no_file_is_an_error() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("source");
        fs::write(&path, "first").unwrap();
        let sources = Sources(HashMap::from([(path.clone(), OnceCell::new())]));
        let first = sources.content(&path).await.unwrap();
        fs::write(&path, "second").unwrap();
        assert_eq!(sources.content(&path).await.unwrap().digest, first.digest);
        let missing = sources.content(&temp.path().join("none")).await.unwrap_err();
        assert!(missing.contains("No such file"), "{missing}");
        let directory = sources.content(temp.path()).await.unwrap_err();
        assert_eq!(directory, "it is not a file");
    }
}
