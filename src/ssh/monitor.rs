//! Monitors the path to a bare-metal host. An overloaded sshd may take minutes to respond, but the kernel of its
//! machine still accepts connections. So if a ping gets no response, the kernel is probed with a TCP connect, and only
//! if that fails too is the connection cut. For nodes, their hosts report whether they run.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::channel::Inner;
use crate::base::patience::patience;

/// The interval of the pings.
const INTERVAL: Duration = Duration::from_secs(5);

/// How long the kernel of the host may take to accept a connection.
const PROBE: Duration = Duration::from_secs(5);

/// This many failed probes in a row mean a broken path.
const PROBES: u32 = 2;

/// If the kernel accepts connections but sshd stays silent for this long, sshd hangs.
const HANGS: Duration = Duration::from_mins(5);

/// The same if the kernel cannot be probed, because the path goes through a jump host.
const UNASKED: Duration = Duration::from_mins(1);

/// Watches a connection until it ends or is dropped.
pub(super) fn watch(session: &Arc<Inner>, address: Option<SocketAddr>) {
    tokio::spawn(run(Arc::downgrade(session), address));
}

async fn run(session: Weak<Inner>, address: Option<SocketAddr>) {
    loop {
        sleep(patience(INTERVAL)).await;
        let Some(session) = session.upgrade() else { return };
        if session.handle.is_closed() {
            return;
        }
        let asked = session.handle.send_ping();
        let answered = tokio::select! {
            answer = asked => answer.is_ok(),
            () = is_broken(address) => false,
        };
        if !answered {
            session.shared.cut.cancel();
            return;
        }
    }
}

/// Returns once there is evidence that the path is broken.
async fn is_broken(address: Option<SocketAddr>) {
    let began = Instant::now();
    let Some(address) = address else {
        sleep(patience(UNASKED)).await;
        return;
    };
    let mut failed = 0;
    sleep(patience(INTERVAL)).await;
    while failed < PROBES && began.elapsed() < patience(HANGS) {
        let asked = Instant::now();
        match timeout(patience(PROBE), TcpStream::connect(address)).await {
            Ok(Ok(_)) => failed = 0,
            _ => failed += 1,
        }
        // A refused connection fails at once.
        sleep(patience(PROBE).saturating_sub(asked.elapsed())).await;
    }
}
