//! The reaper: a script on the host, with a timer, that removes clusters whose lease has ended even if no controller
//! ever comes back. It consists of the same scripts with which vcluster itself removes clusters.

use std::time::Duration;

use async_trait::async_trait;

use crate::base::digest::sha256;
use crate::base::shell::with_variables;
use crate::host::connect::Host;
use crate::host::error::HostError;
use crate::host::layout::{BASE, DIRECTORY_FUNCTIONS, REAPER, REAPER_UNITS, ROOT};
use crate::host::xml::MARK_URI;
use crate::network;

/// The first lines of the script.
const HEAD: &str = "#!/bin/sh
# Removes clusters of vcluster whose lease has ended, for controllers that never come back.
# Put here by `vcluster reaper install`; `vcluster reaper remove` removes it.
# usage: vcluster-reaper [--dry-run]
";

/// The state of the reaper on a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReaperState {
    /// Whether the script is installed.
    pub installed: bool,
    /// Whether it is the version that this vcluster would install.
    pub current: bool,
    /// Whether its timer runs; `None` if the host has no systemd.
    pub timer: Option<bool>,
}

/// The reaper on a host.
#[async_trait]
pub trait Reaper: Send + Sync {
    /// Installs the reaper and starts its timer.
    async fn install_reaper(&self, every: Duration) -> Result<ReaperState, HostError>;

    /// Removes the reaper.
    async fn remove_reaper(&self) -> Result<ReaperState, HostError>;

    /// Whether the reaper is installed.
    async fn reaper_state(&self) -> Result<ReaperState, HostError>;
}

#[async_trait]
impl Reaper for Host {
    async fn install_reaper(&self, every: Duration) -> Result<ReaperState, HostError> {
        self.reaper("install the reaper", &install(every)).await
    }

    async fn remove_reaper(&self) -> Result<ReaperState, HostError> {
        self.reaper("remove the reaper", &removal()).await
    }

    async fn reaper_state(&self) -> Result<ReaperState, HostError> {
        self.reaper("look for the reaper", "").await
    }
}

impl Host {
    async fn reaper(&self, doing: &str, script: &str) -> Result<ReaperState, HostError> {
        let output = self
            .script(&format!("{script}{}", state_script()))
            .await
            .map_err(self.failed(doing))?;
        let mut words = output.split_ascii_whitespace();
        let digest = words.next().unwrap_or_default();
        Ok(ReaperState {
            installed: digest != "none",
            current: digest == sha256(reaper_script()),
            timer: match words.next() {
                Some("active") => Some(true),
                Some("off") => Some(false),
                _ => None,
            },
        })
    }
}

/// Prints the digest of the script, or `none`; then the state of the timer: `active`, `off` or `nosystemd`.
fn state_script() -> String {
    format!(
        "if [ -f {REAPER} ]; then sha256sum {REAPER} | cut -c1-64; else echo none; fi\n\
         if [ ! -d /run/systemd/system ]; then echo nosystemd\n\
         elif systemctl -q is-active vcluster-reaper.timer; then echo active; else echo off; fi\n"
    )
}

/// A script that root runs on a machine to install the reaper, as [`Reaper::install_reaper`] does.
pub fn reaper_install_script(every: Duration) -> String {
    format!(
        "#!/bin/sh\n# Puts the reaper of vcluster on this host. Made by `vcluster reaper script --install`.\n{}",
        install(every)
    )
}

fn install(every: Duration) -> String {
    let service = format!(
        "[Unit]\nDescription=Remove clusters of vcluster whose lease has ended\n\n\
         [Service]\nType=oneshot\nExecStart={REAPER}\nStandardOutput=null\n"
    );
    let seconds = every.as_secs();
    let timer = format!(
        "[Unit]\nDescription=Remove clusters of vcluster whose lease has ended\n\n\
         [Timer]\nOnBootSec={seconds}s\nOnUnitActiveSec={seconds}s\n\n[Install]\nWantedBy=timers.target\n"
    );
    let reaper = reaper_script();
    let variables = [
        ("script", REAPER),
        ("units", REAPER_UNITS),
        ("reaper", reaper.as_str()),
        ("service", service.as_str()),
        ("timer", timer.as_str()),
    ];
    with_variables(&variables, include_str!("reaper_install.sh"))
}

