//! Inspects and cleans the lab's hosts over stock ssh, without any code of vcluster.

use std::io::Write as _;
use std::process::{Command, Stdio};

const AUDIT: &str = include_str!("../../scripts/lib/audit-host");
const FINGERPRINT: &str = include_str!("fingerprint.sh");
/// Removes everything of all clusters, for the next trial after a failed one.
const WIPE: &str = r"
for d in $(virsh -q list --all --name); do virsh -q destroy $d; virsh -q undefine $d; done
for p in $(virsh -q pool-list --all --name); do virsh -q pool-destroy $p; virsh -q pool-undefine $p; done
for l in $(ip -o link | grep -oE 'vc[bx][0-9a-f]{8}([0-9a-f]{4})?' | sort -u); do ip link del $l; done
for t in $(nft list tables | grep -oE 'vcluster_[0-9a-f_]+'); do nft delete table inet $t; done
rm -rf /var/lib/libvirt/images/vcluster
";
/// Removes all images from a host.
const BARE: &str = r"
virsh -q pool-destroy vcluster-images; virsh -q pool-undefine vcluster-images
rm -rf /var/lib/libvirt/images/vcluster
";

/// The hosts in the lab's ssh config.
pub(crate) fn hosts() -> Vec<String> {
    let text = std::fs::read_to_string(config()).unwrap();
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("Host "))
        .flat_map(str::split_whitespace)
        .filter(|host| host.starts_with("bm") && !host.contains('*'))
        .map(str::to_owned)
        .collect()
}

fn config() -> String {
    std::env::var("VCLUSTER_SSH_CONFIG").unwrap()
}

/// Runs a script on all hosts in parallel; returns the output of each.
fn everywhere(script: &str) -> Vec<(String, String)> {
    let started: Vec<_> = hosts()
        .into_iter()
        .map(|host| {
            let mut child = Command::new("ssh")
                .args(["-F", &config(), &host, "bash -s"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
            (host, child)
        })
        .collect();
    started
        .into_iter()
        .map(|(host, child)| {
            let output = child.wait_with_output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            (host, text)
        })
        .collect()
}

/// Everything on any host that a fresh host does not have, except images.
pub(crate) fn leaks() -> Vec<String> {
    // The last line proves that the script ran to its end.
    let script = format!("{AUDIT}\necho audited\n");
    let mut leaks = Vec::new();
    for (host, text) in everywhere(&script) {
        if !text.lines().any(|line| line == "audited") {
            leaks.push(format!("{host}: could not be audited"));
        }
        let found = text.lines().filter(|line| *line != "audited");
        leaks.extend(found.map(|line| format!("{host}: {line}")));
    }
    leaks
}

/// All objects of a cluster on the hosts, without random values.
pub(crate) fn fingerprint() -> String {
    let mut all = String::new();
    for (host, text) in everywhere(FINGERPRINT) {
        for line in text.lines() {
            all.push_str(&format!("{host}: {line}\n"));
        }
    }
    all
}

pub(crate) fn wipe() {
    everywhere(WIPE);
}

pub(crate) fn make_bare() {
    everywhere(BARE);
}
