//! Servers to test against, stopped by their process ids.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use russh::keys::{PrivateKey, PublicKey};
use vcluster::ssh::{HostTarget, NodeTarget, Session, SshConfig};

/// Where the programs of this machine are.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A server with its keys.
pub(crate) struct Server {
    child: Child,
    pub(crate) directory: tempfile::TempDir,
    pub(crate) port: u16,
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

pub(crate) fn keygen(path: &Path, kind: &str, passphrase: &str) {
    run(
        "ssh-keygen",
        &[
            "-q",
            "-t",
            kind,
            "-N",
            passphrase,
            "-C",
            "a test key",
            "-f",
            path.to_str().unwrap(),
        ],
    );
}

/// A directory with the keys of an OpenSSH server and its client.
fn new_keys() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, kind) in [("host", "ed25519"), ("host_rsa", "rsa"), ("client", "ed25519")] {
        keygen(&directory.path().join(name), kind, "");
    }
    directory
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn wait_for(log: &Path, words: &str, child: &mut Child) {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let text = fs::read_to_string(log).unwrap_or_default();
        if text.contains(words) {
            return;
        }
        assert!(child.try_wait().unwrap().is_none(), "the server ended: {text}");
        assert!(Instant::now() < end, "the server did not start: {text}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

impl Server {
    /// OpenSSH with stock limits; `extra` lines are appended to its configuration.
    pub(crate) fn openssh(extra: &str) -> Self {
        Self::start_openssh(new_keys(), extra, "true")
    }

    /// OpenSSH whose login shell is this script.
    pub(crate) fn with_shell(script: &str) -> Self {
        let keys = new_keys();
        let shell = keys.path().join("shell");
        fs::write(&shell, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&shell, fs::Permissions::from_mode(0o755)).unwrap();
        Self::start_openssh(keys, "", "true")
    }

    /// A host that reports the load of a busy machine with one CPU.
    pub(crate) fn busy_host() -> Self {
        // More than one second of waiting per second: `total` counts microseconds.
        Self::with_load("busy", "276.10 0 0 1/1 1", "$(($(date +%s%N) / 100))")
    }

    /// A host that reports this load, as a machine with one CPU. `boot_id` may contain commands.
    pub(crate) fn with_load(boot_id: &str, average: &str, stalled: &str) -> Self {
        let keys = new_keys();
        let own_programs = format!("SetEnv PATH={}/bin:{PATH}", keys.path().display());
        let server = Self::start_openssh(keys, &own_programs, "true");
        let cat = format!(
            "case \"$1\" in */boot_id) echo \"{boot_id}\" ;; */loadavg) echo {average} ;; \
             */pressure/cpu) echo \"some total={stalled}\" ;; *) exec cat \"$@\" ;; esac"
        );
        server.replace("cat", &cat);
        // Only this count: others look for processes with it.
        let grep = "case \"$*\" in *' /proc/stat') echo 1 ;; *) exec grep \"$@\" ;; esac";
        server.replace("grep", grep);
        server
    }

    /// OpenSSH servers with the same keys, each with supervised steps of its own, as nodes have. Commands there use the
    /// programs of [`Self::replace`].
    pub(crate) fn nodes(count: usize) -> Vec<Self> {
        let keys = new_keys();
        let start = |_| {
            let directory = tempfile::tempdir().unwrap();
            for name in ["host", "host_rsa", "client", "host.pub", "client.pub"] {
                fs::copy(keys.path().join(name), directory.path().join(name)).unwrap();
            }
            let own_steps = "mkdir -p /run/vcluster && mount -t tmpfs -o mode=0755 tmpfs /run/vcluster";
            let own_programs = format!("SetEnv PATH={}/bin:{PATH}", directory.path().display());
            Self::start_openssh(directory, &own_programs, own_steps)
        };
        (0..count).map(start).collect()
    }

    /// Runs `first` in the mount namespace of the server before it starts.
    fn start_openssh(directory: tempfile::TempDir, extra: &str, first: &str) -> Self {
        let at = |name: &str| directory.path().join(name);
        fs::copy(at("client.pub"), at("authorized_keys")).unwrap();
        let _ = fs::create_dir_all("/run/sshd");
        let port = free_port();
        let text = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {0}/host\nHostKey {0}/host_rsa\nPidFile none\nUsePAM no\n\
             AuthorizedKeysFile {0}/authorized_keys\nStrictModes no\nPasswordAuthentication no\n\
             PermitRootLogin prohibit-password\nLogLevel VERBOSE\n{extra}\n",
            directory.path().display()
        );
        fs::write(at("sshd_config"), text).unwrap();
        // A separate home directory, so that root's shell settings on this machine do not matter.
        let others = fs::read_to_string("/etc/passwd").unwrap();
        let others = others
            .lines()
            .filter(|line| !line.starts_with("root:"))
            .collect::<Vec<_>>()
            .join("\n");
        let own = Some(at("shell")).filter(|shell| shell.exists());
        let shell = own.unwrap_or_else(|| "/bin/sh".into());
        let passwd = format!(
            "root:x:0:0:root:{}:{}\n{others}\n",
            directory.path().display(),
            shell.display()
        );
        fs::write(at("passwd"), passwd).unwrap();
        let script = format!(
            "mount --bind {0}/passwd /etc/passwd && {first} && exec /usr/sbin/sshd -D -E {0}/log -f {0}/sshd_config",
            directory.path().display()
        );
        let mut child = Command::new("unshare")
            .args(["-m", "sh", "-c", &script])
            .spawn()
            .unwrap();
        wait_for(&at("log"), "Server listening", &mut child);
        Self {
            child,
            directory,
            port,
        }
    }

    /// Dropbear with only busybox, as in the micro image. It reads `authorized_keys` only from the home
    /// directory and accepts only listed shells, so it gets a mount namespace with its own `/etc/passwd`
    /// and `/etc/shells`.
    pub(crate) fn dropbear() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        keygen(&at("client"), "ed25519", "");
        run(
            "dropbearkey",
            &["-t", "ed25519", "-f", at("host").to_str().unwrap()],
        );
        let shown = Command::new("dropbearkey")
            .arg("-y")
            .arg("-f")
            .arg(at("host"))
            .output()
            .unwrap();
        let shown = String::from_utf8(shown.stdout).unwrap();
        fs::write(
            at("host.pub"),
            shown.lines().find(|line| line.starts_with("ssh-")).unwrap(),
        )
        .unwrap();
        fs::create_dir(at(".ssh")).unwrap();
        fs::set_permissions(at(".ssh"), fs::Permissions::from_mode(0o700)).unwrap();
        fs::copy(at("client.pub"), at(".ssh/authorized_keys")).unwrap();
        fs::create_dir(at("bin")).unwrap();
        run("busybox", &["--install", "-s", at("bin").to_str().unwrap()]);
        let shell = at("shell").display().to_string();
        let script = format!("#!/bin/sh\nPATH={} exec busybox sh \"$@\"\n", at("bin").display());
        fs::write(&shell, script).unwrap();
        fs::set_permissions(&shell, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(at("shells"), format!("{shell}\n")).unwrap();
        let passwd = format!("root:x:0:0:root:{}:{shell}\n", directory.path().display());
        fs::write(at("passwd"), passwd).unwrap();
        let port = free_port();
        let script = format!(
            "mount --bind {0}/passwd /etc/passwd && mount --bind {0}/shells /etc/shells && exec dropbear -F -E -p 127.0.0.1:{port} -r {0}/host 2>{0}/log",
            directory.path().display()
        );
        let mut child = Command::new("unshare")
            .args(["-m", "sh", "-c", &script])
            .spawn()
            .unwrap();
        wait_for(&at("log"), "Not backgrounding", &mut child);
        Self {
            child,
            directory,
            port,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Replaces a program by a script, which finds the real one in its `PATH`.
    pub(crate) fn replace(&self, program: &str, script: &str) {
        fs::create_dir_all(self.path("bin")).unwrap();
        let path = self.path("bin").join(program);
        fs::write(&path, format!("#!/bin/sh\nPATH={PATH}\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Suspends the server: connections are still accepted by the kernel, but nobody answers.
    pub(crate) fn suspend(&self) {
        self.signal(Signal::SIGSTOP);
    }

    pub(crate) fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    pub(crate) fn host_key(&self) -> PublicKey {
        PublicKey::from_openssh(fs::read_to_string(self.path("host.pub")).unwrap().trim()).unwrap()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// As a node: pinned key, client key.
    pub(crate) fn node(&self, name: &str) -> NodeTarget {
        NodeTarget {
            name: name.into(),
            address: self.address(),
            user: "root".into(),
            key: Arc::new(PrivateKey::read_openssh_file(self.path("client")).unwrap()),
            host_key: self.host_key(),
            timeout: Some(Duration::from_secs(20)),
        }
    }

    /// As a bare-metal host whose key is known.
    pub(crate) fn host(&self) -> HostTarget {
        let line = format!(
            "[127.0.0.1]:{} {}\n",
            self.port,
            self.host_key().to_openssh().unwrap()
        );
        fs::write(self.path("known_hosts"), line).unwrap();
        HostTarget {
            host: "127.0.0.1".into(),
            user: Some("root".into()),
            port: Some(self.port),
            identity: Some(self.path("client")),
            known_hosts: Some(self.path("known_hosts")),
            timeout: Duration::from_secs(20),
        }
    }

    /// A separate ssh config, so that the machine's does not matter.
    pub(crate) fn config(&self, text: &str) -> SshConfig {
        let path = self.path("ssh_config");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let home = self.directory.path().to_owned();
        SshConfig::new(Some(path), home, "root")
    }

    pub(crate) async fn session(&self) -> Session {
        Session::connect_node(None, &self.node("node")).await.unwrap()
    }

    pub(crate) async fn host_session(&self) -> Session {
        Session::connect_host_with(&self.host(), &self.config(""))
            .await
            .unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a `sleep` with this argument runs. The shells that start it have a different command line.
pub(crate) fn asleep(mark: &str) -> bool {
    running(&format!("sleep\0{mark}"), mark).is_some()
}

/// Longer than anything takes that works, also on a busy machine. What must end, ends before that.
pub(crate) const LIMIT: Duration = Duration::from_mins(2);

/// Waits until something is so.
pub(crate) async fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < LIMIT, "still not so: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until no `sleep` with this argument runs.
pub(crate) async fn wait_until_not_asleep(mark: &str) {
    wait_until("the step has ended", || !asleep(mark)).await;
}

/// A process on this machine with both words in its command line.
pub(crate) fn running(program: &str, word: &str) -> Option<String> {
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let commands = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    let mut commands = commands.map(|text| String::from_utf8_lossy(&text).into_owned());
    commands.find(|text| text.contains(program) && text.contains(word))
}
