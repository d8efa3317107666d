//! Our pools: one for images and one per cluster, each with an owner file.

use std::collections::BTreeSet;

use async_trait::async_trait;
use uuid::Uuid;
use virt::connect::Connect;
use virt::error::{Error, ErrorNumber};
use virt::storage_pool::StoragePool;

use crate::base::crash_point;
use crate::base::name::{ClusterName, NodeName};
use crate::base::shell::with_variables;
use crate::host::connect::Host;
use crate::host::error::{Cause, HostError, shown};
use crate::host::layout::{
    DIRECTORY_FUNCTIONS, IMAGES_DIRECTORY, IMAGES_POOL, Owner, ROOT, controller, directory, others,
    owner_mark,
};
use crate::host::transport::libvirt::is;
use crate::host::xml;

/// Prints `made`, `ours` or `foreign`. A directory with files but without an owner file is not ours. Files of nodes not
/// in `keep` are removed: leftovers of a kill between the removal of a domain and of its files. Files that are not of any
/// node stay, and are named.
pub(crate) fn directory_script(path: &str, owner: &Owner, keep: &BTreeSet<&NodeName>) -> String {
    let mark = owner_mark(&owner.cluster_ref());
    let json = serde_json::to_string(owner).unwrap_or_default();
    let keep: Vec<&str> = keep.iter().map(|name| name.as_str()).collect();
    let keep = format!(" {} ", keep.join(" "));
    let variables = [
        ("images", IMAGES_DIRECTORY),
        ("root", ROOT),
        ("d", path),
        ("json", json.as_str()),
        ("mark", mark.as_str()),
        ("keep", keep.as_str()),
    ];
    DIRECTORY_FUNCTIONS.to_owned() + &with_variables(&variables, include_str!("pool.sh"))
}

/// The running pool, and whether anything was changed for that.
pub(crate) fn ensure(
    connection: &Connect,
    name: &str,
    directory: &str,
) -> Result<(StoragePool, bool), Error> {
    match connection.lookup_storage_pool_by_name(name) {
        Ok(pool) => {
            let started = start(&pool)?;
            Ok((pool, started))
        }
        Err(error) if is(&error, ErrorNumber::NoStoragePool) => {
            crash_point::point!(
                "pool {} define before",
                name.split('.').next().unwrap_or_default()
            );
            let defined = connection.define_storage_pool_xml(&xml::pool(name, directory), 0);
            crash_point::point!("pool {} define after", name.split('.').next().unwrap_or_default());
            let pool = match defined {
                Ok(pool) => pool,
                // Another controller was faster.
                Err(error) => connection.lookup_storage_pool_by_name(name).map_err(|_| error)?,
            };
            start(&pool)?;
            Ok((pool, true))
        }
        Err(error) => Err(error),
    }
}

fn start(pool: &StoragePool) -> Result<bool, Error> {
    if pool.is_active()? {
        return Ok(false);
    }
    let started = pool.create(0);
    crash_point::point!("pool start after");
    match started {
        Ok(()) => Ok(true),
        // Another controller was faster.
        Err(error) => match pool.is_active() {
            Ok(true) => Ok(false),
            _ => Err(error),
        },
    }
}

/// What was done to the pools of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolChange {
    /// Whether anything was created.
    pub changed: bool,
    /// Paths in the cluster's directory that vcluster did not create; they stay.
    pub others: Vec<String>,
}

/// The pools of clusters on a host.
#[async_trait]
pub trait Pools: Send + Sync {
    /// Creates the directories and pools of a cluster. Files of nodes not in `keep` are removed.
    async fn ensure_pools(
        &self,
        cluster: &ClusterName,
        id: Uuid,
        keep: &BTreeSet<&NodeName>,
    ) -> Result<PoolChange, HostError>;
}

