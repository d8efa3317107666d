//! The path to the nodes of one host: its session, reopened after a loss.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::error::SshError;
use super::request::HostTarget;
use super::session::Session;

/// For this long after a failed attempt, other callers get its error instead of a new attempt.
const REMEMBERED: Duration = Duration::from_millis(500);

/// A session of a host that survives reconnects.
pub struct HostWay {
    /// How to reconnect; `None`: never.
    target: Option<HostTarget>,
    state: Mutex<State>,
}

struct State {
    session: Arc<Session>,
    failed: Option<(Instant, String)>,
    /// Whether the last attempt was a rejected login.
    rejected: bool,
}

impl HostWay {
    /// A path over an open session that can be reopened.
    pub fn new(session: Arc<Session>, target: HostTarget) -> Arc<Self> {
        Self::over(session, Some(target))
    }

    /// A path that ends with this session.
    pub fn fixed(session: Arc<Session>) -> Arc<Self> {
        Self::over(session, None)
    }

    fn over(session: Arc<Session>, target: Option<HostTarget>) -> Arc<Self> {
        let state = State {
            session,
            failed: None,
            rejected: false,
        };
        Arc::new(Self {
            target,
            state: Mutex::new(state),
        })
    }

    /// The session, reopened if it was lost. As the host was reached before, an error means that the path to it is still
    /// lost, except if the host is another one now or rejects the login twice in a row.
    pub async fn session(&self) -> Result<Arc<Session>, SshError> {
        let mut state = self.state.lock().await;
        if !state.session.is_closed() {
            return Ok(state.session.clone());
        }
        let name = state.session.name().to_owned();
        let lost = |reason: String| SshError::Lost { target: name, reason };
        let Some(target) = &self.target else {
            return Err(state.session.lost());
        };
        if let Some((at, why)) = &state.failed
            && at.elapsed() < REMEMBERED
        {
            return Err(lost(why.clone()));
        }
        match Session::connect_host(target).await {
            Ok(session) => {
                state.session = Arc::new(session);
                state.failed = None;
                state.rejected = false;
                Ok(state.session.clone())
            }
            Err(error) => {
                state.failed = Some((Instant::now(), error.to_string()));
                let is_rejection = matches!(error, SshError::Login { .. });
                let rejected_before = std::mem::replace(&mut state.rejected, is_rejection);
                // A connection that is lost during the login can look like one, so only a second one counts.
                if error.is_refusal() && (!is_rejection || rejected_before) {
                    return Err(error);
                }
                Err(lost(error.to_string()))
            }
        }
    }
}

/// The path to a node.
#[derive(Clone)]
pub enum Via {
    /// Its address has a route from here.
    Direct,
    /// Through its host.
    Host(Arc<HostWay>),
    /// Its host could not be reached, and why: only this host's nodes fail.
    Lost(String),
}
