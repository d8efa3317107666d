//! The disks of a node: an overlay and further disks, created by libvirt, and a seed, written together with those of
//! other nodes.

use async_trait::async_trait;
use virt::connect::Connect;
use virt::error::{Error, ErrorNumber};
use virt::storage_vol::StorageVol;

use super::artifact::HostImage;
use crate::base::crash_point;
use crate::base::units::MiB;
use crate::host::connect::{Host, Inner};
use crate::host::error::{Cause, HostError};
use crate::host::layout::{directory, disk_file, overlay_file, seed_file};
use crate::host::transport::libvirt::is;
use crate::host::xml;
use crate::inventory::ClusterRef;
use crate::plan::NodePlan;

/// The disks of nodes on a host.
#[async_trait]
pub trait Disks: Send + Sync {
    /// Creates the overlay (if the node has a disk), the further disks and the seed of a node, and replaces old ones:
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
        let disks = async {
            for volume in volumes(node, image) {
                let pool = cluster.pool_name();
                self.call(move |connection| make_volume(connection, &pool, &volume))
                    .await?;
            }
            Ok::<_, Cause>(())
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
        let (disks, seed) = tokio::join!(disks, seed);
        disks
            .and(seed)
            .map_err(self.failed(doing()))
            .map_err(|error| error.leaving(format!("files in {directory}")))?;
        Ok(true)
    }
}

/// A volume that libvirt creates.
struct Volume {
    name: String,
    xml: String,
}

/// The volumes of a node: its overlay, if it has a disk, and its further disks, which are empty.
fn volumes(node: &NodePlan, image: &HostImage) -> Vec<Volume> {
    let mut volumes = Vec::new();
    let base = image.disk.as_ref();
    let sizes = [base.map(|base| base.bytes), node.spec.disk.map(MiB::bytes)];
    if let Some(bytes) = sizes.into_iter().flatten().max() {
        let name = overlay_file(&node.name);
        let base = base.map(|base| (base.path.as_str(), base.format));
        let xml = xml::overlay_volume(&name, bytes, base);
        volumes.push(Volume { name, xml });
    }
    for (number, size) in (1..).zip(&node.spec.disks) {
        let name = disk_file(&node.name, number);
        let xml = xml::overlay_volume(&name, size.bytes(), None);
        volumes.push(Volume { name, xml });
    }
    volumes
}

/// Creates a volume; removes a leftover of an earlier attempt first.
fn make_volume(connection: &Connect, pool: &str, volume: &Volume) -> Result<(), Error> {
    let pool = connection.lookup_storage_pool_by_name(pool)?;
    crash_point::point!("volume create before");
    let created = StorageVol::create_xml(&pool, &volume.xml, 0);
    crash_point::point!("volume create after");
    match created {
        Ok(_) => return Ok(()),
        Err(error) if is(&error, ErrorNumber::StorageVolExist) => {}
        Err(error) => {
            // The file may exist without being in libvirt's list.
            pool.refresh(0)?;
            if pool.lookup_storage_vol_by_name(&volume.name).is_err() {
                return Err(error);
            }
        }
    }
    pool.lookup_storage_vol_by_name(&volume.name)?.delete(0)?;
    crash_point::point!("volume delete after");
    StorageVol::create_xml(&pool, &volume.xml, 0)?;
    Ok(())
}
