//! One script that collects everything that the checks need of a machine, and the parser of its output.
//! The output is untrusted: what does not parse counts as absent.

mod read;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::base::shell::with_variables;
use crate::base::units::MiB;
use crate::host::IMAGES_ROOT;

/// Commands that our scripts run on a host, and those that libvirt runs for us.
const COMMANDS: &str = "ip bridge nft ping flock tar find grep sed head tail tr mv df stat sha256sum qemu-img prlimit modprobe \
systemctl libvirtd virtqemud";

/// Kernel modules that a host may need.
const MODULES: &str = "vxlan bridge nf_tables tun";

/// Settings below `/proc/sys` that the script reads.
const SETTINGS: &str = "net/ipv4/neigh/default/gc_thresh1 net/ipv4/neigh/default/gc_thresh2 \
net/ipv4/neigh/default/gc_thresh3 net/ipv4/ip_forward net/bridge/bridge-nf-call-iptables fs/file-max \
vm/overcommit_memory";

/// The script. `$1` is `SSH_CONNECTION`. It changes nothing.
pub(super) fn script() -> String {
    let variables = [
        ("commands", COMMANDS),
        ("settings", SETTINGS),
        ("modules", MODULES),
        ("root", IMAGES_ROOT),
    ];
    with_variables(&variables, include_str!("machine.sh"))
}

/// Family of distributions that share names of packages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Debian, Ubuntu.
    Debian,
    /// Fedora, RHEL and derivatives.
    Fedora,
    /// openSUSE, SLES.
    Suse,
    /// Anything else.
    #[default]
    Other,
}

/// A running daemon of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Daemon {
    /// Its name.
    pub name: String,
    /// Its process.
    pub pid: u32,
    /// Files that it may open; `u64::MAX` without a limit.
    pub files: u64,
    /// How far the limit may be raised.
    pub files_hard: u64,
    /// Files that are open now.
    pub open: u64,
}

/// State of a kernel module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Module {
    /// Loaded or built in.
    Loaded,
    /// The kernel loads it on demand.
    Loadable,
    /// The running kernel does not have it.
    Absent,
    /// The modules of the running kernel are not on disk.
    Unknown,
}

/// The parsed output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// Version of the kernel: major and minor.
    pub kernel: Option<(u32, u32)>,
    /// Family of its distribution.
    pub family: Family,
    /// Whether systemd is its init.
    pub systemd: bool,
    /// Commands that are not installed.
    pub missing: Vec<String>,
    /// Whether an emulator for x86-64 is installed.
    pub emulator: bool,
    /// Running daemons of libvirt.
    pub daemons: Vec<Daemon>,
    /// Limits in the files of `/etc/libvirt`, such as `libvirtd.max_clients`.
    pub limits: BTreeMap<String, u64>,
    /// Whether `/dev/kvm` exists.
    pub kvm_device: bool,
    /// CPU flag of virtualisation: `vmx` or `svm`.
    pub cpu_flag: Option<String>,
    /// Whether the host is itself a virtual machine.
    pub is_guest: bool,
    /// Whether its KVM allows nested guests.
    pub nested: Option<bool>,
    /// Settings of sshd for our login, keys in lower case.
    pub sshd: BTreeMap<String, String>,
    /// Settings below `/proc/sys`.
    pub settings: BTreeMap<String, u64>,
    /// Neighbours (IPv4) that the garbage collector counts.
    pub neighbours: u64,
    /// Whether a time service keeps its clock in sync.
    pub synchronised: Option<bool>,
    /// Whether AppArmor is on.
    pub apparmor: bool,
    /// Whether libvirt's profile is loaded.
    pub apparmor_profile: bool,
    /// Whether the helper that writes a profile for each guest is installed.
    pub apparmor_helper: bool,
    /// Whether SELinux enforces; `None` if it is off.
    pub selinux: Option<bool>,
    /// Whether libvirt's directory of images has the label that guests may read.
    pub selinux_label: bool,
    /// `security_driver` of `qemu.conf`, if set.
    pub security_driver: Option<String>,
    /// Kernel modules.
    pub modules: BTreeMap<String, Module>,
    /// Swap.
    pub swap: MiB,
    /// Swap in use.
    pub swap_used: MiB,
    /// Whether equal pages of guests are merged.
    pub ksm: Option<bool>,
    /// Free inodes of our pools; `None` if the file system does not count them.
    pub inodes: Option<u64>,
    /// Links with names like ours but without our mark.
    pub foreign_links: Vec<String>,
    /// Whether a firewall drops forwarded packets by default.
    pub forward_drop: bool,
    /// Whether a firewall drops incoming packets by default.
    pub input_drop: bool,
    /// A rule of a firewall that drops the VXLAN's port.
    pub vxlan_drop: Option<String>,
}

#[cfg(test)]
pub(super) mod tests;
