//! The disks of a node: an overlay made by libvirt, a seed written with those of its neighbours.

use std::io::Write as _;
use std::sync::Mutex;

use tokio::sync::oneshot;
use virt::error::{Error, ErrorNumber};
use virt::storage_vol::StorageVol;

use super::connect::Host;
use super::error::{Cause, HostError};
use super::image::HostImage;
use super::libvirt::is;
use super::pool;
use super::xml;
use crate::fault;
use crate::plan::{NodePlan, Plan};
use crate::ssh::quote;

/// Seeds that wait to be written. One command over the link costs about as much for ten files as for one,
/// so whoever comes while a command runs goes with the next one.
#[derive(Default)]
pub(super) struct SeedQueue {
    waiting: Mutex<Vec<Waiting>>,
    writing: tokio::sync::Mutex<()>,
}

struct Waiting {
    directory: String,
    name: String,
    bytes: Vec<u8>,
    done: oneshot::Sender<Result<(), String>>,
}

impl Host {
    /// Makes the overlay (where the node has a disk) and the seed of a node, anew if there are old ones:
    /// called only for a node that is not defined. Returns whether anything was made, which is always so.
    pub async fn ensure_disk(
        &self,
        plan: &Plan,
        node: &NodePlan,
        image: &HostImage,
        seed: Vec<u8>,
    ) -> Result<bool, HostError> {
        let short_id = Plan::short_id(plan.cluster_id);
        let directory = pool::directory(&plan.cluster, &short_id);
        let doing = || format!("make the disks of `{}`", node.name);
        let overlay = async {
            let bytes = match (&image.disk, node.spec.disk) {
                (Some(base), wanted) => base.bytes.max(wanted.map_or(0, crate::units::MiB::bytes)),
                (None, Some(wanted)) => wanted.bytes(),
                (None, None) => return Ok(()),
            };
            let name = format!("{}.qcow2", node.name);
            let base = image.disk.as_ref().map(|base| (base.path.as_str(), base.format));
            let volume = xml::overlay_volume(&name, bytes, base);
            let pool = Plan::pool_name(&plan.cluster, plan.cluster_id);
            self.call(move |connection| make_volume(connection, &pool, &name, &volume))
                .await
        };
        let seed = self.write_seed(&directory, format!("{}.seed", node.name), seed);
        let (overlay, seed) = tokio::join!(overlay, seed);
        overlay
            .and(seed)
            .map_err(self.failed(doing()))
            .map_err(|error| error.leaving(format!("files in {directory}")))?;
        Ok(true)
    }

    async fn write_seed(&self, directory: &str, name: String, bytes: Vec<u8>) -> Result<(), Cause> {
        let (done, mut result) = oneshot::channel();
        let queue = &self.inner.seeds;
        if let Ok(mut waiting) = queue.waiting.lock() {
            waiting.push(Waiting {
                directory: directory.to_owned(),
                name,
                bytes,
                done,
            });
        }
        // Tasks that are ready now get to queue theirs before the first command starts.
        tokio::task::yield_now().await;
        let _turn = queue.writing.lock().await;
        if let Ok(written) = result.try_recv() {
            return written.map_err(Cause::Other);
        }
        let mut batch = match queue.waiting.lock() {
            Ok(mut waiting) => std::mem::take(&mut *waiting),
            Err(_) => return Err(Cause::Closed),
        };
        // One directory at a time; a host seldom makes nodes of two clusters at once.
        let directory = directory.to_owned();
        let rest = batch
            .extract_if(.., |seed| seed.directory != directory)
            .collect::<Vec<_>>();
        if let Ok(mut waiting) = queue.waiting.lock() {
            waiting.extend(rest);
        }
        let written = self.write_files(&directory, &batch).await;
        let words = written.as_ref().err().map(ToString::to_string);
        for seed in batch {
            let told = words.clone().map_or(Ok(()), Err);
            // Whoever waited may have been cancelled.
            let _ = seed.done.send(told);
        }
        written
    }

    async fn write_files(&self, directory: &str, files: &[Waiting]) -> Result<(), Cause> {
        let local = |error: std::io::Error| Cause::local("cannot pack the seeds", &error);
        let data = archive(files).map_err(local)?;
        // A seed holds the node's private host key. The rename makes it appear whole.
        let script = format!(
            "cd {directory} && [ -f owner.json ] && umask 077 && rm -rf .new && mkdir .new && tar -x -o -C .new && \
             mv -f .new/* . && rmdir .new",
            directory = quote(directory)
        );
        self.inner
            .link
            .feed(&script, data, self.inner.options.call_timeout)
            .await?;
        Ok(())
    }
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

/// Makes a volume; one that is left of an earlier attempt goes first.
fn make_volume(
    connection: &virt::connect::Connect,
    pool: &str,
    name: &str,
    volume: &str,
) -> Result<(), Error> {
    let pool = connection.lookup_storage_pool_by_name(pool)?;
    fault::point!("volume create before");
    let created = StorageVol::create_xml(&pool, volume, 0);
    fault::point!("volume create after");
    match created {
        Ok(_) => return Ok(()),
        Err(error) if is(&error, ErrorNumber::StorageVolExist) => {}
        Err(error) => {
            // libvirt may not know the file although it is there.
            pool.refresh(0)?;
            if pool.lookup_storage_vol_by_name(name).is_err() {
                return Err(error);
            }
        }
    }
    pool.lookup_storage_vol_by_name(name)?.delete(0)?;
    fault::point!("volume delete after");
    StorageVol::create_xml(&pool, volume, 0)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_packed_with_their_names_and_for_nobody_else() {
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
