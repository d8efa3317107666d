//! One script that asks a machine all that the checks want to know, and the reader of its answer.
//! The answer is untrusted: whatever does not parse is as if it were not there.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::host::IMAGES_ROOT;
use crate::network::{self, section};
use crate::units::MiB;

/// Commands that scripts of ours, or libvirt for us, run on a host.
const COMMANDS: &str = "ip bridge nft ping flock tar find grep sed head tail tr mv df stat sha256sum qemu-img prlimit modprobe \
systemctl libvirtd virtqemud";

/// Kernel modules that a host may need.
const MODULES: &str = "vxlan bridge nf_tables tun";

/// Settings below `/proc/sys` that are read.
const SETTINGS: &str = "net/ipv4/neigh/default/gc_thresh1 net/ipv4/neigh/default/gc_thresh2 \
net/ipv4/neigh/default/gc_thresh3 net/ipv4/ip_forward net/bridge/bridge-nf-call-iptables fs/file-max \
vm/overcommit_memory";

/// The script. `$1` is `SSH_CONNECTION`. It changes nothing. Files below `/proc/sys` are read by `cat`:
/// dash reads byte by byte, and the kernel gives no second byte.
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

/// Which family of distributions a host belongs to, as far as the names of packages go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Debian, Ubuntu.
    Debian,
    /// Fedora, RHEL and its kin.
    Fedora,
    /// openSUSE, SLES.
    Suse,
    /// Anything else.
    #[default]
    Other,
}

/// A daemon that runs on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Daemon {
    /// Its name.
    pub name: String,
    /// Its process.
    pub pid: u32,
    /// Files that it may open; `u64::MAX` without a limit.
    pub files: u64,
    /// How far that may be raised.
    pub files_hard: u64,
    /// Files that are open now.
    pub open: u64,
}

/// What is known of a kernel module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Module {
    /// Loaded or built in.
    Loaded,
    /// The kernel loads it when it is needed.
    Loadable,
    /// The running kernel does not have it.
    Absent,
    /// The modules of the running kernel are not on disk.
    Unknown,
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// Version of the kernel: major and minor.
    pub kernel: Option<(u32, u32)>,
    /// Family of its distribution.
    pub family: Family,
    /// Whether systemd is its init.
    pub systemd: bool,
    /// Commands that are not there.
    pub missing: Vec<String>,
    /// Whether an emulator for x86-64 is there.
    pub emulator: bool,
    /// Daemons of libvirt that run.
    pub daemons: Vec<Daemon>,
    /// Limits in the files of `/etc/libvirt`: `libvirtd.max_clients`.
    pub limits: BTreeMap<String, u64>,
    /// Whether `/dev/kvm` is there.
    pub kvm_device: bool,
    /// Virtualisation of the CPU: `vmx` or `svm`.
    pub cpu_flag: Option<String>,
    /// Whether the host is itself a virtual machine.
    pub is_guest: bool,
    /// Whether its KVM lets guests have KVM.
    pub nested: Option<bool>,
    /// What sshd says of our login, keys in lower case.
    pub sshd: BTreeMap<String, String>,
    /// Settings below `/proc/sys`.
    pub settings: BTreeMap<String, u64>,
    /// Neighbours (IPv4) that the garbage collector counts.
    pub neighbours: u64,
    /// Whether its clock follows others.
    pub synchronised: Option<bool>,
    /// Whether AppArmor is on.
    pub apparmor: bool,
    /// Whether libvirt's profile is loaded.
    pub apparmor_profile: bool,
    /// Whether the helper is there that writes a profile for each guest.
    pub apparmor_helper: bool,
    /// Whether SELinux is on, and then whether it enforces.
    pub selinux: Option<bool>,
    /// Whether libvirt's directory of images has the label that guests may read.
    pub selinux_label: bool,
    /// `security_driver` of `qemu.conf`, where it is set.
    pub security_driver: Option<String>,
    /// Kernel modules.
    pub modules: BTreeMap<String, Module>,
    /// Swap.
    pub swap: MiB,
    /// Swap in use.
    pub swap_used: MiB,
    /// Whether equal pages of guests are merged.
    pub ksm: Option<bool>,
    /// Free inodes where our pools are; `None` where the file system does not count them.
    pub inodes: Option<u64>,
    /// Links with names like ours and without our mark.
    pub foreign_links: Vec<String>,
    /// Whether a firewall forwards nothing by default.
    pub forward_drop: bool,
    /// Whether a firewall takes nothing in by default.
    pub input_drop: bool,
}

