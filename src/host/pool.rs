//! Our pools: one for images, one for each cluster, with a file that says whose it is.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use virt::connect::Connect;
use virt::error::{Error, ErrorNumber};
use virt::storage_pool::StoragePool;

use super::connect::Host;
use super::error::{Cause, HostError};
use super::libvirt::is;
use super::xml;
use crate::fault;
use crate::name::{ClusterName, NodeName};
use crate::network::is_short_id;
use crate::plan::Plan;
use crate::ssh::quote;

/// Where libvirt keeps images by default: it is there before us, so it is what we lock, host-wide, for a moment.
pub(super) const BASE: &str = "/var/lib/libvirt/images";
/// Everything of ours is below this directory, which the security profiles of distributions let QEMU read.
pub(crate) const ROOT: &str = "/var/lib/libvirt/images/vcluster";
/// Directory of the images. No cluster's directory is called so: those hold a dot.
pub(super) const IMAGES_DIRECTORY: &str = "/var/lib/libvirt/images/vcluster/images";
/// Pool of the images.
pub(super) const IMAGES_POOL: &str = "vcluster-images";

/// What the file `owner.json` in a cluster's directory says. The order of the fields is part of its form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Owner {
    pub(super) cluster: ClusterName,
    pub(super) id: Uuid,
    pub(super) controller: String,
}

impl Owner {
    /// Name of the directory that such a file belongs into.
    pub(super) fn directory_name(&self) -> String {
        directory_name(&self.cluster, &Plan::short_id(self.id))
    }
}

pub(super) fn directory_name(cluster: &ClusterName, short_id: &str) -> String {
    format!("{cluster}.{short_id}")
}

/// Directory of a cluster.
pub(super) fn directory(cluster: &ClusterName, short_id: &str) -> String {
    format!("{ROOT}/{}", directory_name(cluster, short_id))
}

/// The beginning of our owner file, by which scripts know a directory as the cluster's.
pub(super) fn owner_mark(cluster: &ClusterName, short_id: &str) -> String {
    format!("{{\"cluster\":\"{cluster}\",\"id\":\"{short_id}-")
}

/// Reads the name of a cluster's pool back.
pub(super) fn read_pool_name(name: &str) -> Option<(ClusterName, String)> {
    let (cluster, short_id) = name.strip_prefix("vcluster.")?.split_once('.')?;
    is_short_id(short_id).then_some(())?;
    Some((cluster.parse().ok()?, short_id.to_owned()))
}

/// Reads the name of a cluster's directory back.
pub(super) fn read_directory_name(name: &str) -> Option<(ClusterName, String)> {
    read_pool_name(&format!("vcluster.{name}"))
}

/// A function for scripts: whether `$d` is a directory of ours that its making or its removal was killed in:
/// it holds nothing, or an owner file that says nothing yet. Nobody can lose anything with it.
pub(super) const HALF: &str = r#"half() { [ -d "$d" ] && [ ! -L "$d" ] && [ ! -s "$d/owner.json" ] &&
  [ -z "$(find "$d" -mindepth 1 ! -path "$d/owner.json" ! -path "$d/owner.json.new")" ]; }
"#;

/// Says `made`, `ours` or `foreign`. A directory with files but without an owner file is not ours. Files of nodes that
/// are not among those to keep go: a removal was killed between a domain and its files.
pub(super) fn directory_script(path: &str, owner: &Owner, keep: &BTreeSet<&NodeName>) -> String {
    let mark = owner_mark(&owner.cluster, &Plan::short_id(owner.id));
    let json = serde_json::to_string(owner).unwrap_or_default();
    let keep: Vec<&str> = keep.iter().map(|name| name.as_str()).collect();
    format!(
        r#"set -e
mkdir -p {IMAGES_DIRECTORY}; chmod 0711 {ROOT} {IMAGES_DIRECTORY}
d={path}; o="$d/owner.json"
{HALF}if [ -L "$d" ] || [ -L "$o" ]; then echo foreign
elif [ ! -e "$d" ] || half; then
  mkdir -p "$d"; chmod 0711 "$d"
  # On disk before it has its name: a host that loses power must not forget whose this is.
  printf '%s\n' {json} >"$o.new"; sync "$o.new"; mv "$o.new" "$o"; sync "$d"; echo made
elif [ -f "$o" ]; then
  case $(head -c 4096 "$o") in {mark}*) ;; *) echo foreign; exit ;; esac
  for f in "$d"/*.qcow2 "$d"/*.seed "$d"/*.console "$d"/*.console.[0-9]; do
    [ -f "$f" ] || continue
    n=${{f##*/}}
    case {keep} in *" ${{n%%.*}} "*) ;; *) rm -f -- "$f" ;; esac
  done
  echo ours
