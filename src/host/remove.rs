//! Removing: a node, or all of a cluster. Whatever is gone already is no error; nothing without our mark is touched.

use futures::stream::{self, StreamExt as _};
use virt::error::ErrorNumber;

use super::connect::Host;
use super::domain::remove;
use super::error::{Cause, HostError, shown};
use super::image::sweep_script;
use super::libvirt::is;
use super::model::{ObservedNode, ObservedObject};
use super::pool::{BASE, HALF, ROOT};
use crate::fault;
use crate::name::ClusterName;
use crate::network::{self, is_short_id};

/// Domains that are stopped at once on one host.
const AT_ONCE: usize = 4;

/// What a removal did.
#[derive(Debug, Default)]
pub struct Removed {
    /// Domains removed.
    pub domains: usize,
    /// Other objects removed (pool, directory, links, tables).
    pub objects: usize,
    /// What could not be removed, with the reason.
    pub errors: Vec<HostError>,
    /// What is still there, as far as that is known; the audit ([`Host::leftovers`]) knows better.
    pub left: Vec<ObservedObject>,
}

impl Host {
    /// Removes a node with its files; returns whether there was anything of it.
    pub async fn remove_node(
        &self,
        cluster: &ClusterName,
        short_id: &str,
        node: &ObservedNode,
    ) -> Result<bool, HostError> {
        let doing = format!("remove `{}`", node.domain);
        let files = node_files_script(cluster, short_id, node.mark.node.as_str());
        let work = async {
            let domain = self.with_domain(node.uuid, cluster, short_id, remove).await?;
            // The files only once nothing has them open. What a kill leaves of them goes with the next `up` or `down`.
            let said = self.script(&files).await?;
            Ok(domain || said.trim() == "removed")
        };
        work.await
            .map_err(self.failed(doing))
            .map_err(|error| error.leaving(format!("the domain `{}` and its files", node.domain)))
    }

    /// Removes everything of a cluster from the host; goes on past errors.
    pub async fn remove_cluster(&self, cluster: &ClusterName, short_id: &str) -> Result<Removed, HostError> {
        let doing = format!("remove `{cluster}`");
        if !is_short_id(short_id) {
            let cause = Cause::Other(format!(
                "`{}` is not the short id of a cluster",
                short_id.escape_debug()
            ));
            return Err(self.failed(doing)(cause));
        }
        let mut removed = Removed::default();
        let domains = self
            .domains_of(cluster, short_id)
            .await
            .map_err(self.failed(&doing))?;
        let results: Vec<_> = stream::iter(domains)
            .map(|(uuid, name)| async move {
                let result = self.with_domain(uuid, cluster, short_id, remove).await;
                (name, result)
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        for (name, result) in results {
            match result {
                Ok(true) => removed.domains += 1,
                Ok(false) => {}
                Err(cause) => {
                    let error = self.failed(format!("remove `{name}`"))(cause);
                    removed.errors.push(error.leaving(format!("the domain `{name}`")));
                    removed.left.push(object("domain", &name, cluster, short_id));
                }
            }
        }
        // A directory in use by a domain that would not go must stay, so that the next attempt finds it.
        if removed.errors.is_empty() {
            self.remove_pool(cluster, short_id, &mut removed).await;
            self.remove_rest(cluster, short_id, &mut removed).await;
        }
        Ok(removed)
    }

    async fn domains_of(
        &self,
        cluster: &ClusterName,
        short_id: &str,
    ) -> Result<Vec<(uuid::Uuid, String)>, Cause> {
        let (cluster, short_id) = (cluster.clone(), short_id.to_owned());
        self.call(move |connection| {
            let prefix = format!("{cluster}.");
            let mut found = Vec::new();
            for domain in connection.list_all_domains(0)? {
                let name = domain.name()?;
                // The name costs no call, the mark does; a mark on another name is not believed anyway.
                if !name.starts_with(&prefix) {
                    continue;
                }
                let ours = super::observe::mark_of(&domain).is_some_and(|mark| {
                    mark.cluster == cluster && crate::plan::Plan::short_id(mark.cluster_id) == short_id
                });
                if ours {
                    found.push((domain.uuid()?, name));
                }
            }
            Ok(found)
        })
        .await
    }

    async fn remove_pool(&self, cluster: &ClusterName, short_id: &str, removed: &mut Removed) {
        let name = format!("vcluster.{cluster}.{short_id}");
        let pool = name.clone();
        let result = self
            .call(move |connection| {
                let pool = match connection.lookup_storage_pool_by_name(&pool) {
                    Ok(pool) => pool,
                    Err(error) if is(&error, ErrorNumber::NoStoragePool) => return Ok(false),
                    Err(error) => return Err(error),
                };
                fault::point!("pool destroy before");
                if pool.is_active()? {
                    pool.destroy()?;
                }
                fault::point!("pool destroy after");
                let undefined = pool.undefine();
                fault::point!("pool undefine after");
                match undefined {
                    // Another vcluster was faster, or it was never persistent.
                    Err(error) if !is(&error, ErrorNumber::NoStoragePool) => Err(error),
                    _ => Ok(true),
                }
            })
            .await;
        match result {
            Ok(was_there) => removed.objects += usize::from(was_there),
            Err(cause) => {
                removed.left.push(object("pool", &name, cluster, short_id));
                let error = self.failed(format!("remove the pool `{name}`"))(cause);
                removed.errors.push(error.leaving(format!("the pool `{name}`")));
            }
        }
    }

    async fn remove_rest(&self, cluster: &ClusterName, short_id: &str, removed: &mut Removed) {
        // The directory goes last. It says whose the rest is, as long as there is any rest: a link that was killed
        // before it got its alias has nothing else.
        let script = format!(
            "{}{}{}",
            network::removal_script(cluster, short_id),
            directory_script(cluster, short_id),
            sweep_script(),
        );
        match self.script(&format!("{script}exit 0\n")).await {
            Ok(said) => {
                for line in said.lines() {
                    let mut words = line.splitn(3, ' ');
                    let (Some(verb), Some(kind), Some(name)) = (words.next(), words.next(), words.next())
                    else {
                        continue;
                    };
                    if verb == "removed" {
                        removed.objects += 1;
                    } else if verb == "left" {
                        removed
                            .left
                            .push(object(&kind.replace('-', " "), &shown(name), cluster, short_id));
                        let cause = Cause::Other("it would not go".into());
                        removed
                            .errors
                            .push(self.failed(format!("remove {} `{}`", kind, shown(name)))(cause));
                    }
                }
            }
            Err(cause) => {
                let error = self.failed(format!("remove the files and links of `{cluster}`"))(cause);
                removed.errors.push(error.leaving("files and links"));
            }
        }
    }
}

fn object(kind: &str, name: &str, cluster: &ClusterName, short_id: &str) -> ObservedObject {
    ObservedObject {
        kind: kind.to_owned(),
        name: name.to_owned(),
        cluster: cluster.clone(),
        short_id: short_id.to_owned(),
    }
}

/// Defines `$d`, the cluster's directory, `ours`, which says whether it really is, and [`half`](HALF); for a cluster whose name is in
/// `$cluster` and whose short id is in `$short`.
pub(super) fn ours() -> String {
    format!(
        r#"d={ROOT}/$cluster.$short
ours() {{
  [ -d "$d" ] && [ ! -L "$d" ] && [ -f "$d/owner.json" ] && [ ! -L "$d/owner.json" ] || return 1
  case $(head -c 4096 "$d/owner.json") in "{{\"cluster\":\"$cluster\",\"id\":\"$short-"*) ;; *) return 1 ;; esac
}}
{HALF}"#
    )
}

