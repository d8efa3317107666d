//! Choices that depend on facts known only while a plan is applied. Pure, like the rest of the planner.

use serde::{Deserialize, Serialize};

use crate::base::name::HostName;
use crate::inventory::KvmSupport;
use crate::topology::{Accel, ImageSource};

/// How a guest's code is executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Acceleration {
    /// By the processor.
    Kvm,
    /// By QEMU's emulator.
    Tcg,
}

impl std::fmt::Display for Acceleration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        })
    }
}

/// The acceleration of a host's guests, from the topology and from what the test of KVM found there; `kvm` is `None` if
/// it was not tested. The result is `None` if KVM is required and not known to work.
pub fn acceleration(wanted: Accel, kvm: Option<KvmSupport>) -> Option<Acceleration> {
    match (wanted, kvm) {
        (Accel::Auto | Accel::Kvm, Some(KvmSupport::Works)) => Some(Acceleration::Kvm),
        (Accel::Auto | Accel::Tcg, _) => Some(Acceleration::Tcg),
        (Accel::Kvm, _) => None,
    }
}

/// The CPU that an emulated guest sees, by the levels of the x86-64 psABI. With KVM it sees the host's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EmulatedCpu {
    /// The first level, and random numbers: the cheapest one to emulate.
    #[default]
    #[serde(rename = "x86-64")]
    V1,
    /// With SSE4.2 and POPCNT: what RHEL 9 and its derivatives need.
    #[serde(rename = "x86-64-v2")]
    V2,
    /// With AVX2, BMI and FMA: what RHEL 10 and its derivatives need.
    #[serde(rename = "x86-64-v3")]
    V3,
}

impl std::fmt::Display for EmulatedCpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::V1 => "x86-64",
            Self::V2 => "x86-64-v2",
            Self::V3 => "x86-64-v3",
        })
    }
}

impl EmulatedCpu {
    /// Why it was chosen, for people.
    pub fn reason(self) -> &'static str {
        match self {
            Self::V1 => "built-in images need no more, and it is the cheapest",
            Self::V2 => "QEMU before 7.2 does not emulate AVX2",
            Self::V3 => "the image may be of a distribution that needs it",
        }
    }
}

/// QEMU 7.2 was the first that emulates AVX, AVX2, F16C and FMA (its changelog, "x86 TCG").
const QEMU_WITH_AVX2: u32 = 7_002_000;

/// The CPU of emulated guests from an image, on a host with this version of QEMU. A user's image may be of any
/// distribution, so it gets all that QEMU emulates; the packages of the built-in images are for the first level.
pub fn emulated_cpu(source: &ImageSource, qemu_version: u32) -> EmulatedCpu {
    match source {
        ImageSource::Micro | ImageSource::Debian => EmulatedCpu::V1,
        ImageSource::File(_) if qemu_version >= QEMU_WITH_AVX2 => EmulatedCpu::V3,
        ImageSource::File(_) => EmulatedCpu::V2,
    }
}

/// How many guests may boot at once on a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootLimits {
    /// While the machine has CPU time to spare.
    pub at_ease: usize,
    /// While it is short of CPU time.
    pub pressed: usize,
}

impl BootLimits {
    /// The limits of a machine that two hosts with these limits share: the lower ones, because their guests compete for
    /// the same CPUs.
    #[must_use]
    pub fn shared_with(self, other: Self) -> Self {
        Self {
            at_ease: self.at_ease.min(other.at_ease),
            pressed: self.pressed.min(other.pressed),
        }
    }
}

/// The limits for a machine with `cpus` CPU threads. Under emulation a booting guest keeps a whole CPU busy, so at most
/// two per CPU, and one and a half under pressure; with KVM a boot waits more than it computes. `limit` overrides both.
pub fn boot_limits(cpus: u32, acceleration: Acceleration, limit: Option<usize>) -> BootLimits {
    let cpus = cpus.max(1) as usize;
    let (at_ease, pressed) = match (limit, acceleration) {
        (Some(limit), _) => (limit.max(1), limit.max(1)),
        (None, Acceleration::Tcg) => ((cpus * 2).max(2), (cpus * 3 / 2).max(2)),
        (None, Acceleration::Kvm) => ((cpus * 4).max(4), cpus.max(2)),
    };
    BootLimits { at_ease, pressed }
}

