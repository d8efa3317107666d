//! Whether the path to a bare-metal host is whole. An overloaded sshd may take minutes to answer; the kernel of
//! its machine accepts a connection all the same. So silence leads to a question to the kernel, and only when that
//! is not answered either is the connection cut. Nodes are judged by their hosts instead.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::session::Inner;
use crate::patience::patience;

/// How often an idle connection is asked for a sign of life.
const INTERVAL: Duration = Duration::from_secs(5);

/// How long the kernel of the host may take to accept a connection.
const PROBE: Duration = Duration::from_secs(5);

/// So many probes in a row that failed are a broken path.
const PROBES: u32 = 2;

/// A host whose kernel answers and whose sshd does not say a word for so long has an sshd that hangs.
const HANGS: Duration = Duration::from_mins(5);

/// The same where the kernel cannot be asked, because the way leads through a jump host.
const UNASKED: Duration = Duration::from_mins(1);

/// Watches a connection until it ends or nobody holds it any more.
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
        // A refusal comes at once.
        sleep(patience(PROBE).saturating_sub(asked.elapsed())).await;
    }
}
