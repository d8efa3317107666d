//! Entry points for the fuzzer into this module. See `crate::fuzzing`.
#![expect(clippy::unwrap_used, reason = "a violated property is reported by a panic")]

use uuid::Uuid;

use super::guest::console::LineSplitter;
use super::inspect::probe::Probe;
use super::layout;
use super::storage::artifact::{HostDisk, HostImage};
use super::transport::uri;
use super::xml::{self, DomainInput, read_mark, write_mark};
use crate::base::name::{NetworkName, NodeName};
use crate::base::units::MiB;
use crate::image::Format;
use crate::inventory::{ClusterRef, Firmware, Mac, Mark, NodeSpec};
use crate::network::Wanted;
use crate::plan::{Acceleration, EmulatedCpu, NodePlan, VxlanPlan};

fn node(image_key: &str, client_key: &str) -> NodePlan {
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
            image_key: image_key.to_owned(),
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
            client_key: client_key.to_owned(),
        },
    }
}

/// Documents made of three texts, each with the values that it must contain: the texts, with characters that XML cannot hold replaced.
pub(crate) fn documents(a: &str, b: &str, c: &str) -> Vec<(String, Vec<(&'static str, String)>)> {
    let held = |text: &str| -> String {
        text.chars()
            .map(|c| match c {
                '\t' | '\n' => c,
                '\u{fffe}' | '\u{ffff}' => '\u{fffd}',
                c if c.is_control() => '\u{fffd}',
                c => c,
            })
            .collect()
    };
    let node = node(a, b);
    let mark = Mark {
        cluster: "demo".parse().unwrap(),
        cluster_id: Uuid::from_u128(2),
        node: node.name.clone(),
        group: node.group.clone(),
        index: 0,
        spec: node.spec.clone(),
    };
    let written = write_mark(&mark).render();
    let plain = |text: &str| held(text) == text;
    if plain(a) && plain(b) && written.len() < 60_000 {
        assert_eq!(read_mark(&written), Some(mark.clone()), "{written}");
    }
    let image = HostImage {
        key: "k".into(),
        kernel: Some(a.to_owned()),
        initrd: Some(b.to_owned()),
        cmdline: c.to_owned(),
        disk: Some(HostDisk {
            path: b.to_owned(),
            format: Format::Qcow2,
            bytes: 1,
        }),
    };
    let domain = xml::domain(&DomainInput {
        node: &node,
        mark: &mark,
        image: &image,
        acceleration: Acceleration::Tcg,
        directory: a,
        bridge: c,
        mtu: 1450,
        tsc_khz: None,
    });
    vec![
        (
            domain,
            vec![
                ("kernel", held(a)),
                ("initrd", held(b)),
                ("cmdline", held(c.trim())),
                ("source@bridge", held(c)),
                ("source@file", held(&format!("{a}/n1.seed"))),
                ("name", "demo.n1".into()),
            ],
        ),
        (xml::pool(a, b), vec![("name", held(a)), ("path", held(b))]),
        (
            xml::overlay_volume(a, 1, Some((b, Format::Raw))),
            vec![("name", held(a)), ("path", held(b))],
        ),
        (
            xml::probe_domain(&mark, uuid::Uuid::nil(), b, c),
            vec![("kernel", held(b)), ("log@file", held(c))],
        ),
    ]
}

/// The wanted network of a host.
pub(crate) fn wanted() -> Wanted {
    Wanted {
        name: NetworkName::cluster(),
        bridge: "vcb00000000".into(),
        own: true,
        alias: "vcluster:demo:00000000-0000-0000-0000-000000000002".into(),
        mtu: 1550,
        address: Some([10, 77, 255, 254].into()),
        subnet: "10.77.0.0/16".parse().unwrap(),
        vxlan: Some((
            VxlanPlan {
                device: "vcx00000000".into(),
                vni: 4242,
                port: 4789,
            },
            [10, 90, 0, 11].into(),
        )),
        peers: vec![[10, 90, 0, 12].into()],
        remote: [(Mac([0x52, 0x54, 10, 77, 0, 2]), [10, 90, 0, 12].into())].into(),
        local: [Mac([0x52, 0x54, 10, 77, 0, 1])].into(),
        neighbours: [([10, 77, 0, 2].into(), Mac([0x52, 0x54, 10, 77, 0, 2]))].into(),
        nat: Some("vcluster_00000000".into()),
    }
}

/// The output of a probe.
pub(crate) fn probe(output: &str) {
    if let Ok(probe) = Probe::read(output) {
        let address = probe.underlay(None);
        let _ = address.map(|address| probe.mtu_of(address));
        let _ = probe.kvm(7_002_022);
        for object in &probe.objects {
            assert!(object.short_id.as_str().len() == 8, "{object:?}");
        }
    }
}

/// A mark, which contains only valid names.
pub(crate) fn mark(text: &str) {
    if let Some(mark) = read_mark(text) {
        assert_eq!(
            read_mark(&write_mark(&mark).render()).map(|mark| mark.node),
            Some(mark.node)
        );
    }
}

/// The consoles of a host in one stream, in pieces.
pub(crate) fn consoles<'a>(next: &mut dyn FnMut() -> &'a [u8]) {
    let nodes: Vec<NodeName> = ["n1", "n2"].map(|name| name.parse().unwrap()).to_vec();
    let mut split = LineSplitter::new(&nodes);
    loop {
        let piece = next();
        if piece.is_empty() {
            break;
        }
        for line in split.feed(piece) {
            // An invalid byte becomes three.
            assert!(line.line.len() <= 3 * 4096 && !line.line.contains('\n'));
        }
    }
}

/// Names that are read back from hosts.
pub(crate) fn names(text: &str) {
    if let Some(cluster) = ClusterRef::of_pool(text) {
        assert_eq!(text, cluster.pool_name());
        assert!(!cluster.directory_name().contains('/'));
    }
    let _ = serde_json::from_str::<layout::Owner>(text).map(|owner| {
        assert!(!owner.directory_name().contains(['/', '\n']));
    });
    let _ = uri::parse(text);
}

/// An accepted URI contains nothing that ssh would read as an option, and fits on a line.
pub(crate) fn uri(text: &str) {
    let Ok(place) = uri::parse(text) else { return };
    assert!(
        !text.chars().any(|c| c.is_control() || c.is_whitespace()),
        "{text:?}"
    );
    if let uri::Place::Ssh { user, host, .. } = place {
        for name in user.iter().chain([&host]) {
            let odd = name.is_empty() || name.starts_with('-') || name.contains(['/', '?', '{']);
            assert!(!odd, "{text:?}");
        }
    }
}
