//! Removes a node, or all of a cluster. Objects that are already gone are no error; objects without our mark are never
//! touched, and what others put into a cluster's directory stays.

use async_trait::async_trait;
use futures::stream::{self, StreamExt as _};
use virt::error::ErrorNumber;

use crate::base::crash_point;
use crate::base::shell::with_variables;
use crate::host::connect::Host;
use crate::host::error::{Cause, HostError, shown};
use crate::host::guest::domain::remove;
use crate::host::layout::{directory, enter, others, sweep_script};
use crate::host::transport::libvirt::is;
use crate::inventory::{ClusterRef, ObservedNode};
use crate::network;

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
    /// Paths in the cluster's directory that vcluster did not create. They are kept, with the directory and the pool.
    pub kept: Vec<String>,
    /// Interfaces that others connected to a bridge that is removed, `NAME from BRIDGE`.
    pub unplugged: Vec<String>,
}

/// The removal of what clusters have on a host.
#[async_trait]
pub trait Removal: Send + Sync {
    /// Removes a node with its files; returns whether anything was removed.
    async fn remove_node(&self, cluster: &ClusterRef, node: &ObservedNode) -> Result<bool, HostError>;

    /// Removes everything of a cluster from the host; continues after errors.
    async fn remove_cluster(&self, cluster: &ClusterRef) -> Result<Removed, HostError>;
}

#[async_trait]
impl Removal for Host {
    async fn remove_node(&self, cluster: &ClusterRef, node: &ObservedNode) -> Result<bool, HostError> {
        let doing = format!("remove `{}`", node.domain);
        let files = node_files_script(cluster, node.mark.node.as_str());
        let work = async {
            let domain = self.with_domain(node.uuid, cluster, remove).await?;
            // The files only once nothing has them open. After a kill, the next `up` or `down` removes the rest.
            let output = self.script(&files).await?;
            Ok(domain || output.trim() == "removed")
        };
        work.await
            .map_err(self.failed(doing))
            .map_err(|error| error.leaving(format!("the domain `{}` and its files", node.domain)))
    }

    async fn remove_cluster(&self, cluster: &ClusterRef) -> Result<Removed, HostError> {
        let doing = format!("remove `{}`", cluster.name);
        let mut removed = Removed::default();
        let domains = self.domains_of(cluster).await.map_err(self.failed(&doing))?;
        let results: Vec<_> = stream::iter(domains)
            .map(|(uuid, name)| async move {
                let result = self.with_domain(uuid, cluster, remove).await;
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
                }
            }
        }
        // If a domain could not be removed, its directory must stay, so that the next attempt finds it.
        if removed.errors.is_empty() {
            let links = network::removal_script(cluster) + &others_script(cluster);
            if !self.remove_by_script(cluster, &links, &mut removed).await {
                return Ok(removed);
            }
            // Others find their files through the pool.
            if std::mem::take(&mut removed.kept).is_empty() {
                self.remove_pool(cluster, &mut removed).await;
            }
            // The directory goes last: it identifies the owner of the rest. A link whose creation was killed before it
            // got its alias has no other mark.
            let files = directory_script(cluster) + &sweep_script();
            self.remove_by_script(cluster, &files, &mut removed).await;
        }
        Ok(removed)
    }
}

impl Host {
    async fn domains_of(&self, cluster: &ClusterRef) -> Result<Vec<(uuid::Uuid, String)>, Cause> {
        let cluster = cluster.clone();
        self.call(move |connection| {
            let prefix = format!("{}.", cluster.name);
            let mut found = Vec::new();
            for domain in connection.list_all_domains(0)? {
                let name = domain.name()?;
                // Reading the name takes no call, the mark does. A renamed domain is among the observed nodes, which are
                // removed before.
                if !name.starts_with(&prefix) {
                    continue;
                }
                let ours = crate::host::inspect::observe::mark_of(&domain)
                    .is_some_and(|mark| mark.cluster_ref() == cluster);
                if ours {
                    found.push((domain.uuid()?, name));
                }
            }
            Ok(found)
        })
        .await
    }