/// As [`ours`] for one cluster. `short_id` was checked.
pub(super) fn enter(cluster: &ClusterName, short_id: &str) -> String {
    format!("cluster={cluster} short={short_id}\n{}", ours())
}

/// Removes the directory of a cluster, behind [`ours`]. The owner file goes last: after a half-done removal the
/// directory is still known as ours. Our root goes too when nothing else is in it, unless somebody makes a
/// directory in it right now.
pub(super) fn directory_removal() -> String {
    format!(
        r#"if ours; then
  if find "$d" -xdev -mindepth 1 -depth ! -path "$d/owner.json" -delete && rm -f "$d/owner.json" && rmdir "$d"
  then echo "removed directory ${{d##*/}}"; else echo "left directory ${{d##*/}}"; fi
  ( if flock -n 8; then rmdir {ROOT} 2>/dev/null || :; fi ) 8<{BASE}
elif half; then
  if rm -f "$d/owner.json" "$d/owner.json.new" && rmdir "$d"
  then echo "removed directory ${{d##*/}}"; else echo "left directory ${{d##*/}}"; fi
fi
"#
    )
}

fn node_files_script(cluster: &ClusterName, short_id: &str, node: &str) -> String {
    // The log daemon may have kept older logs as NODE.console.0 and so on.
    format!(
        "{}ours || exit 0\ncd \"$d\" || exit\nfor f in {node}.qcow2 {node}.seed {node}.console {node}.console.[0-9]; do\n\
         [ -e \"$f\" ] || continue\nrm -f -- \"$f\" && r=removed || exit 1\ndone\necho \"$r\"\n",
        enter(cluster, short_id)
    )
}