impl Machine {
    /// Reads the answer; `None` where it is not one.
    pub(super) fn read(output: &str) -> Option<Self> {
        let part = |name| section(output, name);
        let kernel = version(part("kernel"))?;
        let mut machine = Self {
            kernel: Some(kernel),
            family: family(part("system")),
            systemd: has(part("system"), "systemd"),
            missing: words(part("missing"), COMMANDS),
            emulator: part("emulator").lines().any(|line| line.starts_with('/')),
            daemons: part("daemons").lines().filter_map(daemon).collect(),
            limits: part("limits").lines().filter_map(limit).collect(),
            kvm_device: has(part("cpu"), "device"),
            cpu_flag: ["vmx", "svm"]
                .into_iter()
                .find(|flag| has(part("cpu"), flag))
                .map(str::to_owned),
            is_guest: has(part("cpu"), "hypervisor"),
            nested: nested(part("cpu")),
            sshd: part("sshd").lines().filter_map(pair).collect(),
            settings: part("settings").lines().filter_map(number).collect(),
            neighbours: part("neighbours").trim().parse().unwrap_or_default(),
            synchronised: match part("clock").trim() {
                "yes" => Some(true),
                "no" => Some(false),
                _ => None,
            },
            modules: part("modules").lines().filter_map(module).collect(),
            ksm: part("ksm").trim().parse::<u8>().ok().map(|run| run == 1),
            inodes: inodes(part("inodes")),
            foreign_links: foreign_links(part("links")),
            ..Self::default()
        };
        machine.read_security(part("security"));
        machine.read_memory(part("memory"));
        machine.read_firewall(part("firewall"));
        Some(machine)
    }

    fn read_security(&mut self, text: &str) {
        self.apparmor = has(text, "apparmor Y");
        self.apparmor_profile = has(text, "profile");
        self.apparmor_helper = has(text, "helper");
        self.selinux = ["selinux 0", "selinux 1"]
            .iter()
            .position(|line| has(text, line))
            .map(|place| place == 1);
        self.selinux_label = text.contains("virt_image_t") || text.contains("svirt_image_t");
        self.security_driver = text
            .lines()
            .find_map(|line| line.strip_prefix("driver "))
            .map(|value| shown(value.trim().trim_matches(|c| "\"[] ".contains(c))));
    }

    fn read_memory(&mut self, text: &str) {
        let kib = |what: &str| -> Option<u64> {
            let line = text.lines().find_map(|line| line.strip_prefix(what))?;
            line.split_ascii_whitespace().next()?.parse().ok()
        };
        let (total, free) = (kib("SwapTotal:").unwrap_or(0), kib("SwapFree:").unwrap_or(0));
        self.swap = MiB(total / 1024);
        self.swap_used = MiB(total.saturating_sub(free) / 1024);
    }

    fn read_firewall(&mut self, text: &str) {
        let drops = |chain: &str, hook: &str| {
            text.lines().any(|line| {
                line == format!("-P {chain} DROP")
                    || (line.contains(&format!("hook {hook} ")) && line.contains("policy drop"))
            })
        };
        self.forward_drop = drops("FORWARD", "forward");
        self.input_drop = drops("INPUT", "input");
    }

    /// Whether a command is missing.
    pub(super) fn lacks(&self, command: &str) -> bool {
        self.missing.iter().any(|missing| missing == command)
    }

    /// A setting below `/proc/sys`.
    pub(super) fn setting(&self, name: &str) -> Option<u64> {
        self.settings.get(name).copied()
    }
}

fn has(text: &str, wanted: &str) -> bool {
    text.lines().any(|line| line.trim_end() == wanted)
}

/// A value that is shown to people: short, without what a terminal would obey.
fn shown(text: &str) -> String {
    let plain = |c: &char| c.is_ascii_graphic() || *c == ' ';
    text.chars().filter(plain).take(60).collect()
}

