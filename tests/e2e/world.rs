//! The environment of one test: its own state directory and files, and the removal of its cluster at the end.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

pub(crate) use crate::command::{Begun, Ran, begin, finish, program, signal};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// The environment of one test.
pub(crate) struct World {
    temp: tempfile::TempDir,
    /// Name of the cluster.
    pub(crate) name: String,
    /// Additional environment variables of its commands.
    pub(crate) environment: Vec<(&'static str, String)>,
}

impl World {
    /// A new environment. Panics outside of a lab: a test that passes there proves nothing.
    pub(crate) fn new() -> Self {
        assert!(
            std::env::var_os("VCLUSTER_LAB_DIR").is_some(),
            "run end-to-end tests with `scripts/test`, or inside `scripts/lab run`"
        );
        let name = format!(
            "t{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        Self {
            temp: tempfile::tempdir().unwrap(),
            name,
            environment: Vec::new(),
        }
    }

    /// A path in the test's directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    /// Writes a disk that the firmware can boot, but that never does anything: its boot sector is an endless loop.
    pub(crate) fn write_silent_disk(&self, file: &str) {
        let mut disk = vec![0_u8; 1 << 20];
        // `jmp $`, and the signature of a boot sector.
        disk[..2].copy_from_slice(&[0xeb, 0xfe]);
        disk[510..512].copy_from_slice(&[0x55, 0xaa]);
        std::fs::write(self.path(file), disk).unwrap();
    }

    /// Writes a file; `NAME` in the text becomes the cluster's name.
    pub(crate) fn write(&self, file: &str, text: &str) -> PathBuf {
        let path = self.path(file);
        std::fs::write(&path, text.replace("NAME", &self.name)).unwrap();
        path
    }

    /// Writes `topology.yaml`: a header with the given hosts, then the rest.
    pub(crate) fn topology(&self, hosts: &str, rest: &str) -> PathBuf {
        let head =
            format!("name: NAME\nhosts:\n  {hosts}: {{ uri: \"qemu+ssh://root@{{{{name}}}}/system\" }}\n");
        self.write("topology.yaml", &format!("{head}{rest}"))
    }

    /// The binary, ready to run.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vcluster"));
        command
            .args(args)
            .current_dir(self.temp.path())
            .env("XDG_STATE_HOME", self.path("state"))
            .envs(self.environment.iter().map(|(name, value)| (*name, value)))
            .env_remove("VCLUSTER_NAME")
            .env_remove("VCLUSTER_FORMAT")
            .stdin(Stdio::null());
        command
    }

    /// Starts a command; its output is read after it has ended.
    pub(crate) fn begin(&self, args: &[&str]) -> Begun {
        begin(&mut self.command(args))
    }

    /// Runs the binary.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        finish(self.begin(args))
    }

    /// Runs the binary as another controller, without the state of this one.
    pub(crate) fn run_elsewhere(&self, args: &[&str]) -> Ran {
        finish(begin(
            self.command(args).env("XDG_STATE_HOME", self.path("elsewhere")),
        ))
    }

    /// Writes the exported ssh config, which leads to the nodes on its own; returns its path.
    pub(crate) fn ssh_config(&self) -> String {
        let ours = self.run(&["ssh-config"]).code(0).stdout;
        let config = self.write("ssh_config", &ours);
        config.to_str().unwrap().to_owned()
    }

    /// The state directory of the cluster.
    pub(crate) fn state(&self) -> PathBuf {
        self.path("state").join("vcluster").join(&self.name)
    }

    /// Every object of the cluster on the hosts, found without vcluster.
    pub(crate) fn traces(&self) -> Vec<String> {
        lab_hosts()
            .iter()
            .flat_map(|host| traces_on(host, &self.name))
            .collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // After a failure a host may not answer, and a second panic would end the process before the clean-up.
        if !std::thread::panicking() && self.traces().is_empty() {
            return;
        }
        // Clean up after a failed test, so that the next one is not affected.
        let down = self.run(&["down", &self.name, "--hosts", &lab_hosts().join(","), "-y"]);
        assert!(
            down.code == Some(0) || std::thread::panicking(),
            "clean-up failed: {down:?}"
        );
    }
}

/// Runs a script on a host of the lab with stock ssh.
pub(crate) fn on_host(host: &str, script: &str) -> Output {
    let config = std::env::var("VCLUSTER_SSH_CONFIG").unwrap();
    Command::new("ssh")
        .args(["-F", &config, host, script])
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// The hosts in the lab's ssh config.
pub(crate) fn lab_hosts() -> Vec<String> {
    let text = std::fs::read_to_string(std::env::var("VCLUSTER_SSH_CONFIG").unwrap()).unwrap();
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("Host "))
        .flat_map(str::split_whitespace)
        .filter(|host| host.starts_with("bm") && !host.contains('*'))
        .map(str::to_owned)
        .collect()
}

pub(crate) fn traces_on(host: &str, cluster: &str) -> Vec<String> {
    let script = format!(
        "virsh list --all --name | grep '^{cluster}[.]'; virsh pool-list --all --name | grep '[.]{cluster}[.]'; \
         ip -d link show | grep 'vcluster:{cluster}:'; ls /var/lib/libvirt/images/vcluster /var/lib/libvirt/qemu/nvram 2>/dev/null | grep '^{cluster}[.]'; true"
    );
    let output = on_host(host, &script);
    assert!(
        output.status.success(),
        "{host}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| format!("{host}: {line}"))
        .collect()
}

/// Parses JSON from a command's output.
pub(crate) fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The only file with this name below a directory.
pub(crate) fn find(dir: &Path, name: &str) -> PathBuf {
    let output = Command::new("find")
        .arg(dir)
        .args(["-name", name])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let found: Vec<&str> = text.lines().collect();
    assert_eq!(found.len(), 1, "{name} in {}: {found:?}", dir.display());
    found[0].into()
}
