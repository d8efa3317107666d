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
                    Err(error) if is(&error, ErrorNumber::NoDomain) => Some(Ended::Removed),
                    Err(error) => return Err(error),
                };
                if let Some(why) = why {
                    let why = why.described(&name, host.as_str());
                    dead.insert(name, why);
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

/// Whether the guest has suspended itself.
pub(crate) fn is_suspended(domain: &Domain) -> bool {
    use virt::domain::DomainState as Virt;
    matches!(domain.state(), Ok((Enum::Known(Virt::PMSuspended), _)))
}

/// Why a domain does not run, with libvirt's own word for the reason if it gives one: `destroyed`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Ended {
    /// It does not exist any more.
    Removed,
    Off(Option<String>),
    Crashed(Option<String>),
    Paused(Option<String>),
    /// Paused after a write to its disk failed.
    PausedByDisk,
    Suspended,
}

/// Why a domain does not run; `None` if it runs.
fn ended(domain: &Domain) -> Option<Ended> {
    use virt::domain::{DomainPausedReason, DomainState as Virt, DomainStateReason as Reason};
    let (Enum::Known(state), reason) = domain.state().ok()? else {
        return None;
    };
    let by_disk =
        matches!(reason, Enum::Known(Reason::Paused(Enum::Known(why))) if why == DomainPausedReason::IOError);
    let word = match reason {
        Enum::Known(Reason::Shutoff(Enum::Known(reason))) => Some(format!("{reason:?}")),
        Enum::Known(Reason::Paused(Enum::Known(reason))) => Some(format!("{reason:?}")),
        Enum::Known(Reason::Crashed(Enum::Known(reason))) => Some(format!("{reason:?}")),
        _ => None,
    };
    let word = word.map(|word| word.to_lowercase());
    match state {
        Virt::Crashed => Some(Ended::Crashed(word)),
        Virt::Shutoff => Some(Ended::Off(word)),
        Virt::Paused if by_disk => Some(Ended::PausedByDisk),
        Virt::Paused => Some(Ended::Paused(word)),
        Virt::PMSuspended => Some(Ended::Suspended),
        Virt::NoState | Virt::Running | Virt::Blocked | Virt::Shutdown => None,
    }
}

impl Ended {
    /// For people: `the guest is off (destroyed) on bm01`, and what to do about it.
    fn described(&self, domain: &str, host: &str) -> NotRunning {
        let node = domain.split_once('.').map_or(domain, |(_, node)| node);
        let with = |what: &str, word: Option<&str>| match word {
            Some(word) => format!("the guest {what} ({word}) on {host}"),
            None => format!("the guest {what} on {host}"),
        };
        let reason = match self {
            Self::Removed => format!("the guest was removed from {host}"),
            Self::Off(word) => with("is off", word.as_deref()),
            Self::Crashed(word) => with("crashed", word.as_deref()),
            Self::Paused(word) => with("is paused", word.as_deref()),
            Self::PausedByDisk => with("is paused", Some("I/O error: is a disk of the host full?")),
            Self::Suspended => with("is suspended", None),
        };
        let hint = match self {
            Self::Removed => "`vcluster up` creates it again".to_owned(),
            Self::Off(_) | Self::Crashed(_) => "`vcluster up` starts it again".to_owned(),
            Self::Paused(_) | Self::Suspended => {
                format!("`vcluster up` or `vcluster start -w {node}` resumes it")
            }
            Self::PausedByDisk => format!(
                "free space on {host} where libvirt keeps its images, then resume it there with \
                 `virsh resume {domain}`, or start it again with `vcluster restart -w {node}`"
            ),
        };
        NotRunning {
            reason,
            may_continue: matches!(self, Self::Paused(_) | Self::PausedByDisk | Self::Suspended),
            hint: Some(hint),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_does_not_run_is_described_by_libvirts_reason_with_a_hint() {
        let told = |ended: Ended| ended.described("demo.n001", "bm01");
        let off = told(Ended::Off(Some("destroyed".into())));
        assert_eq!(off.reason, "the guest is off (destroyed) on bm01");
        assert!(!off.may_continue);
        assert_eq!(told(Ended::Removed).reason, "the guest was removed from bm01");
        assert_eq!(
            told(Ended::Crashed(Some("panicked".into()))).reason,
            "the guest crashed (panicked) on bm01"
        );
        assert_eq!(told(Ended::Paused(None)).reason, "the guest is paused on bm01");
        let full = told(Ended::PausedByDisk);
        assert!(
            full.may_continue && full.reason.contains("(I/O error"),
            "{full:?}"
        );
        let hint = full.hint.unwrap();
        assert!(
            hint.contains("bm01") && hint.contains("`virsh resume demo.n001`"),
            "{hint}"
        );
        assert!(hint.contains("restart -w n001"), "{hint}");
    }
}