#[async_trait]
impl Pools for Host {
    async fn ensure_pools(
        &self,
        cluster: &ClusterName,
        id: Uuid,
        keep: &BTreeSet<&NodeName>,
    ) -> Result<PoolChange, HostError> {
        let owner = Owner {
            cluster: cluster.clone(),
            id,
            controller: controller(),
        };
        let name = owner.cluster_ref().pool_name();
        let path = directory(&owner.cluster_ref());
        let doing = format!("create the pool `{name}`");
        let output = self
            .script(&directory_script(&path, &owner, keep))
            .await
            .map_err(self.failed(&doing))?;
        let verdict = output.lines().last().unwrap_or_default();
        let foreign = match verdict.strip_prefix("clash ") {
            Some(name) => Some(format!(
                "{path}/{} exists, and vcluster did not create it; move it elsewhere",
                shown(name)
            )),
            None if verdict == "foreign" => {
                Some(format!("{path} exists and does not belong to this cluster"))
            }
            None => None,
        };
        if let Some(why) = foreign {
            return Err(self.failed(doing)(Cause::Foreign(why)));
        }
        let others = others(&output, &path);
        let made = verdict == "made";
        let pool = name.clone();
        let changed = self
            .call(move |connection| {
                ensure(connection, IMAGES_POOL, IMAGES_DIRECTORY)?;
                Ok(ensure(connection, &pool, &path)?.1)
            })
            .await
            .map_err(self.failed(doing))
            .map_err(|error| error.leaving(format!("the pool `{name}`")))?;
        Ok(PoolChange {
            changed: changed || made,
            others,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::layout::BASE;

    fn owner() -> Owner {
        Owner {
            cluster: "demo".parse().unwrap(),
            id: Uuid::from_u128(2),
            controller: "it's".into(),
        }
    }

    #[test]
    fn the_owner_file_begins_with_the_mark_that_scripts_check() {
        let json = serde_json::to_string(&owner()).unwrap();
        assert!(json.starts_with(&owner_mark(&owner().cluster_ref())), "{json}");
        assert_eq!(owner().directory_name(), "demo.00000000");
    }

    #[test]
    fn a_foreign_directory_is_not_touched() {
        let root = tempfile::tempdir().unwrap();
        let node = "n001".parse().unwrap();
        let keep = BTreeSet::from([&node]);
        let run = |path: &std::path::Path| {
            // Not the real directory of images.
            let script = directory_script(path.to_str().unwrap(), &owner(), &keep)
                .replace(BASE, root.path().to_str().unwrap());
            let output = std::process::Command::new("sh")
                .arg("-c")
                .arg(script)
                .output()
                .unwrap();
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        let own = root.path().join("own");
        assert_eq!(run(&own), "made");
        assert_eq!(run(&own), "ours");
        assert_eq!(std::fs::read_to_string(own.join("nodes")).unwrap(), "n001\n");
        let foreign = root.path().join("foreign");
        std::fs::create_dir(&foreign).unwrap();
        assert_eq!(run(&foreign), "made", "an empty directory is taken");
        for file in [
            "n001.qcow2",
            "n001.console.0",
            "n002.seed",
            "n0011.seed",
            "lock",
            "claim.json",
            "n001-clone.qcow2",
            "n003.qcow2",
        ] {
            std::fs::write(own.join(file), "x").unwrap();
        }
        // An earlier plan had two more nodes.
        std::fs::write(own.join("nodes"), "n001 n002 n0011\n").unwrap();
        assert_eq!(run(&own), "other n001-clone.qcow2\nother n003.qcow2\nours");
        let mut names: Vec<_> = std::fs::read_dir(&own)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "claim.json",
                "lock",
                "n001-clone.qcow2",
                "n001.console.0",
                "n001.qcow2",
                "n003.qcow2",
                "nodes",
                "owner.json"
            ],
            "files of nodes that do not exist are removed, and those of others stay"
        );
        // A new node would replace a file that vcluster did not create.
        std::fs::write(own.join("nodes"), "n002\n").unwrap();
        let clash = run(&own);
        assert!(clash.ends_with("clash n001.console.0"), "{clash}");
        assert_eq!(std::fs::read_to_string(own.join("nodes")).unwrap(), "n002\n");
        let full = root.path().join("full");
        std::fs::create_dir(&full).unwrap();
        std::fs::write(full.join("x"), "x").unwrap();
        assert_eq!(run(&full), "foreign");
        std::fs::write(full.join("owner.json"), "{\"cluster\":\"other\"}").unwrap();
        assert_eq!(run(&full), "foreign");
    }
}