    async fn remove_pool(&self, cluster: &ClusterRef, removed: &mut Removed) {
        let name = cluster.pool_name();
        let pool = name.clone();
        let result = self
            .call(move |connection| {
                let pool = match connection.lookup_storage_pool_by_name(&pool) {
                    Ok(pool) => pool,
                    Err(error) if is(&error, ErrorNumber::NoStoragePool) => return Ok(false),
                    Err(error) => return Err(error),
                };
                crash_point::point!("pool destroy before");
                if pool.is_active()? {
                    pool.destroy()?;
                }
                crash_point::point!("pool destroy after");
                let undefined = pool.undefine();
                crash_point::point!("pool undefine after");
                match undefined {
                    // Another controller was faster, or it was never persistent.
                    Err(error) if !is(&error, ErrorNumber::NoStoragePool) => Err(error),
                    _ => Ok(true),
                }
            })
            .await;
        match result {
            Ok(was_there) => removed.objects += usize::from(was_there),
            Err(cause) => {
                let error = self.failed(format!("remove the pool `{name}`"))(cause);
                removed.errors.push(error.leaving(format!("the pool `{name}`")));
            }
        }
    }

    /// Runs a script that prints what it removed, left and kept; returns whether it ran.
    async fn remove_by_script(&self, cluster: &ClusterRef, script: &str, removed: &mut Removed) -> bool {
        let output = match self.script(&format!("{script}exit 0\n")).await {
            Ok(output) => output,
            Err(cause) => {
                let error = self.failed(format!("remove the files and links of `{}`", cluster.name))(cause);
                removed.errors.push(error.leaving("files and links"));
                return false;
            }
        };
        removed.kept.extend(others(&output, &directory(cluster)));
        let unplugged = output.lines().filter_map(|line| line.strip_prefix("unplugged "));
        removed.unplugged.extend(unplugged.map(shown));
        for line in output.lines().filter(|line| !line.starts_with("other ")) {
            let mut words = line.splitn(3, ' ');
            let (Some(verb), Some(kind), Some(name)) = (words.next(), words.next(), words.next()) else {
                continue;
            };
            if verb == "removed" {
                removed.objects += 1;
            } else if verb == "left" {
                let cause = Cause::Other("could not be removed".into());
                removed
                    .errors
                    .push(self.failed(format!("remove {} `{}`", kind, shown(name)))(cause));
            }
        }
        true
    }
}

fn node_files_script(cluster: &ClusterRef, node: &str) -> String {
    enter(cluster) + &with_variables(&[("node", node)], include_str!("node_files.sh"))
}

/// Prints what is in the cluster's directory that vcluster did not create.
fn others_script(cluster: &ClusterRef) -> String {
    enter(cluster) + "if ours; then others; fi\n"
}

