//! One script that collects everything that the checks need of a machine, and the parser of its output.
//! The output is untrusted: what does not parse counts as absent.

mod read;

use std::collections::BTreeMap;

use serde::Serialize;

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

/// The script. `$1` is `SSH_CONNECTION`. It changes nothing. It reads files below `/proc/sys` with `cat`:
/// `read` of dash reads byte by byte, and the kernel returns no second byte.
pub(super) fn script() -> String {
    format!(
        r#"exec 2>/dev/null
echo @@kernel; uname -r
echo @@system; grep -hE '^ID(_LIKE)?=' /etc/os-release; [ -d /run/systemd/system ] && echo systemd
echo @@missing; for c in {COMMANDS}; do command -v "$c" >/dev/null || echo "$c"; done
echo @@emulator; for f in qemu-system-x86_64 qemu-kvm /usr/libexec/qemu-kvm; do command -v "$f"; done
echo @@daemons; n=$(readlink /proc/self/ns/pid); for p in /proc/[0-9]*; do
  read -r c <"$p/comm" || continue
  case $c in libvirtd | virtqemud | virtlogd) ;; *) continue ;; esac
  # The daemons of containers are not this machine's.
  [ "$(readlink "$p/ns/pid")" = "$n" ] || continue
  l=$(sed -n 's/^Max open files *\([0-9a-z]*\) *\([0-9a-z]*\).*/\1 \2/p' "$p/limits")
  echo "$c ${{p#/proc/}} $l $(ls "$p/fd" | wc -l)"
done
echo @@limits; for f in libvirtd virtqemud virtproxyd qemu; do
  sed -n "s/^[[:space:]]*\(max_[a-z_]*\)[[:space:]]*=[[:space:]]*\([0-9][0-9]*\).*/$f \1 \2/p" "/etc/libvirt/$f.conf"
done
echo @@cpu; [ -c /dev/kvm ] && echo device
grep -m1 '^flags' /proc/cpuinfo | tr ' ' '\n' | grep -xE 'vmx|svm|hypervisor'
for m in intel amd; do v=$(cat "/sys/module/kvm_$m/parameters/nested") && echo "nested $v"; done
echo @@sshd; if [ -n "$1" ]; then
  set -- $1; sshd -T -C "user=${{SUDO_USER:-$(id -un)}},host=$1,addr=$1,laddr=$3,lport=$4" |
    grep -iE '^(allowtcpforwarding|allowstreamlocalforwarding|disableforwarding|permitopen|maxstartups|maxsessions) '
fi
echo @@settings; for k in {SETTINGS}; do v=$(cat "/proc/sys/$k") && echo "$k $v"; done
v=$(cat /proc/sys/fs/file-nr) && echo "fs/file-nr ${{v%%[!0-9]*}}"
echo @@neighbours; ip -4 -o neigh show | grep -vc PERMANENT
echo @@clock; timeout 3 timedatectl show -p NTPSynchronized --value
echo @@security; v=$(cat /sys/module/apparmor/parameters/enabled) && echo "apparmor $v"
grep -qE '^(libvirtd|virtqemud|/usr/sbin/libvirtd) ' /sys/kernel/security/apparmor/profiles && echo profile
for f in /usr/lib/libvirt/virt-aa-helper /usr/libexec/virt-aa-helper; do [ -x "$f" ] && echo helper; done
v=$(cat /sys/fs/selinux/enforce) && echo "selinux $v" && ls -Zd /var/lib/libvirt/images
sed -n 's/^[[:space:]]*security_driver[[:space:]]*=[[:space:]]*/driver /p' /etc/libvirt/qemu.conf
echo @@modules; r=/lib/modules/$(uname -r); for m in {MODULES}; do
  if [ -d "/sys/module/$m" ] || grep -q "/$m[.]ko" "$r/modules.builtin"; then s=loaded
  elif [ "$m" = tun ] && [ -c /dev/net/tun ]; then s=loaded
  elif [ "$m" = nf_tables ] && nft list tables >/dev/null; then s=loaded
  elif [ ! -d "$r" ]; then s=unknown
  elif modprobe -n -q "$m"; then s=loadable
  else s=absent; fi
  echo "$m $s"
done
echo @@memory; grep -E '^Swap(Total|Free):' /proc/meminfo
echo @@ksm; cat /sys/kernel/mm/ksm/run
echo @@inodes; d={IMAGES_ROOT}; while [ ! -d "$d" ]; do d=${{d%/*}}; [ "$d" ] || d=/; done; df -Pi "$d"
echo @@links; ip -j -d addr show
echo @@firewall; iptables -S FORWARD | grep -m1 '^-P'; iptables -S INPUT | grep -m1 '^-P'
nft list chains | grep -E 'hook (forward|input) .*policy drop'
echo; echo @@end
"#
    )
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
}

#[cfg(test)]
pub(super) mod tests;
