//! Domains. The values for emulation were measured; see the comments.

use super::metadata::write_mark;
use super::tree::{Element, element};
use crate::base::units::MiB;
use crate::host::layout::{console_file, overlay_file, seed_file};
use crate::host::storage::artifact::HostImage;
use crate::image::Format;
use crate::inventory::{Firmware, Mark, domain_name};
use crate::plan::{Acceleration, EmulatedCpu, NodePlan};

/// QEMU's cache of translated code: below 32 MiB a booting Linux thrashes, the default takes far more memory.
const TB_CACHE: MiB = MiB(32);

/// The same for a full distribution: Debian took 67 CPU seconds to boot with 32 MiB, 46 with 64, 42 with 128.
const TB_CACHE_DISK: MiB = MiB(128);

/// The input for a domain.
pub(in crate::host) struct DomainInput<'a> {
    pub(in crate::host) node: &'a NodePlan,
    pub(in crate::host) mark: &'a Mark,
    pub(in crate::host) image: &'a HostImage,
    pub(in crate::host) acceleration: Acceleration,
    /// Directory of the cluster's pool.
    pub(in crate::host) directory: &'a str,
    pub(in crate::host) bridge: &'a str,
    pub(in crate::host) mtu: u32,
    /// TSC frequency of the host, if known.
    pub(in crate::host) tsc_khz: Option<u64>,
}

/// The domain of a node.
pub(in crate::host) fn domain(input: &DomainInput<'_>) -> String {
    let node = input.node;
    let path = |file: String| format!("{}/{file}", input.directory);
    let has_disk = input.image.disk.is_some() || node.spec.disk.is_some();
    let mut disks = Vec::new();
    if has_disk {
        disks.push(overlay(input, &path(overlay_file(&node.name))));
    }
    disks.push(
        disk(
            Format::Raw,
            &path(seed_file(&node.name)),
            if has_disk { "vdb" } else { "vda" },
        )
        .child(element("readonly")),
    );
    let mut devices = element("devices")
        .children(lean_controllers())
        .children(disks)
        .child(
            element("interface")
                .attribute("type", "bridge")
                .child(element("mac").attribute("address", node.spec.mac))
                .child(element("source").attribute("bridge", input.bridge))
                .child(element("model").attribute("type", "virtio"))
                .child(element("mtu").attribute("size", input.mtu))
                // Nodes do not boot from the network: the ROM would only cost memory and boot time.
                .child(element("rom").attribute("enabled", "no")),
        )
        .children(console(&path(console_file(&node.name))));
    if input.image.disk.is_some() {
        // A full distribution needs entropy early; a micro node has the driver only as an unloaded module.
        devices = devices.child(
            element("rng").attribute("model", "virtio").child(
                element("backend")
                    .attribute("model", "random")
                    .text("/dev/urandom"),
            ),
        );
    }
    let cache = if input.image.disk.is_some() {
        TB_CACHE_DISK
    } else {
        TB_CACHE
    };
    let uefi = input.image.kernel.is_none() && node.spec.firmware == Firmware::Uefi;
    frame(&node.domain, input.acceleration)
        .child(element("uuid").text(node.uuid))
        .child(element("title").text(format!("{} of {}", node.name, input.mark.cluster)))
        .child(element("metadata").child(write_mark(input.mark)))
        .children(machine(
            node.spec.memory,
            node.spec.vcpus,
            guest_cpu(input.acceleration, node.emulated_cpu),
            cache,
        ))
        .child(if uefi { uefi_boot() } else { boot(input) })
        .children(behaviour())
        .child(devices)
        .render()
}

/// A temporary domain that boots a kernel under KVM to check whether it prints anything.
pub(in crate::host) fn probe_domain(mark: &Mark, uuid: uuid::Uuid, kernel: &str, log: &str) -> String {
    frame(&domain_name(&mark.cluster, &mark.node), Acceleration::Kvm)
        .child(element("uuid").text(uuid))
        .child(element("metadata").child(write_mark(mark)))
        .children(machine(MiB(128), 1, None, TB_CACHE))
        .child(kernel_boot(
            kernel,
            None,
            "console=ttyS0 earlyprintk=serial,ttyS0,115200 panic=-1",
        ))
        .children(behaviour())
        .child(
            element("devices")
                .children(lean_controllers())
                .children(console(log)),
        )
        .render()
}

fn frame(name: &str, acceleration: Acceleration) -> Element {
    let kind = match acceleration {
        Acceleration::Kvm => "kvm",
        Acceleration::Tcg => "qemu",
    };
    element("domain")
        .attribute("type", kind)
        .child(element("name").text(name))
}

