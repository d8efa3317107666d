//! Every path and owner mark of vcluster on a host, and the script fragments that use them. The names of a cluster's
//! objects are in `inventory::id`, those of its network in `network`. The scripts in `*.sh` get their directories from
//! here, but spell out the files in them.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::base::name::{ClusterName, NodeName};
use crate::base::shell::with_variables;
use crate::host::error::shown;
use crate::image::Role;
use crate::inventory::ClusterRef;

/// libvirt's default image directory. It always exists, so it also serves as the brief host-wide lock.
pub(super) const BASE: &str = "/var/lib/libvirt/images";
/// Everything of ours is below this directory, which QEMU may read under the security profiles of distributions.
pub(crate) const ROOT: &str = "/var/lib/libvirt/images/vcluster";
/// Directory of the images. No cluster's directory has this name: those contain a dot.
pub(super) const IMAGES_DIRECTORY: &str = "/var/lib/libvirt/images/vcluster/images";
/// Pool of the images.
pub(super) const IMAGES_POOL: &str = "vcluster-images";
/// The result of the last KVM check.
pub(super) const KVM_RESULT: &str = "/var/lib/libvirt/images/vcluster/images/kvm.json";
/// The reaper, a script.
pub(crate) const REAPER: &str = "/usr/local/sbin/vcluster-reaper";
/// Directory of the reaper's systemd units.
pub(super) const REAPER_UNITS: &str = "/etc/systemd/system";
/// The file in a cluster's directory with its [`Owner`].
pub(super) const OWNER_FILE: &str = "owner.json";
/// The file in a cluster's directory with its claim.
pub(super) const CLAIM_FILE: &str = "claim.json";

/// Files of others that are named at most.
const NAMED: usize = 20;

/// The content of [`OWNER_FILE`]. The order of the fields is part of the format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Owner {
    pub(super) cluster: ClusterName,
    pub(super) id: Uuid,
    pub(super) controller: String,
}

impl Owner {
    /// The cluster.
    pub(super) fn cluster_ref(&self) -> ClusterRef {
        ClusterRef::new(&self.cluster, self.id)
    }

    /// Name of the directory that such a file belongs in.
    pub(super) fn directory_name(&self) -> String {
        self.cluster_ref().directory_name()
    }
}

/// Directory of a cluster.
pub(super) fn directory(cluster: &ClusterRef) -> String {
    format!("{ROOT}/{}", cluster.directory_name())
}

/// A node's overlay, in the directory and the pool of its cluster.
pub(super) fn overlay_file(node: &NodeName) -> String {
    format!("{node}.qcow2")
}

/// A further disk of a node, numbered from 1, in the directory and the pool of its cluster.
pub(super) fn disk_file(node: &NodeName, number: usize) -> String {
    format!("{node}.{}.qcow2", disk_serial(number))
}

/// The serial number by which a node finds a further disk.
pub(super) fn disk_serial(number: usize) -> String {
    format!("disk{number}")
}

/// A node's seed, in the directory of its cluster.
pub(super) fn seed_file(node: &NodeName) -> String {
    format!("{node}.seed")
}

/// The log of a node's console, in the directory of its cluster. The log daemon of libvirt may keep older logs as
/// `NODE.console.0` and so on.
pub(super) fn console_file(node: &NodeName) -> String {
    format!("{node}.console")
}

/// A file of an image, in [`IMAGES_DIRECTORY`].
pub(super) fn image_file(sha256: &str, role: Role) -> String {
    format!("{sha256}.{}", role.as_str())
}

/// The file that an upload writes to until it is complete, in [`IMAGES_DIRECTORY`]. `sha256` is a digest in hex.
pub(super) fn upload_file(sha256: &str, upload: Uuid) -> String {
    format!("{}.{}.part", &sha256[..16], upload.simple())
}

/// The beginning of our owner file, by which scripts recognise the cluster's directory.
pub(super) fn owner_mark(cluster: &ClusterRef) -> String {
    format!(
        "{{\"cluster\":\"{}\",\"id\":\"{}-",
        cluster.name, cluster.short_id
    )
}