/// Which hosts drop out when some cannot reach others. One end of every broken path must go: repeatedly the host with
/// the most broken paths; of equals, the later one in the plan.
pub fn drop_out(order: &[HostName], broken: &[(HostName, HostName)]) -> Vec<(HostName, Vec<HostName>)> {
    let mut broken: Vec<&(HostName, HostName)> = broken.iter().collect();
    let mut out = Vec::new();
    while !broken.is_empty() {
        let ways = |host: &HostName| broken.iter().filter(|(a, b)| a == host || b == host).count();
        // `max_by_key` returns the last of equals.
        let Some(worst) = order
            .iter()
            .max_by_key(|host| ways(host))
            .filter(|host| ways(host) > 0)
        else {
            break;
        };
        let mut others: Vec<HostName> = broken
            .iter()
            .filter_map(|(a, b)| {
                let other = if a == worst {
                    Some(b)
                } else {
                    Some(a).filter(|_| b == worst)
                };
                other.cloned()
            })
            .collect();
        others.sort();
        others.dedup();
        broken.retain(|(a, b)| a != worst && b != worst);
        out.push((worst.clone(), others));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<HostName> {
        text.split(' ').map(|name| name.parse().unwrap()).collect()
    }

    fn out(broken: &[&str]) -> Vec<String> {
        let broken: Vec<_> = broken
            .iter()
            .map(|pair| {
                let ends = names(pair);
                (ends[0].clone(), ends[1].clone())
            })
            .collect();
        let out = drop_out(&names("a b c d"), &broken);
        out.iter()
            .map(|(host, others)| format!("{host}: {}", crate::nodeset::fold(others)))
            .collect()
    }

    #[test]
    fn only_the_host_that_no_other_reaches_drops_out() {
        assert_eq!(out(&["a b", "b c", "d b", "b d"]), ["b: a,c,d"]);
    }

    #[test]
    fn of_two_that_do_not_reach_each_other_the_later_one_drops_out() {
        assert_eq!(out(&["a c"]), ["c: a"]);
        assert_eq!(out(&["a b", "c d"]), ["d: c", "b: a"]);
        assert_eq!(out(&[]), Vec::<String>::new());
    }

    #[test]
    fn a_host_where_kvm_is_required_and_not_known_to_work_is_never_emulated() {
        let works = Some(KvmSupport::Works);
        for other in [Some(KvmSupport::DoesNotBoot), Some(KvmSupport::NoKernel), None] {
            assert_eq!(acceleration(Accel::Kvm, other), None);
            assert_eq!(acceleration(Accel::Auto, other), Some(Acceleration::Tcg));
            assert_eq!(acceleration(Accel::Tcg, other), Some(Acceleration::Tcg));
        }
        assert_eq!(acceleration(Accel::Kvm, works), Some(Acceleration::Kvm));
        assert_eq!(acceleration(Accel::Auto, works), Some(Acceleration::Kvm));
        assert_eq!(acceleration(Accel::Tcg, works), Some(Acceleration::Tcg));
    }

    #[test]
    fn an_emulated_cpu_has_what_the_image_may_need_and_its_host_can_emulate() {
        let file = ImageSource::File("/x.qcow2".into());
        assert_eq!(emulated_cpu(&ImageSource::Micro, 9_000_000), EmulatedCpu::V1);
        assert_eq!(emulated_cpu(&ImageSource::Debian, 9_000_000), EmulatedCpu::V1);
        assert_eq!(emulated_cpu(&file, 7_001_099), EmulatedCpu::V2);
        assert_eq!(emulated_cpu(&file, 7_002_000), EmulatedCpu::V3);
        for cpu in [EmulatedCpu::V1, EmulatedCpu::V2, EmulatedCpu::V3] {
            assert_eq!(
                serde_json::to_string(&cpu).unwrap(),
                format!("\"{cpu}\""),
                "the plan has the name that is shown"
            );
        }
    }

    #[test]
    fn fewer_guests_boot_at_once_under_pressure_and_the_users_limit_wins() {
        let limits = |cpus, acceleration, limit| {
            let limits = boot_limits(cpus, acceleration, limit);
            (limits.at_ease, limits.pressed)
        };
        assert_eq!(limits(2, Acceleration::Tcg, None), (4, 3));
        assert_eq!(limits(0, Acceleration::Tcg, None), (2, 2));
        assert_eq!(limits(16, Acceleration::Kvm, None), (64, 16));
        assert_eq!(limits(16, Acceleration::Kvm, Some(0)), (1, 1));
    }

    #[test]
    fn hosts_that_share_a_machine_have_the_lower_limits_whichever_comes_first() {
        let kvm = boot_limits(16, Acceleration::Kvm, None);
        let emulated = boot_limits(16, Acceleration::Tcg, None);
        let both = BootLimits {
            at_ease: 32,
            pressed: 16,
        };
        assert_eq!(kvm.shared_with(emulated), both);
        assert_eq!(emulated.shared_with(kvm), both);
        assert_eq!(kvm.shared_with(kvm), kvm);
    }
}