else echo foreign
fi
"#,
        path = quote(path),
        mark = quote(&mark),
        json = quote(&json),
        keep = quote(&format!(" {} ", keep.join(" "))),
    )
}

/// The pool, running; and whether anything was changed for that.
pub(super) fn ensure(
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
            fault::point!(
                "pool {} define before",
                name.split('.').next().unwrap_or_default()
            );
            let defined = connection.define_storage_pool_xml(&xml::pool(name, directory), 0);
            fault::point!("pool {} define after", name.split('.').next().unwrap_or_default());
            let pool = match defined {
                Ok(pool) => pool,
                // Another vcluster was faster.
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
    fault::point!("pool start after");
    match started {
        Ok(()) => Ok(true),
        // Another vcluster was faster.
        Err(error) => match pool.is_active() {
            Ok(true) => Ok(false),
            _ => Err(error),
        },
    }
}

impl Host {
    /// Makes the directories and pools of a cluster; returns whether anything was made. Files of nodes that are not
    /// among those to keep go.
    pub async fn ensure_pools(&self, plan: &Plan, keep: &BTreeSet<&NodeName>) -> Result<bool, HostError> {
        let name = Plan::pool_name(&plan.cluster, plan.cluster_id);
        let owner = Owner {
            cluster: plan.cluster.clone(),
            id: plan.cluster_id,
            controller: controller(),
        };
        let path = format!("{ROOT}/{}", owner.directory_name());
        let doing = format!("make the pool `{name}`");
        let said = self
            .script(&directory_script(&path, &owner, keep))
            .await
            .map_err(self.failed(&doing))?;
        if said.trim() == "foreign" {
            let cause = Cause::Foreign(format!("{path} exists and is not this cluster's"));
            return Err(self.failed(doing)(cause));
        }
        let pool = name.clone();
        let changed = self
            .call(move |connection| {
                ensure(connection, IMAGES_POOL, IMAGES_DIRECTORY)?;
                Ok(ensure(connection, &pool, &path)?.1)
            })
            .await
            .map_err(self.failed(doing))
            .map_err(|error| error.leaving(format!("the pool `{name}`")))?;
        Ok(changed || said.trim() == "made")
    }
}

/// The name of this machine, for people.
pub(crate) fn controller() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> Owner {
        Owner {
            cluster: "demo".parse().unwrap(),
            id: Uuid::from_u128(2),
            controller: "it's".into(),
        }
    }

    #[test]
    fn the_owner_file_begins_with_the_mark_that_scripts_look_for() {
        let json = serde_json::to_string(&owner()).unwrap();
        assert!(
            json.starts_with(&owner_mark(&owner().cluster, "00000000")),
            "{json}"
        );
        assert_eq!(owner().directory_name(), "demo.00000000");
    }

    #[test]
    fn only_names_of_our_form_are_pools_of_ours() {
        let name = Plan::pool_name(&owner().cluster, owner().id);
        assert_eq!(read_pool_name(&name), Some((owner().cluster, "00000000".into())));
        for other in [
            "vcluster-images",
            "default",
            "vcluster.demo",
            "vcluster.demo.xyz",
            "vcluster.a/b.00000000",
        ] {
            assert_eq!(read_pool_name(other), None, "{other}");
        }
    }

    #[test]
    fn a_directory_of_somebody_else_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let node = "n001".parse().unwrap();
        let keep = BTreeSet::from([&node]);
        let run = |path: &std::path::Path| {
            // Only the part that decides; the first lines make directories of the real host.
            let script = directory_script(path.to_str().unwrap(), &owner(), &keep);
            let script: String = script
                .lines()
                .filter(|line| !line.starts_with("mkdir -p /var"))
                .collect::<Vec<_>>()
                .join("\n");
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
        ] {
            std::fs::write(own.join(file), "x").unwrap();
        }
        assert_eq!(run(&own), "ours");
        let mut names: Vec<_> = std::fs::read_dir(&own)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort_unstable();
        assert_eq!(
            names,
            ["claim.json", "lock", "n001.console.0", "n001.qcow2", "owner.json"],
            "files of nodes that are not there go"
        );
        let full = root.path().join("full");
        std::fs::create_dir(&full).unwrap();
        std::fs::write(full.join("x"), "x").unwrap();
        assert_eq!(run(&full), "foreign");
        std::fs::write(full.join("owner.json"), "{\"cluster\":\"other\"}").unwrap();
        assert_eq!(run(&full), "foreign");
    }
}
