//! The proof that KVM works on a host: a kernel is booted under it and must say something.
//! A device that opens proves nothing: nested virtualisation may start a guest that never runs.

use std::time::Duration;

use uuid::Uuid;
use virt::sys;

use super::connect::Host;
use super::error::{Cause, HostError};
use super::image::HostImage;
use super::pool::IMAGES_DIRECTORY;
use super::probe::{KvmKnown, Probe};
use super::xml::probe_domain;
use crate::ssh::quote;

/// Time for the first word. A kernel under KVM takes a tenth of a second.
const PATIENCE: Duration = Duration::from_secs(10);

impl Host {
    /// Whether KVM runs guests here. Boots the kernel of `image`, or the host's own where the image has none;
    /// the answer is remembered on the host until it is booted anew or gets another QEMU.
    pub async fn prove_kvm(&self, image: &HostImage) -> Result<bool, HostError> {
        self.prove(image).await.map_err(self.failed("prove KVM"))
    }

    /// As [`Self::prove_kvm`], with a kernel that an earlier `up` left on the host; `None` where there is none.
    pub async fn prove_kvm_here(&self) -> Result<Option<bool>, HostError> {
        let prove = async {
            // A file with such a name is whole: its digest was compared before it got the name.
            let said = self
                .script(&format!(
                    "ls {IMAGES_DIRECTORY} 2>/dev/null | grep -m1 -xE '[0-9a-f]{{64}}[.]kernel' || :"
                ))
                .await?;
            let name = said.trim();
            if name.is_empty() {
                return Ok(None);
            }
            let image = HostImage {
                key: String::new(),
                kernel: Some(format!("{IMAGES_DIRECTORY}/{name}")),
                initrd: None,
                cmdline: String::new(),
                disk: None,
            };
            self.prove(&image).await.map(Some)
        };
        prove.await.map_err(self.failed("prove KVM"))
    }

    async fn prove(&self, image: &HostImage) -> Result<bool, Cause> {
        let (output, version) = (
            self.script(&super::probe::script()).await?,
            self.call(virt::connect::Connect::hyp_version).await?,
        );
        let probe = Probe::read(&output).map_err(Cause::Nonsense)?;
        if let Some(known) = probe.kvm(version) {
            return Ok(known);
        }
        let kernel = match &image.kernel {
            Some(kernel) => kernel.clone(),
            None => match self.own_kernel().await? {
                Some(kernel) => kernel,
                // Nothing to boot: not proved is not used.
                None => return Ok(false),
            },
        };
        let works = self.boots(&kernel).await?;
        let known = KvmKnown {
            boot_id: probe.boot_id,
            qemu_version: version,
            works,
        };
        let json = serde_json::to_string(&known).unwrap_or_default();
        let remember = format!(
            "cd {IMAGES_DIRECTORY} && printf '%s\\n' {} >kvm.json.new && mv kvm.json.new kvm.json",
            quote(&json)
        );
        self.script(&remember).await?;
        if let Ok(mut facts) = self.inner.facts.lock()
            && let Some(facts) = facts.as_mut()
        {
            facts.kvm = Some(works);
        }
        Ok(works)
    }

    async fn own_kernel(&self) -> Result<Option<String>, Cause> {
        let said = self
            .script("k=/boot/vmlinuz-$(uname -r); [ ! -f \"$k\" ] || echo \"$k\"")
            .await?;
        let path = said.trim();
        Ok((!path.is_empty()).then(|| path.to_owned()))
    }

    async fn boots(&self, kernel: &str) -> Result<bool, Cause> {
        let name = format!("vcluster-probe-{}", Uuid::new_v4().simple());
        let log = format!("{IMAGES_DIRECTORY}/{name}.console");
        let xml = probe_domain(&name, kernel, &log);
        let started = self
            .call(move |connection| {
                // It goes with our connection, whatever happens to us.
                connection.create_domain_xml(&xml, sys::VIR_DOMAIN_START_AUTODESTROY)
            })
            .await;
        let domain = match started {
            Ok(domain) => domain,
            Err(Cause::Libvirt(error)) => {
                tracing::debug!(
                    "{}: a guest under KVM does not start: {}",
                    self.name(),
                    error.message()
                );
                let _ = self.script(&format!("rm -f {log}")).await;
                return Ok(false);
            }
            Err(cause) => return Err(cause),
        };
        let tries = PATIENCE.as_millis() / 100;
        // A `Linux version` line would do, any byte does as well: a guest that runs not one instruction prints none.
        let wait = format!(
            "i=0; while [ $i -lt {tries} ]; do [ -s {log} ] && echo yes && break; sleep 0.1; i=$((i+1)); done"
        );
        let said = self.inner.link.script(&wait, PATIENCE * 2).await;
        let ended = self
            .call(move |_| match domain.destroy() {
                // It may have ended by itself: a kernel without a root panics and stops.
                Ok(()) | Err(_) => Ok(()),
            })
            .await;
        let cleared = self.script(&format!("rm -f {log} {log}.*")).await;
        let said = said?;
        ended?;
        cleared?;
        Ok(said.trim() == "yes")
    }
}
