//! Guests for the hosts in memory: one OpenSSH server per node, in namespaces of its own, configured from the node's
//! real seed volume. They need root, and a test process that [`isolated`] has started.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Cursor, Read as _};
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard};

use fatfs::{FileSystem, FsOptions};
use serde_json::Value;

use crate::base::name::HostName;
use crate::host::fake::Power;
use crate::inventory::ObservedNode;

/// Set in the process that has the namespaces.
const MARK: &str = "VCLUSTER_TEST_ISOLATED";

/// Runs the calling test again, in network and mount namespaces where all of 10.0.0.0/8 is local and nothing reaches
/// the machine's own files and addresses. `true` in that process; `false` in the caller once it has passed there.
pub(super) fn isolated() -> bool {
    if std::env::var_os(MARK).is_some() {
        return true;
    }
    let test = std::thread::current().name().unwrap().to_owned();
    let cache = tempfile::tempdir().unwrap();
    let output = Command::new("unshare")
        .args(["--net", "--mount", "--", "sh", "-euc"])
        .arg(
            "mount -t tmpfs tmpfs /run; mount -t tmpfs tmpfs /var/lib; mkdir /run/sshd
             ip link set lo up; ip address add 10.0.0.1/8 dev lo; exec \"$0\" \"$@\"",
        )
        .arg(std::env::current_exe().unwrap())
        .args([&test, "--exact", "--include-ignored"])
        .env(MARK, "yes")
        .env("XDG_CACHE_HOME", cache.path())
        // A host in memory that is lost does not come back.
        .env("VCLUSTER_TEST_PATIENCE", "0.1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let texts = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    // A name that selects no test would pass without running anything.
    assert!(
        output.status.success() && texts[0].contains("1 passed"),
        "{}{}",
        texts[0],
        texts[1]
    );
    false
}

/// What a guest's `sh` does: its own `/etc`, home and host name, then the server.
const BOOT: &str = "
    echo \"$2\" >/proc/sys/kernel/hostname
    cp -a /etc \"$1/etc\"
    { echo \"root:x:0:0:root:$1:/bin/sh\"; grep -v ^root: /etc/passwd; } >\"$1/etc/passwd\"
    [ -z \"$3\" ] || touch \"$1/etc/broken\"
    mount --bind \"$1/etc\" /etc
    mkdir -p /run/vcluster /var/lib/vcluster
    mount -t tmpfs tmpfs /run/vcluster; mount -t tmpfs tmpfs /var/lib/vcluster
    exec /usr/sbin/sshd -D -e -f \"$1/sshd_config\"
";

struct Guest {
    process: Child,
    node: String,
    dir: tempfile::TempDir,
}

impl Drop for Guest {
    fn drop(&mut self) {
        // `--kill-child` ends the server, and with it, as it is the first process of its namespace, all sessions.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[derive(Default)]
struct State {
    running: BTreeMap<(HostName, String), Guest>,
    /// Nodes whose configuration fails.
    broken: BTreeSet<String>,
    /// Nodes that ran twice at the same time, and where.
    doubled: Vec<String>,
}

/// All guests of a test.
#[derive(Default)]
pub(super) struct Guests(Mutex<State>);

impl Guests {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Makes `test ! -e /etc/broken` fail on a node that starts from now on.
    pub(super) fn spoil(&self, node: &str) {
        self.state().broken.insert(node.to_owned());
    }

    /// Repairs all nodes.
    pub(super) fn repair(&self) {
        let mut state = self.state();
        state.broken.clear();
        for guest in state.running.values() {
            let _ = fs::remove_file(guest.dir.path().join("etc/broken"));
        }
    }

    /// Ends the server of a node, without its host's knowledge.
    pub(super) fn end(&self, node: &str) {
        self.state().running.retain(|_, guest| guest.node != node);
    }

    /// The guest of a node, as the ID of its process.
    pub(super) fn process(&self, node: &str) -> Option<u32> {
        let state = self.state();
        let guest = state.running.values().find(|guest| guest.node == node);
        guest.map(|guest| guest.process.id())
    }

    /// The nodes that run, each as `HOST NODE`.
    pub(super) fn running(&self) -> Vec<String> {
        let state = self.state();
        let running = state.running.iter();
        running
            .map(|((host, _), guest)| format!("{host} {}", guest.node))
            .collect()
    }

    /// Nodes that ran twice at the same time.
    pub(super) fn doubled(&self) -> Vec<String> {
        self.state().doubled.clone()
    }
}

impl Power for Guests {
    fn on(&self, host: &HostName, node: &ObservedNode, seed: &[u8]) {
        let mut state = self.state();
        let name = node.mark.node.to_string();
        let other = state.running.iter().find(|(_, guest)| guest.node == name);
        let other = other.map(|((other, _), _)| format!("{name} on {other} and {host}"));
        state.doubled.extend(other);
        let is_broken = state.broken.contains(&name);
        let guest = boot(name, node.mark.spec.address, seed, is_broken);
        state.running.insert((host.clone(), node.domain.clone()), guest);
    }

    fn off(&self, host: &HostName, domain: &str) {
        self.state().running.remove(&(host.clone(), domain.to_owned()));
    }
}

fn boot(node: String, address: Ipv4Addr, seed: &[u8], is_broken: bool) -> Guest {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let data = user_data(seed);
    write(
        &at("host_key"),
        data["ssh_keys"]["ed25519_private"].as_str().unwrap(),
    );
    let keys = data["users"][0]["ssh_authorized_keys"].as_array().unwrap();
    let keys: Vec<&str> = keys.iter().map(|key| key.as_str().unwrap()).collect();
    write(&at("authorized_keys"), &format!("{}\n", keys.join("\n")));
    write(
        &at("sshd_config"),
        &format!(
            "ListenAddress {address}\nHostKey {0}/host_key\nAuthorizedKeysFile {0}/authorized_keys\nPidFile none\n\
             UsePAM no\nUseDNS no\nStrictModes no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n",
            dir.path().display()
        ),
    );
    let log = fs::File::create(at("log")).unwrap();
    let process = Command::new("unshare")
        .args([
            "--mount",
            "--uts",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ])
        .args(["sh", "-euc", BOOT, "sh"])
        .arg(dir.path())
        .arg(data["hostname"].as_str().unwrap())
        .arg(if is_broken { "broken" } else { "" })
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    Guest { process, node, dir }
}

/// The cloud-config of a seed volume.
fn user_data(seed: &[u8]) -> Value {
    let disk = FileSystem::new(Cursor::new(seed.to_vec()), FsOptions::new()).unwrap();
    let mut text = String::new();
    let mut file = disk.root_dir().open_file("user-data").unwrap();
    file.read_to_string(&mut text).unwrap();
    serde_json::from_str(text.strip_prefix("#cloud-config\n").unwrap()).unwrap()
}

/// Writes a file that only its owner can read.
fn write(path: &Path, text: &str) {
    use std::io::Write as _;
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .unwrap();
    file.write_all(text.as_bytes()).unwrap();
}
