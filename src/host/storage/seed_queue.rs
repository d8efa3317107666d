//! Writes the seeds of nodes in batches.

use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::base::shell::quote;
use crate::host::error::Cause;
use crate::host::layout::OWNER_FILE;
use crate::host::transport::link::HostLink;

/// Seeds that wait to be written. One command costs about as much for ten files as for one, so seeds that
/// arrive while a command runs are batched into the next one.
#[derive(Default)]
pub(crate) struct SeedQueue {
    waiting: Mutex<Vec<Waiting>>,
    writing: tokio::sync::Mutex<()>,
}

struct Waiting {
    directory: String,
    name: String,
    bytes: Vec<u8>,
    done: oneshot::Sender<Result<(), Arc<Cause>>>,
}

impl SeedQueue {
    /// Writes a seed into a directory, together with others that arrive at the same time.
    pub(crate) async fn write(
        &self,
        link: &HostLink,
        allowed: Duration,
        directory: &str,
        name: String,
        bytes: Vec<u8>,
    ) -> Result<(), Cause> {
        let (done, mut result) = oneshot::channel();
        let queue = self;
        if let Ok(mut waiting) = queue.waiting.lock() {
            waiting.push(Waiting {
                directory: directory.to_owned(),
                name,
                bytes,
                done,
            });
        }
        // Lets tasks that are ready queue their seeds before the first command starts.
        tokio::task::yield_now().await;
        let _turn = queue.writing.lock().await;
        if let Ok(written) = result.try_recv() {
            return written.map_err(Cause::Shared);
        }
        let mut batch = match queue.waiting.lock() {
            Ok(mut waiting) => std::mem::take(&mut *waiting),
            Err(_) => return Err(Cause::Closed),
        };
        // One directory at a time; a host rarely creates nodes of two clusters at once.
        let directory = directory.to_owned();
        let rest = batch
            .extract_if(.., |seed| seed.directory != directory)
            .collect::<Vec<_>>();
        if let Ok(mut waiting) = queue.waiting.lock() {
            waiting.extend(rest);
        }
        let written = write_files(link, allowed, &directory, &batch).await;
        let written = written.map_err(Arc::new);
        for seed in batch {
            // The waiting task may have been cancelled.
            let _ = seed.done.send(written.clone());
        }
        written.map_err(Cause::Shared)
    }
}

async fn write_files(
    link: &HostLink,
    allowed: Duration,
    directory: &str,
    files: &[Waiting],
) -> Result<(), Cause> {
    let local = |error: std::io::Error| Cause::local("cannot pack the seeds", &error);
    let data = archive(files).map_err(local)?;
    // A seed contains the node's private host key. The rename makes it appear complete.
    let script = format!(
        "cd {directory} && [ -f {OWNER_FILE} ] && umask 077 && rm -rf .new && mkdir .new && tar -x -o -C .new && \
         mv -f .new/* . && rmdir .new",
        directory = quote(directory)
    );
    link.script_with_input(&script, data, allowed).await?;
    Ok(())
}

fn archive(files: &[Waiting]) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for file in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(file.bytes.len() as u64);
        header.set_mode(0o600);
        header.set_cksum();
        archive.append_data(&mut header, &file.name, file.bytes.as_slice())?;
    }
    let mut data = archive.into_inner()?;
    data.flush()?;
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_packed_with_their_names_and_readable_only_by_the_owner() {
        let (done, _result) = oneshot::channel();
        let file = Waiting {
            directory: "/d".into(),
            name: format!("{}.seed", "n".repeat(63)),
            bytes: vec![7; 700],
            done,
        };
        let data = archive(&[file]).unwrap();
        let mut archive = tar::Archive::new(data.as_slice());
        let entry = archive.entries().unwrap().next().unwrap().unwrap();
        assert_eq!(entry.header().mode().unwrap(), 0o600);
        assert_eq!(entry.size(), 700);
        assert_eq!(entry.path().unwrap().to_str().unwrap().len(), 68);
    }
}
