//! The way to the nodes of one host: its session, opened again when it was lost.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::error::SshError;
use super::session::{HostTarget, Session};

/// After an attempt that failed, those who waited for it get its error for so long.
const REMEMBERED: Duration = Duration::from_millis(500);

/// A session of a host that outlives its connections.
pub struct HostWay {
    /// How to connect again; `None`: a connection that is lost stays so.
    target: Option<HostTarget>,
    state: Mutex<State>,
}

struct State {
    session: Arc<Session>,
    failed: Option<(Instant, String)>,
}

impl HostWay {
    /// A way over an open session that can be opened again.
    pub fn new(session: Arc<Session>, target: HostTarget) -> Arc<Self> {
        Self::over(session, Some(target))
    }

    /// A way that ends with this session.
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

    /// The session, opened again if it was lost.
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
                // A host key that changed meanwhile is no broken path.
                if error.is_transient() {
                    return Err(lost(error.to_string()));
                }
                Err(error)
            }
        }
    }
}
