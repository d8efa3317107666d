//! The connection of a host in memory.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::FakeHost;
use crate::base::name::HostName;
use crate::host::connect::Connection;
use crate::ssh::Session;

#[async_trait]
impl Connection for FakeHost {
    fn name(&self) -> &HostName {
        &self.name
    }

    fn session(&self) -> Option<Arc<Session>> {
        None
    }

    fn connect_timeout(&self) -> Duration {
        Duration::from_secs(1)
    }

    async fn close(&self) {
        let mut hosts = self.hosts.state();
        if let Some(state) = hosts.get_mut(&self.name) {
            state
                .locks
                .retain(|_, (connection, _)| *connection != self.connection);
        }
    }
}