/// `6.1.0-28-amd64`.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.trim().split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn family(text: &str) -> Family {
    let mut ids = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .flat_map(|(_, value)| value.trim_matches('"').split(' '));
    ids.find_map(|id| match id {
        "debian" | "ubuntu" => Some(Family::Debian),
        "fedora" | "rhel" | "centos" => Some(Family::Fedora),
        "suse" | "opensuse" | "sles" => Some(Family::Suse),
        _ => None,
    })
    .unwrap_or_default()
}

/// The lines that are words of a list: nothing else is believed.
fn words(text: &str, known: &str) -> Vec<String> {
    let known: Vec<&str> = known.split_ascii_whitespace().collect();
    let lines = text.lines().filter(|line| known.contains(line));
    lines.map(str::to_owned).collect()
}

fn daemon(line: &str) -> Option<Daemon> {
    let [name, pid, files, hard, open] = line.split(' ').collect::<Vec<_>>().try_into().ok()?;
    let limit = |text: &str| match text {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    };
    Some(Daemon {
        name: words(name, "libvirtd virtqemud virtlogd").pop()?,
        pid: pid.parse().ok()?,
        files: limit(files)?,
        files_hard: limit(hard)?,
        open: open.parse().ok()?,
    })
}

fn limit(line: &str) -> Option<(String, u64)> {
    let [file, key, value] = line.split(' ').collect::<Vec<_>>().try_into().ok()?;
    Some((format!("{}.{}", shown(file), shown(key)), value.parse().ok()?))
}

fn nested(text: &str) -> Option<bool> {
    let value = text.lines().find_map(|line| line.strip_prefix("nested "))?;
    match value.trim() {
        "Y" | "1" => Some(true),
        "N" | "0" => Some(false),
        _ => None,
    }
}

fn pair(line: &str) -> Option<(String, String)> {
    let (key, value) = line.split_once(' ')?;
    Some((shown(key).to_ascii_lowercase(), shown(value)))
}

fn number(line: &str) -> Option<(String, u64)> {
    let (key, value) = line.split_once(' ')?;
    Some((shown(key), value.trim().parse().ok()?))
}

fn module(line: &str) -> Option<(String, Module)> {
    let (name, state) = line.split_once(' ')?;
    let state = match state {
        "loaded" => Module::Loaded,
        "loadable" => Module::Loadable,
        "absent" => Module::Absent,
        "unknown" => Module::Unknown,
        _ => return None,
    };
    Some((words(name, MODULES).pop()?, state))
}

/// The fourth column of `df -Pi`. Btrfs counts none and says 0 of 0.
fn inodes(df: &str) -> Option<u64> {
    let columns: Vec<&str> = df.lines().nth(1)?.split_ascii_whitespace().collect();
    let total: u64 = columns.get(1)?.parse().ok()?;
    (total > 0).then(|| columns.get(3)?.parse().ok()).flatten()
}

