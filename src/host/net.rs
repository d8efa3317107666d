//! Creates a host's part of the cluster's network, with the scripts of [`crate::network`].

use std::net::IpAddr;

use super::connect::Host;
use super::error::{Cause, HostError};
use crate::base::name::HostName;
use crate::network::{self, NetworkError, Seen, Wanted};

/// What was done to the network of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkChange {
    /// Whether anything was changed.
    pub changed: bool,
    /// Possible obstacles, as shown to the user.
    pub notes: Vec<String>,
}

impl From<NetworkError> for Cause {
    fn from(error: NetworkError) -> Self {
        match error {
            NetworkError::ForeignLink(_) => Self::Foreign(error.to_string()),
            _ => Self::Other(error.to_string()),
        }
    }
}

impl Host {
    /// Creates bridge, VXLAN and NAT of a cluster; changes only what differs.
    pub async fn ensure_network(&self, wanted: &Wanted) -> Result<NetworkChange, HostError> {
        let doing = format!("create the bridge `{}`", wanted.bridge);
        let changes = async {
            let output = self.ask(&network::seen_script(wanted)).await?;
            let seen = Seen::read(&output).map_err(|error| Cause::Nonsense(error.to_string()))?;
            Ok(network::changes(wanted, &seen)?)
        };
        let changes = changes.await.map_err(self.failed(&doing))?;
        let change = NetworkChange {
            changed: !changes.is_empty(),
            notes: changes.notes.clone(),
        };
        if change.changed {
            self.script(&changes.script())
                .await
                .map_err(self.failed(&doing))
                .map_err(|error| error.leaving(format!("the bridge `{}`", wanted.bridge)))?;
        }
        Ok(change)
    }

    /// Checks that packets as large as the plan needs reach these hosts. Returns the hosts that do not respond at all; a host that only smaller packets reach is an error.
    pub async fn prove_mtu(
        &self,
        mtu: u32,
        peers: &[(&HostName, IpAddr)],
    ) -> Result<Vec<HostName>, HostError> {
        if peers.is_empty() {
            return Ok(Vec::new());
        }
        let doing = "send full-size packets to the other hosts";
        let output = self
            .ask(&network::mtu_script(mtu, peers))
            .await
            .map_err(self.failed(doing))?;
        let (silent, narrow): (Vec<_>, Vec<_>) = network::read_mtu(&output, mtu, peers)
            .into_iter()
            .partition(|failure| failure.unreachable);
        if narrow.is_empty() {
            return Ok(silent.into_iter().map(|failure| failure.peer).collect());
        }
        let words: Vec<String> = narrow
            .iter()
            .map(|failure| {
                let (peer, address, size) = (&failure.peer, failure.address, failure.size);
                format!("a packet of {size} bytes does not reach `{peer}` ({address}) unfragmented")
            })
            .collect();
        Err(self.failed(doing)(Cause::Path(words.join("; "))))
    }

    /// Share of the last ten seconds in which some task waited for a CPU, in percent;
    /// `None` if the kernel does not measure it.
    pub async fn cpu_pressure(&self) -> Result<Option<f64>, HostError> {
        let said = self
            .ask("cat /proc/pressure/cpu 2>/dev/null || :")
            .await
            .map_err(self.failed("read the CPU pressure"))?;
        let average = said
            .lines()
            .find(|line| line.starts_with("some "))
            .and_then(|line| line.split(' ').find_map(|word| word.strip_prefix("avg10=")));
        Ok(average.and_then(|number| number.parse().ok()))
    }
}
