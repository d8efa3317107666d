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
        };
        Arc::new(Self {
            target,
            state: Mutex::new(state),
        })
    }

    /// The session, reopened if it was lost.
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
                Ok(state.session.clone())
            }
            Err(error) => {
                state.failed = Some((Instant::now(), error.to_string()));
                // A changed host key is not a lost connection.
                if error.is_transient() {
                    return Err(lost(error.to_string()));
                }
                Err(error)
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
