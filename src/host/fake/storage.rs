//! The pools, images and disks on a host in memory.

use std::collections::BTreeSet;

use async_trait::async_trait;
use uuid::Uuid;

use super::{FakeHost, object};
use crate::base::name::{ClusterName, NodeName};
use crate::host::error::HostError;
use crate::host::storage::artifact::{HostImage, ImagePart};
use crate::host::storage::disk::Disks;
use crate::host::storage::image::Images;
use crate::host::storage::pool::{PoolChange, Pools};
use crate::inventory::ClusterRef;
use crate::plan::NodePlan;

#[async_trait]
impl Pools for FakeHost {
    async fn ensure_pools(
        &self,
        cluster: &ClusterName,
        id: Uuid,
        _keep: &BTreeSet<&NodeName>,
    ) -> Result<PoolChange, HostError> {
        self.call("ensure_pools", |state| {
            let cluster = ClusterRef::new(cluster, id);
            state
                .contents
                .objects
                .insert(object("directory", &cluster.directory_name(), &cluster));
            PoolChange {
                changed: state
                    .contents
                    .objects
                    .insert(object("pool", &cluster.pool_name(), &cluster)),
                others: Vec::new(),
            }
        })
    }
}

#[async_trait]
impl Images for FakeHost {
    async fn ensure_image(
        &self,
        key: &str,
        cmdline: &str,
        _parts: &[ImagePart],
        _progress: &mut (dyn FnMut(u64, u64) + Send),
    ) -> Result<HostImage, HostError> {
        self.call("ensure_image", |_| HostImage {
            key: key.to_owned(),
            kernel: None,
            initrd: None,
            cmdline: cmdline.to_owned(),
            disk: None,
        })
    }
}

#[async_trait]
impl Disks for FakeHost {
    async fn ensure_disk(
        &self,
        _cluster: &ClusterRef,
        node: &NodePlan,
        _image: &HostImage,
        seed: Vec<u8>,
    ) -> Result<bool, HostError> {
        self.call("ensure_disk", |state| {
            state.seeds.insert(node.name.clone(), seed);
            true
        })
    }
}