fn directory_script(cluster: &ClusterRef) -> String {
    enter(cluster) + "remove_directory\n"
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::host::layout::BASE;

    fn demo(short_id: &str) -> ClusterRef {
        ClusterRef::of_directory(&format!("demo.{short_id}")).unwrap()
    }

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

    /// Runs a script as if the host lost power before command number `cut`; returns whether it got that far.
    fn run_cut(script: &str, root: &Path, cut: usize) -> bool {
        let script = script.replace(BASE, root.to_str().unwrap());
        let power =
            format!("ran=0; set -T; trap 'ran=$((ran+1)); [ $ran -lt {cut} ] || kill -KILL $$' DEBUG\n");
        let output = std::process::Command::new("bash")
            .arg("-c")
            .arg(format!("{power}{script}"))
            .output()
            .unwrap();
        !output.status.success()
    }

    #[test]
    fn a_directory_is_still_ours_and_removable_after_a_power_loss_anywhere() {
        let cluster = demo("0000000a");
        let node = "n1".parse().unwrap();
        let make = crate::host::storage::pool::directory_script(
            &crate::host::layout::directory(&cluster),
            &crate::host::layout::Owner {
                cluster: cluster.name.clone(),
                id: uuid::Uuid::from_u128(0xa << 96),
                controller: "c".into(),
            },
            &std::collections::BTreeSet::from([&node]),
        );
        let remove = directory_script(&cluster);
        let mut cuts = 0;
        for cut in 1..300 {
            let root = tempfile::tempdir().unwrap();
            let ours = root.path().join("vcluster/demo.0000000a");
            let killed = run_cut(&make, root.path(), cut);
            run(&remove, root.path());
            assert!(!ours.exists(), "removed after its creation was cut at {cut}");

            run_cut(&make, root.path(), cut);
            let output = run(&make, root.path());
            assert!(output == "made" || output == "ours", "cut at {cut}: {output}");
            std::fs::write(ours.join("n1.seed"), "x").unwrap();
            let killed_again = run_cut(&remove, root.path(), cut);
            let output = run(&make, root.path());
            assert!(
                output == "made" || output == "ours",
                "removal cut at {cut}: {output}"
            );
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
        let ours = root.join("demo.0000000a");
        let other = root.join("demo.0000000b");
        fill(&ours, "0000000a");
        fill(&other, "0000000c");
        assert_eq!(
            run(&directory_script(&demo("0000000a")), temp.path()),
            "removed directory demo.0000000a"
        );
        assert!(!ours.exists());
        assert_eq!(run(&directory_script(&demo("0000000a")), temp.path()), "");
        assert_eq!(run(&directory_script(&demo("0000000b")), temp.path()), "");
        assert!(other.join("n1.seed").exists());
    }

    #[test]
    fn what_others_put_into_a_directory_stays_and_is_named() {
        let temp = tempfile::tempdir().unwrap();
        let ours = root(&temp).join("demo.0000000a");
        fill(&ours, "0000000a");
        std::fs::write(ours.join("nodes"), "n1 n10\n").unwrap();
        for name in ["n1.disk1.qcow2", "n1.disk10.qcow2"] {
            std::fs::write(ours.join(name), "x").unwrap();
        }
        let others = [
            "n1-clone.qcow2",
            "n2.qcow2",
            "n1.snap1",
            "n1.disk17.qcow2",
            "n1.diskx.qcow2",
            ".hidden",
            "a b",
        ];
        for name in others {
            std::fs::write(ours.join(name), "x").unwrap();
        }
        std::fs::create_dir_all(ours.join("sub/dir")).unwrap();
        let output = run(&directory_script(&demo("0000000a")), temp.path());
        let mut lines: Vec<&str> = output.lines().collect();
        assert_eq!(lines.pop(), Some("kept directory demo.0000000a"));
        lines.sort_unstable();
        assert_eq!(
            lines,
            [
                "other .hidden",
                "other a b",
                "other n1-clone.qcow2",
                "other n1.disk17.qcow2",
                "other n1.diskx.qcow2",
                "other n1.snap1",
                "other n2.qcow2",
                "other sub"
            ]
        );
        let ours_too = [
            "n1.seed",
            "n1.console",
            "n1.console.0",
            "n10.seed",
            "n1.disk1.qcow2",
        ];
        for ours_too in ours_too {
            assert!(!ours.join(ours_too).exists(), "{ours_too}");
        }
        assert!(ours.join("n1-clone.qcow2").exists() && ours.join("sub/dir").exists());
        for other in others {
            std::fs::remove_file(ours.join(other)).unwrap();
        }
        std::fs::remove_dir_all(ours.join("sub")).unwrap();
        assert_eq!(
            run(&directory_script(&demo("0000000a")), temp.path()),
            "removed directory demo.0000000a"
        );
        assert!(!ours.exists());
    }

    #[test]
    fn a_symlink_is_not_followed() {
        let temp = tempfile::tempdir().unwrap();
        let root = root(&temp);
        let elsewhere = root.join("elsewhere");
        fill(&elsewhere, "0000000a");
        std::os::unix::fs::symlink(&elsewhere, root.join("demo.0000000a")).unwrap();
        assert_eq!(run(&directory_script(&demo("0000000a")), temp.path()), "");
        assert!(elsewhere.join("n1.seed").exists());
    }

    #[test]
    fn the_files_of_one_node_are_removed_and_those_of_similar_names_stay() {
        let temp = tempfile::tempdir().unwrap();
        let root = root(&temp);
        let ours = root.join("demo.0000000a");
        fill(&ours, "0000000a");
        for name in ["n1.disk1.qcow2", "n1.disk16.qcow2"] {
            std::fs::write(ours.join(name), "x").unwrap();
        }
        assert_eq!(
            run(&node_files_script(&demo("0000000a"), "n1"), temp.path()),
            "removed"
        );
        assert!(ours.join("n10.seed").exists() && ours.join("owner.json").exists());
        for further in ["n1.console.0", "n1.disk1.qcow2", "n1.disk16.qcow2"] {
            assert!(!ours.join(further).exists(), "{further}");
        }
        assert_eq!(run(&node_files_script(&demo("0000000a"), "n1"), temp.path()), "");
    }
}