fn removal() -> String {
    with_variables(
        &[("script", REAPER), ("units", REAPER_UNITS)],
        include_str!("reaper_remove.sh"),
    )
}

/// The script.
pub fn reaper_script() -> String {
    let variables = [("base", BASE), ("root", ROOT), ("mark_uri", MARK_URI)];
    let script = [DIRECTORY_FUNCTIONS, network::REMOVAL, include_str!("reaper.sh")].concat();
    HEAD.to_owned() + &with_variables(&variables, &script)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the script against a temporary directory instead of libvirt's, with a fake `virsh` with one domain per cluster.
    fn run(temp: &std::path::Path, args: &[&str]) -> String {
        let bin = temp.join("bin");
        let fake = "#!/bin/sh\nshift 3\ncase $1 in list) cat \"$0.domains\" ;; \
                    domname) echo \"$2\" ;; \
                    metadata) [ ! -f \"$0.mark.$2\" ] || exec cat \"$0.mark.$2\"; echo \"<vc:node>{\\\"cluster\\\":\\\"${2%%.*}\\\",\\\"cluster_id\\\":\\\"$(cat \"$0.id\")-\\\",\\\"node\\\":\\\"${2#*.}\\\"}</vc:node>\" ;; \
                    undefine) sed -i \"/^$2$/d\" \"$0.domains\" ;; esac\nexit 0\n";
        std::fs::create_dir_all(&bin).unwrap();
        for (name, text) in [
            ("virsh", fake),
            ("logger", "#!/bin/sh\n"),
            ("nft", "#!/bin/sh\nexit 1\n"),
        ] {
            use std::os::unix::fs::PermissionsExt;
            std::fs::write(bin.join(name), text).unwrap();
            std::fs::set_permissions(bin.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let path = format!("PATH=\"{}:$PATH\"\n", bin.display());
        let script = reaper_script().replace(BASE, temp.to_str().unwrap()).replacen(
            "dry=\n",
            &format!("{path}dry=\n"),
            1,
        );
        let output = std::process::Command::new("sh")
            .arg("-c")
            .arg(script)
            .arg("reaper")
            .args(args)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(errors, "", "{}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stdout).unwrap()
    }

    fn cluster(temp: &std::path::Path, name: &str, expires: &str) -> std::path::PathBuf {
        let directory = temp.join(format!("vcluster/{name}.0000000a"));
        std::fs::create_dir_all(&directory).unwrap();
        let id = "0000000a-0000-0000-0000-000000000000";
        let owner = format!("{{\"cluster\":\"{name}\",\"id\":\"{id}\",\"controller\":\"c\"}}");
        std::fs::write(directory.join("owner.json"), owner).unwrap();
        let claim = format!(
            "{{\"version\":1,\"cluster\":\"{name}\",\"id\":\"{id}\",\"expires\":{expires},\"vni\":1}}\n"
        );
        std::fs::write(directory.join("claim.json"), claim).unwrap();
        std::fs::write(directory.join("lock"), "x").unwrap();
        directory
    }

    #[test]
    fn only_an_unlocked_cluster_whose_lease_has_ended_is_reaped() {
        let temp = tempfile::tempdir().unwrap();
        let temp = temp.path();
        let ended = cluster(temp, "ended", "\"2020-01-31T12:00:00Z\"");
        let held = cluster(temp, "held", "\"2020-01-31T12:00:00Z\"");
        let alive = cluster(temp, "alive", "\"2999-01-31T12:00:00Z\"");
        let forever = cluster(temp, "forever", "null");
        let strange = cluster(temp, "strange", "\"yesterday\"");
        let foreign = cluster(temp, "foreign", "\"2020-01-31T12:00:00Z\"");
        std::fs::write(foreign.join("owner.json"), "{\"cluster\":\"other\"}").unwrap();
        std::fs::create_dir_all(temp.join("bin")).unwrap();
        std::fs::write(
            temp.join("bin/virsh.domains"),
            "ended.n1\nalive.n1\nendedmore.n1\nmine\n",
        )
        .unwrap();
        std::fs::write(temp.join("bin/virsh.id"), "0000000a").unwrap();
        let lock = std::fs::File::open(held.join("lock")).unwrap();
        let lock = nix::fcntl::Flock::lock(lock, nix::fcntl::FlockArg::LockSharedNonblock).unwrap();

        let would = run(temp, &["--dry-run"]);
        assert!(would.contains("would remove cluster ended (0000000a)"), "{would}");
        assert!(ended.exists() && !would.contains("alive") && !would.contains("foreign"));

        let output = run(temp, &[]);
        assert!(output.contains("ended: removed domain ended.n1"), "{output}");
        assert!(
            output.contains("ended: removed directory ended.0000000a"),
            "{output}"
        );
        assert!(!ended.exists());
        for kept in [&held, &alive, &forever, &strange, &foreign] {
            assert!(kept.join("claim.json").exists(), "{}\n{output}", kept.display());
        }
        let domains = std::fs::read_to_string(temp.join("bin/virsh.domains")).unwrap();
        assert_eq!(domains, "alive.n1\nendedmore.n1\nmine\n");
        drop(lock);
        assert!(run(temp, &[]).contains("removing cluster held"));
        assert!(!held.exists());
    }

    #[test]
    fn a_renamed_domain_is_removed_and_a_copy_stays_and_both_are_named() {
        let temp = tempfile::tempdir().unwrap();
        let temp = temp.path();
        let ended = cluster(temp, "ended", "\"2020-01-31T12:00:00Z\"");
        let id = uuid::Uuid::from_u128(0xa << 96);
        // The fake names a domain by its UUID.
        let renamed = crate::inventory::domain_uuid(id, &"n1".parse().unwrap()).to_string();
        std::fs::create_dir_all(temp.join("bin")).unwrap();
        std::fs::write(temp.join("bin/virsh.domains"), format!("{renamed}\ncopy\n")).unwrap();
        let mark =
            format!("<vc:node>{{\"cluster\":\"ended\",\"cluster_id\":\"{id}\",\"node\":\"n1\"}}</vc:node>\n");
        for name in [renamed.as_str(), "copy"] {
            std::fs::write(temp.join(format!("bin/virsh.mark.{name}")), &mark).unwrap();
        }
        let output = run(temp, &[]);
        assert!(
            output.contains(&format!("ended: removed domain {renamed}\n")),
            "{output}"
        );
        assert!(
            output.contains("ended: kept domain copy, a copy of a node\n"),
            "{output}"
        );
        let domains = std::fs::read_to_string(temp.join("bin/virsh.domains")).unwrap();
        assert_eq!(domains, "copy\n");
        assert!(!ended.exists());
    }

    #[test]
    fn the_scripts_pass_the_shell_lint() {
        use std::io::Write;
        for (name, script) in [
            ("reaper", reaper_script()),
            ("install", reaper_install_script(Duration::from_mins(5))),
            ("removal", format!("#!/bin/sh\n{}", removal())),
        ] {
            let mut child = std::process::Command::new("shellcheck")
                .args(["-e", "SC2016", "-"])
                .stdin(std::process::Stdio::piped())
                .stdout(std::process::Stdio::piped())
                .spawn()
                .expect("shellcheck is needed: `scripts/install test` installs it");
            child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
            let output = child.wait_with_output().unwrap();
            let found = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{name}: {found}");
        }
    }
}
