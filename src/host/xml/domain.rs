//! Domains: the parts of a guest put together.

use super::devices::{console, entropy, further_disk, interface, lean_controllers, overlay, seed};
use super::machine::{TB_CACHE, TB_CACHE_DISK, behaviour, boot, guest_cpu, kernel_boot, machine, uefi_boot};
use super::metadata::write_mark;
use super::tree::{Element, element};
use crate::base::units::MiB;
use crate::host::layout::{console_file, disk_file, disk_serial, overlay_file, seed_file};
use crate::host::storage::artifact::HostImage;
use crate::inventory::{Firmware, Mark, domain_name};
use crate::plan::{Acceleration, NodePlan};

/// The input for a domain.
pub(in crate::host) struct DomainInput<'a> {
    pub(in crate::host) node: &'a NodePlan,
    pub(in crate::host) mark: &'a Mark,
    pub(in crate::host) image: &'a HostImage,
    pub(in crate::host) acceleration: Acceleration,
    /// Directory of the cluster's pool.
    pub(in crate::host) directory: &'a str,
    /// Bridge of its first interface.
    pub(in crate::host) bridge: &'a str,
    /// MTU of its first interface.
    pub(in crate::host) mtu: u32,
    /// TSC frequency of the host, if known.
    pub(in crate::host) tsc_khz: Option<u64>,
}

/// The domain of a node.
pub(in crate::host) fn domain(input: &DomainInput<'_>) -> String {
    let node = input.node;
    let further = node.spec.interfaces.iter();
    let further = further.map(|further| interface(&further.bridge, further.mac, further.mtu));
    let log = format!("{}/{}", input.directory, console_file(&node.name));
    let mut devices = element("devices")
        .children(lean_controllers())
        .children(disks(input))
        .child(interface(input.bridge, node.spec.mac, input.mtu))
        .children(further)
        .children(console(&log));
    if input.image.disk.is_some() {
        // A full distribution needs entropy early; a micro node has the driver only as an unloaded module.
        devices = devices.child(entropy());
    }
    let cache = if input.image.disk.is_some() {
        TB_CACHE_DISK
    } else {
        TB_CACHE
    };
    let boot = if input.image.kernel.is_none() && node.spec.firmware == Firmware::Uefi {
        uefi_boot()
    } else {
        boot(input.image, input.acceleration, input.tsc_khz)
    };
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
        .child(boot)
        .children(behaviour())
        .child(devices)
        .render()
}

/// The disks of a node, in the order of their letters: the overlay, if it has a disk, the seed and the further disks.
fn disks(input: &DomainInput<'_>) -> Vec<Element> {
    let node = input.node;
    let path = |file: String| format!("{}/{file}", input.directory);
    let mut disks = Vec::new();
    if input.image.disk.is_some() || node.spec.disk.is_some() {
        let base = input.image.disk.as_ref();
        disks.push(overlay(&path(overlay_file(&node.name)), base));
    }
    disks.push(seed(&path(seed_file(&node.name)), disks.len()));
    for number in 1..=node.spec.disks.len() {
        let file = path(disk_file(&node.name, number));
        disks.push(further_disk(&file, disks.len(), &disk_serial(number)));
    }
    disks
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

#[cfg(test)]
pub(in crate::host) mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::host::storage::artifact::HostDisk;
    use crate::image::Format;
    use crate::inventory::{InterfaceSpec, Mac, NodeSpec};
    use crate::plan::EmulatedCpu;

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
                disks: Vec::new(),
                interfaces: Vec::new(),
                bridge: None,
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

    /// The parts of a text between two marks, without the marks.
    fn between<'a>(text: &'a str, begin: &'a str, end: &'a str) -> Vec<&'a str> {
        let parts = text.split(begin).skip(1);
        parts.map(|part| part.split(end).next().unwrap()).collect()
    }

    #[test]
    fn further_interfaces_and_disks_come_after_the_first_ones_in_their_order() {
        let mut node = node();
        node.spec.disks = vec![MiB(64), MiB(32)];
        node.spec.interfaces = ["storage", "public"]
            .map(|name| InterfaceSpec {
                network: name.parse().unwrap(),
                bridge: format!("br-{name}"),
                address: "10.78.0.1/16".parse().unwrap(),
                mac: Mac([0x52, 0x54, 10, 78, 0, 1]),
                mtu: 8900,
                gateway: None,
            })
            .to_vec();
        let xml = render(&micro(), &node, Acceleration::Kvm);
        assert_eq!(between(&xml, "<target dev=\"", "\""), ["vda", "vdb", "vdc"]);
        assert_eq!(
            between(&xml, "<source file=\"/pool/demo.00000000/", "\""),
            ["n1.seed", "n1.disk1.qcow2", "n1.disk2.qcow2"]
        );
        assert_eq!(between(&xml, "<serial>", "</serial>"), ["disk1", "disk2"]);
        assert_eq!(
            between(&xml, "<source bridge=\"", "\""),
            ["vcb00000000", "br-storage", "br-public"]
        );
        assert_eq!(between(&xml, "<mtu size=\"", "\""), ["1450", "8900", "8900"]);
        let with_overlay = render(&cloud(), &node, Acceleration::Kvm);
        assert_eq!(
            between(&with_overlay, "<target dev=\"", "\""),
            ["vda", "vdb", "vdc", "vdd"]
        );
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
