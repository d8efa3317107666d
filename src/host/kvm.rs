//! The proof that KVM works on a host: a kernel is booted under it and must say something.
//! A device that opens proves nothing: nested virtualisation may start a guest that never runs.

use std::time::Duration;

use uuid::Uuid;
use virt::sys;

use super::connect::Host;
use super::domain;
use super::error::{Cause, HostError};
use super::image::HostImage;
use super::model::Mark;
use super::pool::{self, IMAGES_DIRECTORY};
use super::probe::{KvmKnown, Probe};
use super::xml::probe_domain;
use crate::fault;
use crate::plan::Plan;
use crate::ssh::quote;

/// Time for the first word. A kernel under KVM takes a tenth of a second.
const PATIENCE: Duration = Duration::from_secs(10);

/// The node that the guest of the proof is. No group makes one of this name: nodes end in a number.
const PROBE: &str = "vcluster-probe";

/// The mark of the proof's guest; `None` for a plan without nodes, which needs no proof.
fn mark(plan: &Plan) -> Option<Mark> {
    let like = plan.nodes.first()?;
    Some(Mark {
        cluster: plan.cluster.clone(),
        cluster_id: plan.cluster_id,
        node: PROBE.parse().ok()?,
        group: like.group.clone(),
        index: 0,
        spec: like.spec.clone(),
    })
}

impl Host {
    /// Whether KVM runs guests here. Boots the kernel of `image`, or the host's own where the image has none;
    /// the answer is remembered on the host until it is booted anew or gets another QEMU.
    ///
    /// The guest of the proof is a node of the cluster for as long as it lives, with the cluster's mark and its
    /// console in the cluster's directory, so that whatever cuts the proof off, the next `up` or `down` clears it.
    pub async fn prove_kvm(&self, plan: &Plan, image: &HostImage) -> Result<bool, HostError> {
        self.prove(plan, image).await.map_err(self.failed("prove KVM"))
    }

    async fn prove(&self, plan: &Plan, image: &HostImage) -> Result<bool, Cause> {
        let (output, version) = (
            self.ask(&super::probe::script()).await?,
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
        let works = self.boots(plan, &kernel).await?;
        let known = KvmKnown {
            boot_id: probe.boot_id,
            qemu_version: version,
            works,
        };
        let json = serde_json::to_string(&known).unwrap_or_default();
        // Half of it is no JSON, and asks for another proof.
        let remember = format!("printf '%s\\n' {} >{IMAGES_DIRECTORY}/kvm.json", quote(&json));
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
            .ask("k=/boot/vmlinuz-$(uname -r); [ ! -f \"$k\" ] || echo \"$k\"")
            .await?;
        let path = said.trim();
        Ok((!path.is_empty()).then(|| path.to_owned()))
    }

    async fn boots(&self, plan: &Plan, kernel: &str) -> Result<bool, Cause> {
        let Some(mark) = mark(plan) else {
            return Ok(false);
        };
        let short_id = Plan::short_id(plan.cluster_id);
        let log = format!("{}/{PROBE}.console", pool::directory(&plan.cluster, &short_id));
        let uuid = Uuid::new_v5(&plan.cluster_id, PROBE.as_bytes());
        let xml = probe_domain(&mark, uuid, kernel, &log);
        // One of a proof that was cut off goes with its connection, but maybe not this soon.
        self.with_domain(uuid, &plan.cluster, &short_id, domain::remove)
            .await?;
        let started = self
            .call(move |connection| {
                // It goes with our connection, whatever happens to us.
                fault::point!("probe start before");
                let started = connection.create_domain_xml(&xml, sys::VIR_DOMAIN_START_AUTODESTROY);
                fault::point!("probe start after");
                started
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
        let said = self.inner.link.ask(&wait, PATIENCE * 2).await;
        let ended = self
            .call(move |_| {
                // It may have ended by itself: a kernel without a root panics and stops.
                let _ = domain.destroy();
                fault::point!("probe destroy after");
                Ok(())
            })
            .await;
        let cleared = self.script(&format!("rm -f {log} {log}.*")).await;
        let said = said?;
        ended?;
        cleared?;
        Ok(said.trim() == "yes")
    }
}