/// Functions for scripts about `$d`, the directory of the cluster with the name `$cluster` and the short id `$short`:
/// `ours` checks that it is ours, `half` checks that it is what a kill during its creation or removal leaves, and
/// `remove_directory` removes it, and with it our `$root` in `$base` if that is empty.
pub(super) const DIRECTORY_FUNCTIONS: &str = include_str!("layout/directory.sh");

/// [`DIRECTORY_FUNCTIONS`] for one cluster, with their variables.
pub(super) fn enter(cluster: &ClusterRef) -> String {
    let directory = directory(cluster);
    let variables = [
        ("base", BASE),
        ("root", ROOT),
        ("cluster", cluster.name.as_str()),
        ("short", cluster.short_id.as_str()),
        ("d", directory.as_str()),
    ];
    with_variables(&variables, DIRECTORY_FUNCTIONS)
}

/// What the function `others` printed about a directory: the paths of what vcluster did not create there. Of many, some
/// are named, and the rest is counted.
pub(super) fn others(output: &str, directory: &str) -> Vec<String> {
    let names: Vec<&str> = output
        .lines()
        .filter_map(|line| line.strip_prefix("other "))
        .collect();
    let mut paths: Vec<String> = names
        .iter()
        .take(NAMED)
        .map(|name| format!("{directory}/{}", shown(name)))
        .collect();
    if names.len() > NAMED {
        paths.push(format!("{} more files in {directory}", names.len() - NAMED));
    }
    paths
}

/// Defines `token`, the digest of all claims, and `$root`, our root.
pub(super) fn token() -> String {
    with_variables(&[("root", ROOT)], include_str!("layout/token.sh"))
}

/// Removes leftovers of interrupted uploads, for example after a power loss. An upload holds a lock on its file while
/// any of its processes lives, so a running upload is not touched. Only names as of [`upload_file`] count: others may keep
/// files in the pool.
pub(super) fn sweep_script() -> String {
    let (digest, id) = ("?".repeat(16), "?".repeat(32));
    format!(
        "if cd {IMAGES_DIRECTORY} 2>/dev/null && command -v flock >/dev/null; then\n\
         for p in {digest}.{id}.part; do case ${{p%.part}} in *[!0-9a-f.]*) continue ;; esac\n\
         [ ! -e \"$p\" ] || flock -n \"$p\" rm -f -- \"$p\" || :; done; cd /; fi\n"
    )
}

/// The name of this machine, as shown to users.
pub(crate) fn controller() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn of_many_files_of_others_some_are_named_and_the_rest_is_counted() {
        let output = |count: usize| (0..count).map(|i| format!("other f{i}\n")).collect::<String>();
        assert_eq!(others("ours\nother a b\n", "/d"), ["/d/a b"]);
        assert_eq!(others(&output(NAMED), "/d").len(), NAMED);
        let many = others(&output(NAMED + 3), "/d");
        assert_eq!(
            (many.len(), many[NAMED].as_str()),
            (NAMED + 1, "3 more files in /d")
        );
    }

    #[test]
    fn leftovers_of_interrupted_uploads_are_removed_and_running_uploads_are_not() {
        use nix::fcntl::{Flock, FlockArg};
        let directory = tempfile::tempdir().unwrap();
        let (dead, alive) = (
            upload_file(&"0".repeat(64), Uuid::nil()),
            upload_file(&"1".repeat(64), Uuid::nil()),
        );
        let others = [
            "download.part".to_owned(),
            dead.replacen('0', "x", 1),
            "whole.disk".to_owned(),
        ];
        for name in others.iter().chain([&dead, &alive]) {
            std::fs::write(directory.path().join(name), "x").unwrap();
        }
        let locked = File::open(directory.path().join(&alive)).unwrap();
        let _lock = Flock::lock(locked, FlockArg::LockExclusive).unwrap();
        let script = sweep_script().replace(IMAGES_DIRECTORY, directory.path().to_str().unwrap());
        let status = std::process::Command::new("sh").args(["-ec", &script]).status();
        assert!(status.unwrap().success());
        let mut left: Vec<_> = std::fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        let mut kept = others.to_vec();
        kept.push(alive);
        kept.sort();
        assert_eq!(left, kept);
    }
}
