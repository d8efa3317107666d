//! What measurements on a host depend on: one short script, and the parser of its output. The output is untrusted: what
//! does not parse counts as absent.

use std::sync::Arc;

use crate::base::name::HostName;
use crate::base::shell::with_variables;
use crate::base::units::MiB;
use crate::host::connect::ConnectOptions;
use crate::host::error::HostError;
use crate::host::transport::link::HostLink;
use crate::network::section;
use crate::ssh::Session;

/// The longest text that is kept, in characters.
const LONGEST: usize = 80;

/// What measurements on a host depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Release of its kernel.
    pub kernel: Option<String>,
    /// Model of its CPUs.
    pub cpu: Option<String>,
    /// Version of their microcode.
    pub microcode: Option<String>,
    /// Their highest clock in MHz, in steps of 10.
    pub mhz: Option<u64>,
    /// CPU threads.
    pub cpus: Option<u32>,
    /// Memory.
    pub memory: Option<MiB>,
    /// Whether equal pages of guests are merged.
    pub ksm: Option<bool>,
    /// Version of libvirt.
    pub libvirt: Option<String>,
    /// Version of QEMU.
    pub qemu: Option<String>,
    /// Whether our guests run under KVM; `None` if none of them was found.
    pub kvm: Option<bool>,
}

/// Reads them over SSH, or on this machine. `domains` are the libvirt domains of our guests there.
pub async fn conditions_by_session(
    host: &HostName,
    session: Option<Arc<Session>>,
    options: &ConnectOptions,
    domains: &[&str],
) -> Result<Conditions, HostError> {
    let link = session.map_or_else(HostLink::local, HostLink::ssh);
    let output = link.query(&script(domains), options.call_timeout).await;
    let output = output.map_err(|cause| HostError::new(host, "read its kernel and its CPU", cause))?;
    Ok(Conditions::read(&output))
}

fn script(domains: &[&str]) -> String {
    let guests: Vec<String> = domains.iter().map(|domain| format!("guest={domain},")).collect();
    with_variables(&[("guests", &guests.join("\n"))], include_str!("conditions.sh"))
}

impl Conditions {
    /// Parses the output.
    fn read(output: &str) -> Self {
        let part = |name| section(output, name);
        Self {
            kernel: shown(part("kernel")),
            cpu: value(part("cpu")).and_then(shown),
            microcode: value(part("microcode")).and_then(shown),
            mhz: mhz(part("clock")),
            cpus: part("cpus").trim().parse().ok().filter(|count| *count > 0),
            memory: value(part("memory")).and_then(memory),
            ksm: part("ksm").trim().parse::<u8>().ok().map(|run| run == 1),
            libvirt: part("libvirt")
                .split_ascii_whitespace()
                .next_back()
                .and_then(shown),
            qemu: part("qemu")
                .split_once("version ")
                .and_then(|(_, rest)| rest.split_ascii_whitespace().next())
                .and_then(shown),
            kvm: kvm(part("guest")),
        }
    }
}

/// What follows the first colon: `model name : X`.
fn value(line: &str) -> Option<&str> {
    Some(line.split_once(':')?.1)
}

/// A text of one line that is short and cannot control a terminal; `None` if nothing is left of it.
fn shown(text: &str) -> Option<String> {
    let line = text.trim().lines().next()?;
    let plain = line.chars().filter(|c| c.is_ascii_graphic() || *c == ' ');
    let plain: String = plain.take(LONGEST).collect();
    let plain = plain.trim();
    (!plain.is_empty()).then(|| plain.to_owned())
}

/// `3600000` is in kHz, `cpu MHz : 2594.998` in MHz. It is measured at each boot, so its last digits differ.
fn mhz(text: &str) -> Option<u64> {
    let mhz = match value(text) {
        Some(mhz) => mhz.trim().parse::<f64>().ok()?,
        None => text.trim().parse::<f64>().ok()? / 1000.0,
    };
    (1.0..1e6)
        .contains(&mhz)
        .then(|| (mhz / 10.0).round() as u64 * 10)
}

/// ` 16318480 kB`.
fn memory(text: &str) -> Option<MiB> {
    let kib: u64 = text.split_ascii_whitespace().next()?.parse().ok()?;
    Some(MiB(kib / 1024))
}

/// The arguments of a QEMU: `-accel`, then `kvm`; or `-machine`, then `pc,accel=kvm`.
fn kvm(arguments: &str) -> Option<bool> {
    let mut words = arguments.lines().flat_map(|line| line.trim().split(','));
    words.find_map(|word| match word.strip_prefix("accel=").unwrap_or(word) {
        "kvm" => Some(true),
        "tcg" => Some(false),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_host_reports_is_read_and_what_makes_no_sense_is_absent() {
        let output = "@@kernel\n6.1.0-28-amd64\n@@cpu\nmodel name\t: Some CPU @ 2.6GHz\n\
            @@microcode\nmicrocode\t: 0x2b\n@@clock\ncpu MHz\t\t: 2594.998\n@@cpus\n8\n\
            @@memory\nMemTotal:       16318480 kB\n@@ksm\n1\n@@libvirt\nlibvirtd (libvirt) 9.0.0\n\
            @@qemu\nQEMU emulator version 7.2.22 (Debian 1:7.2)\n\
            @@guest\n-machine\npc-i440fx-7.2,usb=off\n--\n-accel\ntcg\n\n@@end\n";
        let wanted = Conditions {
            kernel: Some("6.1.0-28-amd64".into()),
            cpu: Some("Some CPU @ 2.6GHz".into()),
            microcode: Some("0x2b".into()),
            mhz: Some(2590),
            cpus: Some(8),
            memory: Some(MiB(15936)),
            ksm: Some(true),
            libvirt: Some("9.0.0".into()),
            qemu: Some("7.2.22".into()),
            kvm: Some(false),
        };
        assert_eq!(Conditions::read(output), wanted);
        let bad =
            "@@kernel\n\u{9b}\n@@cpu\nno colon\n@@clock\n-5\n@@cpus\n0\n@@memory\n: x\n@@ksm\nyes\n@@end\n";
        for output in ["", "\0\u{1b}[2J", bad] {
            assert_eq!(Conditions::read(output), Conditions::default(), "{output}");
        }
        let long = format!("@@cpu\nx: {}\u{1b}[2J\n@@end\n", "y".repeat(500));
        assert_eq!(Conditions::read(&long).cpu.unwrap(), "y".repeat(LONGEST));
    }

    #[test]
    fn the_clock_is_in_steps_of_10_mhz_and_the_acceleration_is_found_in_both_forms() {
        assert_eq!(
            [mhz("3600000\n"), mhz("x: 2595.1"), mhz("x: inf")],
            [Some(3600), Some(2600), None]
        );
        assert_eq!(
            [kvm("-accel\nkvm\n"), kvm("-machine\npc,accel=tcg,x=kvm"), kvm("")],
            [Some(true), Some(false), None]
        );
    }

    #[test]
    fn the_script_finds_its_own_machine_but_no_guest_that_is_not_there() {
        let script = script(&["demo.n1"]);
        let output = std::process::Command::new("sh")
            .args(["-c", &script])
            .output()
            .unwrap();
        let read = Conditions::read(&String::from_utf8_lossy(&output.stdout));
        assert!(output.status.success() && read.kernel.is_some(), "{read:?}");
        assert!(read.cpus.is_some() && read.memory.is_some(), "{read:?}");
    }
}
