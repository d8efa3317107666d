//! The KVM check of a host: a kernel is booted under KVM and must get as far as its first process.
//! A device that opens is not enough: nested virtualisation may start a guest that never runs, or that prints its first
//! lines after some seconds and then stops.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;
use virt::sys;

use super::domain;
use crate::base::crash_point;
use crate::base::shell::quote;
use crate::host::connect::{Connection, Host};
use crate::host::error::{Cause, HostError};
use crate::host::inspect::probe::{KvmKnown, Probe};
use crate::host::layout::{KVM_RESULT, console_file, directory};
use crate::host::reason::Reason;
use crate::host::storage::artifact::HostImage;
use crate::host::xml::probe_domain;
use crate::inventory::{KvmSupport, Mark, PROBE_NODE};

/// Time for the boot. A kernel under KVM takes a second.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a kernel prints when it is up: it starts its first process, or there is none.
const IS_UP: &str = "as init process|Kernel panic - not syncing: VFS";

/// A script that waits until the kernel is up, and then prints `yes`.
fn await_boot(log: &str, patience: Duration) -> String {
    let tries = patience.as_millis() / 100;
    format!(
        "i=0; while [ $i -lt {tries} ]; do grep -Eqs '{IS_UP}' {log} && echo yes && break; sleep 0.1; i=$((i+1)); done"
    )
}

/// The mark of the probe guest, like that of a node of the cluster.
fn probe_mark(like: &Mark) -> Option<Mark> {
    Some(Mark {
        node: PROBE_NODE.parse().ok()?,
        index: 0,
        ..like.clone()
    })
}

/// What a test that has run means.
fn support(boots: bool) -> KvmSupport {
    if boots {
        KvmSupport::Works
    } else {
        KvmSupport::DoesNotBoot
    }
}

/// Whether the probe guest did not start for a reason that has nothing to do with KVM.
fn is_lack_of_room(cause: &Cause) -> bool {
    matches!(
        cause,
        Cause::Libvirt {
            reason: Some(Reason::NoMemory | Reason::NoSpace),
            ..
        }
    )
}

/// The KVM check of a host.
#[async_trait]
pub trait KvmCheck: Send + Sync {
    /// Whether KVM runs guests here. Boots the kernel of `image`, or the host's own if the image has none; if there was
    /// a kernel, the result is cached on the host until it reboots or gets another QEMU. `like` is the mark of any node
    /// of the cluster.
    ///
    /// While it runs, the probe guest is a node of the cluster, with its mark and with the console in its directory: if
    /// the check is interrupted, the next `up` or `down` removes it.
    async fn prove_kvm(&self, like: &Mark, image: &HostImage) -> Result<KvmSupport, HostError>;
}

#[async_trait]
impl KvmCheck for Host {
    async fn prove_kvm(&self, like: &Mark, image: &HostImage) -> Result<KvmSupport, HostError> {
        self.prove(like, image).await.map_err(self.failed("check KVM"))
    }
}

impl Host {
    async fn prove(&self, like: &Mark, image: &HostImage) -> Result<KvmSupport, Cause> {
        let (output, version) = (
            self.query(&crate::host::inspect::probe::script()).await?,
            self.call(virt::connect::Connect::hyp_version).await?,
        );
        let probe = Probe::read(&output).map_err(Cause::Nonsense)?;
        if let Some(works) = probe.kvm(version) {
            return Ok(support(works));
        }
        let kernel = match &image.kernel {
            Some(kernel) => kernel.clone(),
            None => match self.own_kernel().await? {
                Some(kernel) => kernel,
                // Nothing is cached: the next image may have a kernel.
                None => return Ok(KvmSupport::NoKernel),
            },
        };
        let works = self.boots(like, &kernel).await?;
        let known = KvmKnown {
            boot_id: probe.boot_id,
            qemu_version: version,
            works,
        };
        let json = serde_json::to_string(&known).unwrap_or_default();
        // A torn write is invalid JSON and just triggers another probe.
        let remember = format!("printf '%s\\n' {} >{KVM_RESULT}", quote(&json));
        self.script(&remember).await?;
        if let Ok(mut facts) = self.inner.facts.lock()
            && let Some(facts) = facts.as_mut()
        {
            facts.kvm = Some(works);
        }
        Ok(support(works))
    }