fn foreign_links(json: &str) -> Vec<String> {
    let ours = |name: &str| {
        let rest = name.strip_prefix("vcb").or_else(|| name.strip_prefix("vcx"));
        rest.is_some_and(network::is_short_id)
    };
    let links = network::read_links(json).unwrap_or_default();
    links
        .into_iter()
        .filter(|link| ours(&link.ifname) && network::read_alias(&link.ifalias).is_none())
        .map(|link| link.ifname)
        .collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// What a healthy Debian host says.
    pub(in crate::doctor) const HEALTHY: &str = r#"@@kernel
6.1.0-28-amd64
@@system
ID=debian
systemd
@@missing
@@emulator
/usr/bin/qemu-system-x86_64
@@daemons
libvirtd 812 8192 8192 40
virtlogd 813 524288 524288 9
@@limits
libvirtd max_clients 1000
qemu max_files 4096
@@cpu
device
vmx
nested Y
@@sshd
allowtcpforwarding yes
allowstreamlocalforwarding yes
disableforwarding no
permitopen any
maxstartups 10:30:100
maxsessions 10
@@settings
net/ipv4/neigh/default/gc_thresh1 128
net/ipv4/neigh/default/gc_thresh2 512
net/ipv4/neigh/default/gc_thresh3 1024
net/ipv4/ip_forward 0
fs/file-max 9223372036854775807
vm/overcommit_memory 0
fs/file-nr 2000
@@neighbours
5
@@clock
yes
@@security
apparmor Y
profile
helper
driver "none"
@@modules
vxlan loadable
bridge loaded
nf_tables loaded
tun loaded
@@memory
SwapTotal:       2097148 kB
SwapFree:        2097148 kB
@@ksm
0
@@inodes
Filesystem      Inodes  IUsed   IFree IUse% Mounted on
/dev/sda1      6553600 100000 6453600    2% /
@@links
[{"ifname":"lo"},{"ifname":"vcb0000000a","ifalias":"vcluster:demo:00000000-0000-0000-0000-000000000002"},
 {"ifname":"vcx0000000b","ifalias":"mine"},{"ifname":"vcbridge","ifalias":""}]
@@firewall
-P FORWARD DROP
-P INPUT ACCEPT

@@end
"#;

    #[test]
    fn the_answer_of_a_host_is_read() {
        let machine = Machine::read(HEALTHY).unwrap();
        assert_eq!(machine.kernel, Some((6, 1)));
        assert_eq!((machine.family, machine.systemd), (Family::Debian, true));
        assert_eq!(machine.missing, Vec::<String>::new());
        assert_eq!(machine.daemons[0].files, 8192);
        assert_eq!(machine.limits["libvirtd.max_clients"], 1000);
        assert_eq!(
            (machine.cpu_flag.as_deref(), machine.nested),
            (Some("vmx"), Some(true))
        );
        assert!(machine.kvm_device && !machine.is_guest && machine.emulator);
        assert_eq!(machine.sshd["maxstartups"], "10:30:100");
        assert_eq!(machine.setting("net/ipv4/neigh/default/gc_thresh3"), Some(1024));
        assert_eq!((machine.neighbours, machine.synchronised), (5, Some(true)));
        assert!(machine.apparmor && machine.apparmor_profile && machine.apparmor_helper);
        assert_eq!(machine.security_driver.as_deref(), Some("none"));
        assert_eq!(machine.modules["vxlan"], Module::Loadable);
        assert_eq!((machine.swap, machine.swap_used), (MiB(2047), MiB(0)));
        assert_eq!(machine.inodes, Some(6_453_600));
        assert_eq!(machine.foreign_links, ["vcx0000000b"]);
        assert!(machine.forward_drop && !machine.input_drop);
    }

    #[test]
    fn garbage_is_as_if_nothing_had_been_said() {
        assert_eq!(Machine::read(""), None);
        assert_eq!(Machine::read("@@kernel\nnonsense\n@@end\n"), None);
        let text = "@@kernel\n6.1\n@@missing\n$(reboot)\nip\n@@daemons\nlibvirtd x y z\nlibvirtd 1 2\nbash 1 2 3 4\n\
                    @@limits\nlibvirtd max_clients -3\n@@settings\nfs/file-max \u{1b}[2J\n@@modules\nvxlan maybe\nrootkit loaded\n\
                    @@inodes\nx\ny z\n@@links\n{]\n@@neighbours\n-1\n@@cpu\nnested ?\n@@end\n";
        let machine = Machine::read(text).unwrap();
        assert_eq!(
            machine,
            Machine {
                kernel: Some((6, 1)),
                missing: vec!["ip".into()],
                ..Machine::default()
            }
        );
    }

    #[test]
    fn words_of_a_host_carry_no_escapes() {
        let text = format!(
            "@@kernel\n6.1\n@@sshd\nmaxstartups \u{1b}[2J{}\n@@end\n",
            "x".repeat(500)
        );
        let machine = Machine::read(&text).unwrap();
        assert_eq!(machine.sshd["maxstartups"].len(), 60);
        assert!(machine.sshd["maxstartups"].starts_with("[2Jx"));
    }

    #[test]
    fn the_script_runs_to_its_end_on_this_machine() {
        let output = std::process::Command::new("sh")
            .arg("-c")
            .arg(script())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.ends_with("@@end\n"), "{text}");
        let machine = Machine::read(&text).unwrap();
        assert!(machine.setting("fs/file-max").is_some() && machine.modules.len() == 4);
    }
}
