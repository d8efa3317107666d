//! The guests of a host in memory: only records, unless the test gives them power.

use async_trait::async_trait;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::FakeHost;
use crate::base::name::NodeName;
use crate::host::error::{Cause, HostError};
use crate::host::guest::console::{ConsoleLine, Consoles, InteractiveConsole};
use crate::host::guest::domain::{Definition, Domains};
use crate::host::guest::kvm::KvmCheck;
use crate::host::storage::artifact::HostImage;
use crate::inventory::{ClusterRef, DomainState, KvmSupport, Mark, ObservedNode};

#[async_trait]
impl Domains for FakeHost {
    async fn define(&self, definition: &Definition<'_>) -> Result<bool, HostError> {
        self.call("define", |state| {
            let nodes = &mut state.contents.nodes;
            nodes.retain(|other| other.domain != definition.node.domain);
            nodes.push(ObservedNode {
                mark: definition.mark.clone(),
                domain: definition.node.domain.clone(),
                uuid: definition.node.uuid,
                state: DomainState::Off,
            });
            true
        })
    }

    async fn start(&self, domain: &str) -> Result<bool, HostError> {
        let (node, seed, changed) = self.call("start", |state| {
            let mut nodes = state.contents.nodes.iter_mut();
            let node = nodes.find(|node| node.domain == domain).unwrap();
            if state.refused.contains(&node.mark.node) {
                let cause = Cause::Other("refused by the test".into());
                return Err(HostError::new(&self.name, "start", cause));
            }
            let was = std::mem::replace(&mut node.state, DomainState::Running);
            let seed = state.seeds.get(&node.mark.node).cloned().unwrap_or_default();
            Ok((node.clone(), seed, was != DomainState::Running))
        })??;
        if let (Some(power), true) = (&self.hosts.power, changed) {
            power.on(&self.name, &node, &seed);
        }
        Ok(changed)
    }

    async fn stop(&self, cluster: &ClusterRef, uuid: Uuid) -> Result<bool, HostError> {
        let stopped = self.call("stop", |state| {
            let mut nodes = state.contents.nodes.iter_mut();
            let node = nodes.find(|node| node.uuid == uuid && node.mark.cluster_ref() == *cluster)?;
            let was = std::mem::replace(&mut node.state, DomainState::Off);
            (was != DomainState::Off).then(|| node.clone())
        })?;
        self.off(stopped.as_slice());
        Ok(stopped.is_some())
    }
}

#[async_trait]
impl KvmCheck for FakeHost {
    async fn prove_kvm(&self, _like: &Mark, _image: &HostImage) -> Result<KvmSupport, HostError> {
        self.call("prove_kvm", |_| KvmSupport::DoesNotBoot)
    }
}

#[async_trait]
impl Consoles for FakeHost {
    async fn watch_consoles(
        &self,
        _cluster: &ClusterRef,
        _nodes: Vec<NodeName>,
    ) -> Result<mpsc::Receiver<ConsoleLine>, HostError> {
        self.call("watch_consoles", |_| mpsc::channel(1).1)
    }

    async fn console_tail(
        &self,
        _cluster: &ClusterRef,
        _node: &NodeName,
        _lines: usize,
    ) -> Result<String, HostError> {
        self.call("console_tail", |_| String::new())
    }

    async fn console(&self, _domain: &str) -> Result<InteractiveConsole, HostError> {
        let cause = Cause::Other("a host in memory has no live consoles".into());
        Err(HostError::new(&self.name, "open a console", cause))
    }
}
