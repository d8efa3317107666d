//! The disks of a node: an overlay created by libvirt, and a seed, written together with those of other nodes.

use async_trait::async_trait;
use virt::error::{Error, ErrorNumber};
use virt::storage_vol::StorageVol;

use super::artifact::HostImage;
use crate::base::crash_point;
use crate::host::connect::{Host, Inner};
use crate::host::error::HostError;
use crate::host::layout::{directory, overlay_file, seed_file};
use crate::host::transport::libvirt::is;
use crate::host::xml;
use crate::inventory::ClusterRef;
use crate::plan::NodePlan;

/// The disks of nodes on a host.
#[async_trait]
pub trait Disks: Send + Sync {
    /// Creates the overlay (if the node has a disk) and the seed of a node, and replaces old ones:
    /// called only for a node that is not defined. Returns whether anything was created, which is always true.
    async fn ensure_disk(
        &self,
        cluster: &ClusterRef,
        node: &NodePlan,
        image: &HostImage,
        seed: Vec<u8>,
    ) -> Result<bool, HostError>;
}

#[async_trait]
impl Disks for Host {
    async fn ensure_disk(
        &self,
        cluster: &ClusterRef,
        node: &NodePlan,
        image: &HostImage,
        seed: Vec<u8>,
    ) -> Result<bool, HostError> {
        let directory = directory(cluster);
        let doing = || format!("create the disks of `{}`", node.name);
        let overlay = async {
            let bytes = match (&image.disk, node.spec.disk) {
                (Some(base), wanted) => base.bytes.max(wanted.map_or(0, crate::base::units::MiB::bytes)),
                (None, Some(wanted)) => wanted.bytes(),
                (None, None) => return Ok(()),
            };
            let name = overlay_file(&node.name);
            let base = image.disk.as_ref().map(|base| (base.path.as_str(), base.format));
            let volume = xml::overlay_volume(&name, bytes, base);
            let pool = cluster.pool_name();
            self.call(move |connection| make_volume(connection, &pool, &name, &volume))
                .await
        };
        let seed = async {
            self.still_held()?;
            let Inner {
                seeds, link, options, ..
            } = &*self.inner;
            let name = seed_file(&node.name);
            seeds
                .write(link, options.call_timeout, &directory, name, seed)
                .await
        };
        let (overlay, seed) = tokio::join!(overlay, seed);
        overlay
            .and(seed)
            .map_err(self.failed(doing()))
            .map_err(|error| error.leaving(format!("files in {directory}")))?;
        Ok(true)
    }
}

/// Creates a volume; removes a leftover of an earlier attempt first.
fn make_volume(
    connection: &virt::connect::Connect,
    pool: &str,
    name: &str,
    volume: &str,
) -> Result<(), Error> {
    let pool = connection.lookup_storage_pool_by_name(pool)?;
    crash_point::point!("volume create before");
    let created = StorageVol::create_xml(&pool, volume, 0);
    crash_point::point!("volume create after");
    match created {
        Ok(_) => return Ok(()),
        Err(error) if is(&error, ErrorNumber::StorageVolExist) => {}
        Err(error) => {
            // The file may exist without being in libvirt's list.
            pool.refresh(0)?;
            if pool.lookup_storage_vol_by_name(name).is_err() {
                return Err(error);
            }
        }
    }
    pool.lookup_storage_vol_by_name(name)?.delete(0)?;
    crash_point::point!("volume delete after");
    StorageVol::create_xml(&pool, volume, 0)?;
    Ok(())
}