fn directory_script(cluster: &ClusterName, short_id: &str) -> String {
    format!("{}{}", enter(cluster, short_id), directory_removal())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn run(script: &str, root: &Path) -> String {
        let script = script.replace(BASE, root.to_str().unwrap());
        let output = std::process::Command::new("sh")
            .arg("-c")
            .arg(script)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn root(temp: &tempfile::TempDir) -> std::path::PathBuf {
        let root = temp.path().join("vcluster");
        std::fs::create_dir(&root).unwrap();
        root
    }

    fn fill(directory: &Path, id: &str) {
        std::fs::create_dir(directory).unwrap();
        for name in ["n1.seed", "n1.console", "n1.console.0", "n10.seed"] {
            std::fs::write(directory.join(name), "x").unwrap();
        }
        let owner = format!("{{\"cluster\":\"demo\",\"id\":\"{id}-0000-0000-0000-000000000000\"}}");
        std::fs::write(directory.join("owner.json"), owner).unwrap();
    }

    /// Runs a script as a host does that loses power before its command number `cut`; says whether it got so far.
    fn run_cut(script: &str, root: &Path, cut: usize) -> bool {
        let script = script.replace(BASE, root.to_str().unwrap());
        let power = format!("n=0; set -T; trap 'n=$((n+1)); [ $n -lt {cut} ] || kill -KILL $$' DEBUG\n");
        let output = std::process::Command::new("bash")
            .arg("-c")
            .arg(format!("{power}{script}"))
            .output()
            .unwrap();
        !output.status.success()
    }

    #[test]
    fn a_directory_whose_making_or_removal_lost_power_anywhere_is_still_ours_and_goes() {
        let cluster: ClusterName = "demo".parse().unwrap();
        let make = crate::host::pool::directory_script(
            &crate::host::pool::directory(&cluster, "0000000a"),
            &crate::host::pool::Owner {
                cluster: cluster.clone(),
                id: uuid::Uuid::from_u128(0xa << 96),
                controller: "c".into(),
            },
            &std::collections::BTreeSet::new(),
        );
        let remove = directory_script(&cluster, "0000000a");
        let mut cuts = 0;
        for cut in 1..300 {
            let root = tempfile::tempdir().unwrap();
            let ours = root.path().join("vcluster/demo.0000000a");
            let killed = run_cut(&make, root.path(), cut);
            run(&remove, root.path());
            assert!(!ours.exists(), "removed after its making was cut at {cut}");

            run_cut(&make, root.path(), cut);
            let said = run(&make, root.path());
            assert!(said == "made" || said == "ours", "cut at {cut}: {said}");
            std::fs::write(ours.join("n1.seed"), "x").unwrap();
            let killed_again = run_cut(&remove, root.path(), cut);
            let said = run(&make, root.path());
            assert!(said == "made" || said == "ours", "removal cut at {cut}: {said}");
            run_cut(&remove, root.path(), cut);
            run(&remove, root.path());
            assert!(!ours.exists(), "removed after its removal was cut at {cut}");
            cuts = cut;
            if !killed && !killed_again {
                break;
            }
        }
        assert!((11..299).contains(&cuts), "{cuts} cuts");
    }

    #[test]
    fn only_a_directory_with_our_owner_file_is_removed() {
        let temp = tempfile::tempdir().unwrap();
        let root = root(&temp);
        let cluster: ClusterName = "demo".parse().unwrap();
        let ours = root.join("demo.0000000a");
        let other = root.join("demo.0000000b");
        fill(&ours, "0000000a");
        fill(&other, "0000000c");
        assert_eq!(
            run(&directory_script(&cluster, "0000000a"), temp.path()),
            "removed directory demo.0000000a"
        );
        assert!(!ours.exists());
        assert_eq!(run(&directory_script(&cluster, "0000000a"), temp.path()), "");
        assert_eq!(run(&directory_script(&cluster, "0000000b"), temp.path()), "");
        assert!(other.join("n1.seed").exists());
    }

    #[test]
    fn a_link_that_leads_elsewhere_is_not_followed() {
        let temp = tempfile::tempdir().unwrap();
        let root = root(&temp);
        let cluster: ClusterName = "demo".parse().unwrap();
        let elsewhere = root.join("elsewhere");
        fill(&elsewhere, "0000000a");
        std::os::unix::fs::symlink(&elsewhere, root.join("demo.0000000a")).unwrap();
        assert_eq!(run(&directory_script(&cluster, "0000000a"), temp.path()), "");
        assert!(elsewhere.join("n1.seed").exists());
    }

    #[test]
    fn the_files_of_one_node_go_and_those_of_its_namesakes_stay() {
        let temp = tempfile::tempdir().unwrap();
        let root = root(&temp);
        let cluster: ClusterName = "demo".parse().unwrap();
        let ours = root.join("demo.0000000a");
        fill(&ours, "0000000a");
        assert_eq!(
            run(&node_files_script(&cluster, "0000000a", "n1"), temp.path()),
            "removed"
        );
        assert!(ours.join("n10.seed").exists() && ours.join("owner.json").exists());
        assert!(!ours.join("n1.console.0").exists());
        assert_eq!(
            run(&node_files_script(&cluster, "0000000a", "n1"), temp.path()),
            ""
        );
    }
}