    async fn own_kernel(&self) -> Result<Option<String>, Cause> {
        let output = self
            .query("k=/boot/vmlinuz-$(uname -r); [ ! -f \"$k\" ] || echo \"$k\"")
            .await?;
        let path = output.trim();
        Ok((!path.is_empty()).then(|| path.to_owned()))
    }

    async fn boots(&self, like: &Mark, kernel: &str) -> Result<bool, Cause> {
        let Some(mark) = probe_mark(like) else {
            return Ok(false);
        };
        let cluster = mark.cluster_ref();
        let log = format!("{}/{}", directory(&cluster), console_file(&mark.node));
        // No node can have this UUID: node names contain no colon.
        let uuid = Uuid::new_v5(&mark.cluster_id, b"probe:kvm");
        let xml = probe_domain(&mark, uuid, kernel, &log);
        // The guest of an interrupted check ends with its connection, but possibly later than now.
        self.with_domain(uuid, &cluster, domain::remove).await?;
        let clear = format!("rm -f {log} {log}.*");
        // What it printed must not count for this one.
        self.script(&clear).await?;
        let started = self
            .call(move |connection| {
                // It is removed when our connection ends, even after a crash.
                crash_point::point!("probe start before");
                let started = connection.create_domain_xml(&xml, sys::VIR_DOMAIN_START_AUTODESTROY);
                crash_point::point!("probe start after");
                started
            })
            .await;
        let domain = match started {
            Ok(domain) => domain,
            Err(cause) if is_lack_of_room(&cause) => {
                let _ = self.script(&clear).await;
                return Err(cause);
            }
            Err(Cause::Libvirt { error, .. }) => {
                tracing::debug!(
                    "{}: a guest does not start under KVM: {}",
                    self.name(),
                    error.message()
                );
                let _ = self.script(&clear).await;
                return Ok(false);
            }
            Err(cause) => return Err(cause),
        };
        let output = self
            .inner
            .link
            .query(&await_boot(&log, PATIENCE), PATIENCE * 2)
            .await;
        let ended = self
            .call(move |_| {
                // It may have ended by itself: a kernel without a root file system panics and stops.
                let _ = domain.destroy();
                crash_point::point!("probe destroy after");
                Ok(())
            })
            .await;
        let cleared = self.script(&clear).await;
        let output = output?;
        ended?;
        cleared?;
        Ok(output.trim() == "yes")
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_full_host_proves_nothing_about_kvm() {
        let cause = |reason| {
            let error = std::ffi::CString::new("\0").unwrap_err();
            Cause::Libvirt {
                error: Box::new(error.into()),
                reason,
            }
        };
        assert!(is_lack_of_room(&cause(Some(Reason::NoMemory))));
        assert!(is_lack_of_room(&cause(Some(Reason::NoSpace))));
        assert!(!is_lack_of_room(&cause(Some(Reason::NotAllowed))));
        assert!(!is_lack_of_room(&cause(None)));
        assert!(!is_lack_of_room(&Cause::Closed));
    }

    #[test]
    fn a_kernel_is_up_when_it_has_or_misses_a_first_process_and_not_at_its_first_lines() {
        let temp = tempfile::tempdir().unwrap();
        let log = temp.path().join("console");
        let is_up = || {
            let script = await_boot(log.to_str().unwrap(), Duration::from_millis(100));
            let output = Command::new("sh").args(["-c", &script]).output().unwrap();
            String::from_utf8(output.stdout).unwrap() == "yes\n"
        };
        assert!(!is_up());
        let first = "[    0.000000] Linux version 6.1.0\n[    0.000000] BIOS-e820: [mem 0x0\n";
        std::fs::write(&log, first).unwrap();
        assert!(!is_up());
        let last = "Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)\n";
        std::fs::write(&log, format!("{first}[    1.2] {last}")).unwrap();
        assert!(is_up());
        std::fs::write(&log, format!("{first}[    0.9] Run /init as init process\n")).unwrap();
        assert!(is_up());
    }
}
