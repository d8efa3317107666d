//! The states of the domains on a host.

use std::collections::{BTreeMap, HashMap, HashSet};

use async_trait::async_trait;
use virt::connect::Connect;
use virt::domain::Domain;
use virt::enumutil::Enum;
use virt::error::{Error, ErrorNumber};
use virt::sys;

use crate::host::connect::{Connection, Host};
use crate::host::error::HostError;
use crate::host::transport::libvirt::is;
use crate::inventory::{DomainState, NotRunning};

/// The states of the domains on a host, ours and others.
#[async_trait]
pub trait DomainStates: Send + Sync {
    /// States of all domains on the host, by domain name.
    async fn states(&self) -> Result<HashMap<String, DomainState>, HostError>;

    /// Names of the domains that are not off, in one call: cheap enough to be polled.
    async fn active(&self) -> Result<HashSet<String>, HostError>;

    /// Which of these domains do not run, and why. Cheap enough to be polled: only these domains take a call each.
    async fn not_running(&self, domains: &[String]) -> Result<BTreeMap<String, NotRunning>, HostError>;
}

#[async_trait]
impl DomainStates for Host {
    async fn states(&self) -> Result<HashMap<String, DomainState>, HostError> {
        self.call(|connection| {
            let domains = list(connection)?;
            domains
                .into_iter()
                .map(|(domain, state)| Ok((domain.name()?, state)))
                .collect()
        })
        .await
        .map_err(self.failed("list the domains"))
    }

    async fn active(&self) -> Result<HashSet<String>, HostError> {
        self.call(|connection| {
            let domains = connection.list_all_domains(sys::VIR_CONNECT_LIST_DOMAINS_ACTIVE)?;
            domains.iter().map(Domain::name).collect()
        })
        .await
        .map_err(self.failed("list the domains"))
    }

    async fn not_running(&self, domains: &[String]) -> Result<BTreeMap<String, NotRunning>, HostError> {
        let (domains, host) = (domains.to_vec(), self.name().clone());
        self.call(move |connection| {
            let running = connection.list_all_domains(sys::VIR_CONNECT_LIST_DOMAINS_RUNNING)?;
            let running: HashSet<String> = running.iter().map(Domain::name).collect::<Result<_, _>>()?;
            let mut dead = BTreeMap::new();
            for name in domains.into_iter().filter(|name| !running.contains(name)) {
                let why = match connection.lookup_domain_by_name(&name) {
                    Ok(domain) => ended(&domain),
                    Err(error) if is(&error, ErrorNumber::NoDomain) => {
                        Some(("was removed from".to_owned(), false))
                    }
                    Err(error) => return Err(error),
                };
                if let Some((why, may_continue)) = why {
                    let reason = format!("the guest {why} {host}");
                    dead.insert(name, NotRunning { reason, may_continue });
                }
            }
            Ok(dead)
        })
        .await
        .map_err(self.failed("list the domains"))
    }
}

/// All domains with their states. States come from lists, not from one call per domain; only a domain that is
/// neither running nor off, or that changed between the lists, takes its own call.
pub(crate) fn list(connection: &Connect) -> Result<Vec<(Domain, DomainState)>, Error> {
    let mut states = HashMap::new();
    let domains = connection.list_all_domains(0)?;
    for (flag, state) in [
        (sys::VIR_CONNECT_LIST_DOMAINS_RUNNING, DomainState::Running),
        (sys::VIR_CONNECT_LIST_DOMAINS_SHUTOFF, DomainState::Off),
    ] {
        for domain in connection.list_all_domains(flag)? {
            states.insert(domain.uuid()?, state);
        }
    }
    let mut all = Vec::with_capacity(domains.len());
    for domain in domains {
        let state = match states.get(&domain.uuid()?) {
            Some(state) => *state,
            None => match state_of(&domain) {
                Some(state) => state,
                // It was removed between the calls.
                None => continue,
            },
        };
        all.push((domain, state));
    }
    Ok(all)
}

pub(crate) fn state_of(domain: &Domain) -> Option<DomainState> {
    use virt::domain::DomainState as Virt;
    let (Enum::Known(state), _) = domain.state().ok()? else {
        return Some(DomainState::Running);
    };
    Some(match state {
        Virt::Crashed => DomainState::Crashed,
        Virt::Shutoff => DomainState::Off,
        Virt::Paused | Virt::PMSuspended => DomainState::Paused,
        Virt::NoState | Virt::Running | Virt::Blocked | Virt::Shutdown => DomainState::Running,
    })
}

/// Why a domain does not run: `is off (destroyed) on`, and whether it may continue; `None` if it runs.
fn ended(domain: &Domain) -> Option<(String, bool)> {
    use virt::domain::{DomainState as Virt, DomainStateReason as Reason};
    let (Enum::Known(state), reason) = domain.state().ok()? else {
        return None;
    };
    let (what, may_continue) = match state {
        Virt::Crashed => ("crashed on", false),
        Virt::Shutoff => ("is off on", false),
        Virt::Paused => ("is paused on", true),
        Virt::PMSuspended => ("is suspended on", true),
        Virt::NoState | Virt::Running | Virt::Blocked | Virt::Shutdown => return None,
    };
    // `Destroyed`, `IoError`: libvirt's own terms.
    let reason = match reason {
        Enum::Known(Reason::Shutoff(Enum::Known(reason))) => format!("{reason:?}"),
        Enum::Known(Reason::Paused(Enum::Known(reason))) => format!("{reason:?}"),
        Enum::Known(Reason::Crashed(Enum::Known(reason))) => format!("{reason:?}"),
        _ => return Some((what.to_owned(), may_continue)),
    };
    let (verb, on) = what.rsplit_once(' ').unwrap_or((what, "on"));
    Some((format!("{verb} ({}) {on}", reason.to_lowercase()), may_continue))
}
