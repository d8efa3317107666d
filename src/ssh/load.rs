//! How busy a machine is, as its host reports it.

use std::time::Duration;

use tokio::time::timeout;

use super::request::{CommandShell, ExecRequest};
use super::way::{HostWay, Via};
use crate::base::patience::patience;

/// Time for a host to report its load.
const ANSWER: Duration = Duration::from_secs(10);

/// Boot id, CPU pressure, load and CPUs of a machine.
const SCRIPT: &str = "cat /proc/sys/kernel/random/boot_id; cat /proc/loadavg; grep -c '^cpu[0-9]' /proc/stat; \
                      cat /proc/pressure/cpu 2>/dev/null; true";

/// The load of a machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Load {
    /// Identifies the machine: simulated hosts share one.
    pub boot_id: String,
    /// Load average of the last minute.
    pub average: f64,
    /// CPU threads.
    pub cpus: usize,
    /// Microseconds in which something waited for a CPU, since boot, if the kernel counts them.
    pub(crate) stalled: Option<u64>,
}

/// What a host that was asked for its load has reported.
#[derive(Debug)]
pub(super) enum Report {
    /// Its load.
    Load(Load),
    /// It reports none, or it was not reached when the command began.
    Nothing,
    /// It has not answered in time. That is a sign of load, not of its absence.
    Silent,
}

impl Load {
    /// Whether the load average exceeds the number of CPUs: responses may be slow.
    pub fn is_busy(&self) -> bool {
        self.average > self.cpus as f64
    }

    /// Parses the script's output.
    fn read(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let boot_id = lines.next()?.trim().to_owned();
        let average = lines.next()?.split(' ').next()?.parse().ok()?;
        let cpus = lines.next()?.trim().parse().ok()?;
        let some = lines.find(|line| line.starts_with("some "));
        let stalled = some.and_then(|line| line.split("total=").nth(1)?.trim().parse().ok());
        (!boot_id.is_empty()).then_some(Self {
            boot_id,
            average,
            cpus,
            stalled,
        })
    }

    /// The load of a host, if it reports one in time.
    pub(super) async fn of(via: &Via) -> Option<Self> {
        match Self::ask(via).await {
            Report::Load(load) => Some(load),
            Report::Nothing | Report::Silent => None,
        }
    }

    /// Asks a host for its load.
    pub(super) async fn ask(via: &Via) -> Report {
        let answer = match via {
            Via::Lost(_) => return Report::Nothing,
            Via::Direct => timeout(patience(ANSWER), output_here()).await,
            Via::Host(way) => timeout(patience(ANSWER), output_of(way)).await,
        };
        let Ok(Some(stdout)) = answer else {
            return Report::Silent;
        };
        Self::read(&String::from_utf8_lossy(&stdout)).map_or(Report::Nothing, Report::Load)
    }
}

/// The script's output on this machine.
async fn output_here() -> Option<Vec<u8>> {
    let mut command = tokio::process::Command::new("sh");
    let output = command.args(["-c", SCRIPT]).kill_on_drop(true).output();
    Some(output.await.ok()?.stdout)
}

/// The script's output on a host.
async fn output_of(way: &HostWay) -> Option<Vec<u8>> {
    let request = ExecRequest {
        command: SCRIPT.to_owned(),
        shell: CommandShell::Sh,
        timeout: Some(patience(ANSWER)),
        limit: 4 << 10,
        ..ExecRequest::default()
    };
    let session = way.session().await.ok()?;
    Some(session.exec(&request).await.ok()?.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_load_of_a_machine_is_parsed_with_and_without_pressure() {
        let text = "0badcafe\n276.10 200.0 99.9 150/999 12345\n2\nsome avg10=99.00 avg60=1.0 avg300=0.1 total=123\n\
                    full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n";
        let load = Load::read(text).unwrap();
        assert_eq!((load.cpus, load.stalled), (2, Some(123)));
        assert!((load.average - 276.1).abs() < 0.01);
        assert_eq!(Load::read("id\n0.5 0 0\n8\n").unwrap().stalled, None);
        assert_eq!(Load::read("\n0.5 0 0\n8\n"), None);
        assert_eq!(Load::read("command not found"), None);
    }
}
