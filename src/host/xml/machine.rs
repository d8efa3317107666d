//! The machine of a guest: CPU, memory, firmware and kernel. The values for emulation were measured; see the comments.

use super::tree::{Element, element};
use crate::base::units::MiB;
use crate::host::storage::artifact::HostImage;
use crate::plan::{Acceleration, EmulatedCpu};

/// QEMU's cache of translated code: below 32 MiB a booting Linux thrashes, the default takes far more memory.
pub(super) const TB_CACHE: MiB = MiB(32);

/// The same for a full distribution: Debian took 67 CPU seconds to boot with 32 MiB, 46 with 64, 42 with 128.
pub(super) const TB_CACHE_DISK: MiB = MiB(128);

/// The CPU of a guest; `None` is that of its host.
pub(super) fn guest_cpu(acceleration: Acceleration, emulated: EmulatedCpu) -> Option<EmulatedCpu> {
    match acceleration {
        Acceleration::Tcg => Some(emulated),
        Acceleration::Kvm => None,
    }
}

/// What a level of the x86-64 psABI requires beyond QEMU's `qemu64`, under libvirt's names. The features of a level
/// include those of the levels below. An explicit list, so that nodes on hosts with different versions of QEMU are equal;
/// a named model would bring features that QEMU does not emulate, and `max` another set with each version.
fn features_of(cpu: EmulatedCpu) -> impl Iterator<Item = &'static str> {
    // Without `rdrand` a guest gathers entropy from jitter: 1 CPU second at its first login.
    let first = ["rdrand"];
    let second = ["popcnt", "sse4.1", "sse4.2", "ssse3"];
    // Linux 6.1 hangs early in its boot with `xsave` but without `xsaveopt`, which no real CPU has.
    let third = [
        "abm", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "xsave", "xsaveopt",
    ];
    let second = second.into_iter().filter(move |_| cpu >= EmulatedCpu::V2);
    let third = third.into_iter().filter(move |_| cpu >= EmulatedCpu::V3);
    first.into_iter().chain(second).chain(third)
}

/// Memory, CPUs and features. Without an emulated CPU, the guest runs on those of its host.
pub(super) fn machine(memory: MiB, vcpus: u32, emulated: Option<EmulatedCpu>, cache: MiB) -> Vec<Element> {
    let mut features = element("features").child(element("acpi")).child(element("apic"));
    let mut all = vec![
        element("memory").attribute("unit", "MiB").text(memory.0),
        element("vcpu").text(vcpus),
    ];
    match emulated {
        // Under emulation QEMU's own model is the cheapest: host-model costs 20-35 % more CPU.
        Some(emulated) => {
            let cache = element("tb-cache").attribute("unit", "MiB").text(cache.0);
            features = features.child(element("tcg").child(cache));
            all.push(
                element("cpu")
                    .attribute("mode", "custom")
                    .attribute("match", "exact")
                    .attribute("check", "none")
                    .child(element("model").attribute("fallback", "forbid").text("qemu64"))
                    .children(features_of(emulated).map(|name| {
                        element("feature")
                            .attribute("policy", "require")
                            .attribute("name", name)
                    })),
            );
        }
        None => all.push(element("cpu").attribute("mode", "host-passthrough")),
    }
    all.push(features);
    all
}

/// What an image boots: its kernel, or by the BIOS what is on its disk.
pub(super) fn boot(image: &HostImage, acceleration: Acceleration, tsc_khz: Option<u64>) -> Element {
    let Some(kernel) = &image.kernel else {
        // The BIOS writes to the console what it cannot boot. With a kernel of ours it has nothing to say.
        return os_type()
            .child(element("boot").attribute("dev", "hd"))
            .child(element("bios").attribute("useserial", "yes"));
    };
    let mut line = image.cmdline.clone();
    if let (Acceleration::Tcg, Some(khz)) = (acceleration, tsc_khz) {
        // The emulated TSC runs at the host's rate. Without this option a guest calibrates it under load, gets it
        // wrong and falls back to a clock that costs a trap for every read.
        line = format!("{line} tsc_early_khz={khz}");
    }
    kernel_boot(kernel, image.initrd.as_deref(), line.trim())
}

/// The firmware that the host's QEMU offers, chosen by libvirt. Without Secure Boot, which needs a kernel that is signed
/// with known keys. Its variables are a file that libvirt creates and removes with the domain.
pub(super) fn uefi_boot() -> Element {
    let off = |name: &str| {
        element("feature")
            .attribute("enabled", "no")
            .attribute("name", name)
    };
    os_type_of("q35")
        .attribute("firmware", "efi")
        .child(
            element("firmware")
                .child(off("enrolled-keys"))
                .child(off("secure-boot")),
        )
        .child(element("boot").attribute("dev", "hd"))
}

/// A direct boot of a kernel with this command line.
pub(super) fn kernel_boot(kernel: &str, initrd: Option<&str>, line: &str) -> Element {
    os_type()
        .child(element("kernel").text(kernel))
        .children(initrd.map(|path| element("initrd").text(path)))
        .child(element("cmdline").text(line))
}

fn os_type() -> Element {
    // `pc` boots faster than q35 under emulation and has no AHCI, which Debian's cloud kernel cannot drive.
    os_type_of("pc")
}

fn os_type_of(machine: &str) -> Element {
    element("os").child(
        element("type")
            .attribute("arch", "x86_64")
            .attribute("machine", machine)
            .text("hvm"),
    )
}

/// Its clock, and what follows when it ends.
pub(super) fn behaviour() -> Vec<Element> {
    vec![
        element("clock").attribute("offset", "utc"),
        element("on_poweroff").text("destroy"),
        element("on_reboot").text("restart"),
        element("on_crash").text("destroy"),
    ]
}
