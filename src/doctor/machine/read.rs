//! The parser of the script's output.

use super::{COMMANDS, Daemon, Family, MODULES, Machine, Module};
use crate::base::units::MiB;
use crate::network::{self, Link, section};

impl Machine {
    /// Parses the output; `None` if it is not one.
    pub(in crate::doctor) fn read(output: &str) -> Option<Self> {
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
        self.vxlan_drop = text
            .lines()
            .find_map(|line| line.strip_prefix("vxlan "))
            .map(shown);
    }

    /// Whether a command is missing.
    pub(in crate::doctor) fn lacks(&self, command: &str) -> bool {
        self.missing.iter().any(|missing| missing == command)
    }

    /// A setting below `/proc/sys`.
    pub(in crate::doctor) fn setting(&self, name: &str) -> Option<u64> {
        self.settings.get(name).copied()
    }
}

fn has(text: &str, wanted: &str) -> bool {
    text.lines().any(|line| line.trim_end() == wanted)
}

/// A value for people: short, without characters that control a terminal.
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

/// The lines that are words of a known list; all others are dropped.
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

/// The fourth column of `df -Pi`. Btrfs reports 0 of 0.
fn inodes(df: &str) -> Option<u64> {
    let columns: Vec<&str> = df.lines().nth(1)?.split_ascii_whitespace().collect();
    let total: u64 = columns.get(1)?.parse().ok()?;
    (total > 0).then(|| columns.get(3)?.parse().ok()).flatten()
}

fn foreign_links(json: &str) -> Vec<String> {
    let has_our_name = |link: &Link| network::read_link_name(&link.ifname).is_some();
    let links = network::read_links(json).unwrap_or_default();
    links
        .into_iter()
        .filter(|link| has_our_name(link) && network::read_alias(&link.ifalias).is_none())
        .map(|link| link.ifname)
        .collect()
}