/// The CPU of a guest; `None` is that of its host.
fn guest_cpu(acceleration: Acceleration, emulated: EmulatedCpu) -> Option<EmulatedCpu> {
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
fn machine(memory: MiB, vcpus: u32, emulated: Option<EmulatedCpu>, cache: MiB) -> Vec<Element> {
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

fn boot(input: &DomainInput<'_>) -> Element {
    let Some(kernel) = &input.image.kernel else {
        // The BIOS writes to the console what it cannot boot. With a kernel of ours it has nothing to say.
        return os_type()
            .child(element("boot").attribute("dev", "hd"))
            .child(element("bios").attribute("useserial", "yes"));
    };
    let mut line = input.image.cmdline.clone();
    if let (Acceleration::Tcg, Some(khz)) = (input.acceleration, input.tsc_khz) {
        // The emulated TSC runs at the host's rate. Without this option a guest calibrates it under load, gets it
        // wrong and falls back to a clock that costs a trap for every read.
        line = format!("{line} tsc_early_khz={khz}");
    }
    kernel_boot(kernel, input.image.initrd.as_deref(), line.trim())
}

/// The firmware that the host's QEMU offers, chosen by libvirt. Without Secure Boot, which needs a kernel that is signed
/// with known keys. Its variables are a file that libvirt creates and removes with the domain.
fn uefi_boot() -> Element {
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

fn kernel_boot(kernel: &str, initrd: Option<&str>, line: &str) -> Element {
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

fn behaviour() -> Vec<Element> {
    vec![
        element("clock").attribute("offset", "utc"),
        element("on_poweroff").text("destroy"),
        element("on_reboot").text("restart"),
        element("on_crash").text("destroy"),
    ]
}

/// Disables devices that cost memory or boot time and that a node never uses.
fn lean_controllers() -> Vec<Element> {
    vec![
        element("controller")
            .attribute("type", "usb")
            .attribute("model", "none"),
        element("memballoon").attribute("model", "none"),
    ]
}

fn overlay(input: &DomainInput<'_>, path: &str) -> Element {
    let element_disk = disk(Format::Qcow2, path, "vda");
    // The complete chain, so that libvirt does not probe the files.
    match &input.image.disk {
        None => element_disk.child(element("backingStore")),
        Some(base) => element_disk.child(
            element("backingStore")
                .attribute("type", "file")
                .child(element("format").attribute("type", base.format))
                .child(element("source").attribute("file", &base.path))
                .child(element("backingStore")),
        ),
    }
}

fn disk(format: Format, path: &str, target: &str) -> Element {
    element("disk")
        .attribute("type", "file")
        .attribute("device", "disk")
        // Nodes are disposable: data lost in a crash of the host does not matter, and flushing is expensive.
        .child(
            element("driver")
                .attribute("name", "qemu")
                .attribute("type", format)
                .attribute("cache", "unsafe")
                .attribute("discard", "unmap"),
        )
        .child(element("source").attribute("file", path))
        .child(
            element("target")
                .attribute("dev", target)
                .attribute("bus", "virtio"),
        )
}

fn console(log: &str) -> Vec<Element> {
    vec![
        element("serial")
            .attribute("type", "pty")
            .child(element("log").attribute("file", log).attribute("append", "off"))
            .child(
                element("target")
                    .attribute("type", "isa-serial")
                    .attribute("port", 0),
            ),
        element("console")
            .attribute("type", "pty")
            .child(element("target").attribute("type", "serial").attribute("port", 0)),
    ]
}

#[cfg(test)]
pub(in crate::host) mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::host::storage::artifact::HostDisk;
    use crate::inventory::{Mac, NodeSpec};

    pub(in crate::host) fn node() -> NodePlan {
        NodePlan {
            name: "n1".parse().unwrap(),
            group: "n".parse().unwrap(),
            index: 0,
            host: "bm01".parse().unwrap(),
            domain: "demo.n1".into(),
            uuid: Uuid::from_u128(1),
            user: None,
            emulated_cpu: EmulatedCpu::V1,
            disk: MiB(0),
            spec: NodeSpec {
                image: "micro".parse().unwrap(),
                image_key: "k".repeat(64),
                firmware: Firmware::Bios,
                user_data: None,
                vcpus: 1,
                memory: MiB(112),
                disk: None,
                address: [10, 77, 0, 1].into(),
                mac: Mac([0x52, 0x54, 10, 77, 0, 1]),
                mtu: 1450,
                gateway: None,
                dns: Vec::new(),
                client_key: "SHA256:x".into(),
            },
        }
    }

    pub(in crate::host) fn mark() -> Mark {
        let node = node();
        Mark {
            cluster: "demo".parse().unwrap(),
            cluster_id: Uuid::from_u128(2),
            node: node.name,
            group: node.group,
            index: node.index,
            spec: node.spec,
        }
    }

    fn micro() -> HostImage {
        HostImage {
            key: "k".repeat(64),
            kernel: Some("/images/k.kernel".into()),
            initrd: Some("/images/k.initrd".into()),
            cmdline: "console=ttyS0 quiet".into(),
            disk: None,
        }
    }

    fn cloud() -> HostImage {
        HostImage {
            key: "d".repeat(64),
            kernel: None,
            initrd: None,
            cmdline: String::new(),
            disk: Some(HostDisk {
                path: "/images/d.disk".into(),
                format: Format::Qcow2,
                bytes: 4 << 30,
            }),
        }
    }

    fn render(image: &HostImage, node: &NodePlan, acceleration: Acceleration) -> String {
        domain(&DomainInput {
            node,
            mark: &mark(),
            image,
            acceleration,
            directory: "/pool/demo.00000000",
            bridge: "vcb00000000",
            mtu: 1450,
            tsc_khz: Some(2_596_150),
        })
    }

    #[test]
    fn micro_node_under_emulation() {
        insta::assert_snapshot!(render(&micro(), &node(), Acceleration::Tcg));
    }

    #[test]
    fn micro_node_under_kvm_with_a_disk() {
        let mut node = node();
        node.spec.disk = Some(MiB(1024));
        insta::assert_snapshot!(render(&micro(), &node, Acceleration::Kvm));
    }

    #[test]
    fn cloud_image_under_emulation() {
        insta::assert_snapshot!(render(&cloud(), &node(), Acceleration::Tcg));
    }

    #[test]
    fn cloud_image_under_kvm() {
        insta::assert_snapshot!(render(&cloud(), &node(), Acceleration::Kvm));
    }

    #[test]
    fn an_emulated_cpu_of_a_higher_level_has_its_features_and_those_below() {
        let features = |cpu| {
            let mut node = node();
            node.emulated_cpu = cpu;
            let xml = render(&cloud(), &node, Acceleration::Tcg);
            let names = xml.split("policy=\"require\" name=\"").skip(1);
            let names: Vec<String> = names
                .map(|rest| rest.split('"').next().unwrap().to_owned())
                .collect();
            names.join(" ")
        };
        let (first, second) = ("rdrand", "popcnt sse4.1 sse4.2 ssse3");
        let third = "abm avx avx2 bmi1 bmi2 f16c fma movbe xsave xsaveopt";
        assert_eq!(features(EmulatedCpu::V1), first);
        assert_eq!(features(EmulatedCpu::V2), format!("{first} {second}"));
        assert_eq!(features(EmulatedCpu::V3), format!("{first} {second} {third}"));
        let mut node = node();
        node.emulated_cpu = EmulatedCpu::V3;
        let xml = render(&cloud(), &node, Acceleration::Kvm);
        assert!(xml.contains("host-passthrough") && !xml.contains("avx"), "{xml}");
    }

    #[test]
    fn an_image_that_only_uefi_can_boot_gets_it_and_a_kernel_of_ours_does_not() {
        let mut node = node();
        node.spec.firmware = Firmware::Uefi;
        let xml = render(&cloud(), &node, Acceleration::Kvm);
        let os = &xml[xml.find("<os").unwrap()..xml.find("<clock").unwrap()];
        let lines: Vec<&str> = os
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        assert_eq!(
            lines,
            [
                "<os firmware=\"efi\">",
                "<type arch=\"x86_64\" machine=\"q35\">hvm</type>",
                "<firmware>",
                "<feature enabled=\"no\" name=\"enrolled-keys\"/>",
                "<feature enabled=\"no\" name=\"secure-boot\"/>",
                "</firmware>",
                "<boot dev=\"hd\"/>",
                "</os>",
            ]
        );
        let xml = render(&micro(), &node, Acceleration::Kvm);
        assert!(!xml.contains("efi") && xml.contains("machine=\"pc\""), "{xml}");
    }

    #[test]
    fn the_probe_of_kvm() {
        insta::assert_snapshot!(probe_domain(
            &mark(),
            uuid::Uuid::from_u128(3),
            "/images/k.kernel",
            "/images/probe.log"
        ));
    }

    #[test]
    fn values_that_contain_xml_stay_values() {
        let mut image = micro();
        image.cmdline = "a</cmdline><devices>\u{7}".into();
        let xml = render(&image, &node(), Acceleration::Tcg);
        assert!(!xml.contains("a</cmdline><devices>"), "{xml}");
        assert_eq!(xml.matches("<devices>").count(), 1);
    }
}
