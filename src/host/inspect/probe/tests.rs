use super::*;

const OUTPUT: &str = r#"@@mem
MemTotal:       24000000 kB
MemAvailable:   20480000 kB
@@disk
Filesystem     1024-blocks  Used Available Capacity Mounted on
/dev/root        100000000 10000  51200000      1% /
@@ssh
10.90.0.254 35540 10.90.0.11 22
@@links
[{"ifname":"lo","mtu":65536,"flags":["UP"],"addr_info":[{"family":"inet","local":"127.0.0.1","prefixlen":8,"scope":"host"}]},
 {"ifname":"eth0","mtu":1600,"flags":["UP"],"addr_info":[{"family":"inet","local":"10.90.0.11","prefixlen":24,"scope":"global"}]},
 {"ifname":"vcb00000000","mtu":1550,"ifalias":"vcluster:demo:00000000-0000-0000-0000-000000000002","linkinfo":{"info_kind":"bridge"},"addr_info":[]},
 {"ifname":"vcb11111111","mtu":1550,"ifalias":"somebody's","linkinfo":{"info_kind":"bridge"},"addr_info":[]},
 {"ifname":"vcb0000000f","linkinfo":{"info_kind":"bridge"},"addr_info":[]},
 {"ifname":"vcx0000000f","flags":["UP"],"linkinfo":{"info_kind":"vxlan"},"addr_info":[]},
 {"ifname":"vcb0000000e","linkinfo":{"info_kind":"bridge"},"addr_info":[]},
 {"ifname":"vcb00000000ab12","mtu":1550,"ifalias":"vcluster:demo:00000000-0000-0000-0000-000000000002","linkinfo":{"info_kind":"bridge"},"addr_info":[{"family":"inet","local":"10.78.255.254","prefixlen":16,"scope":"global"}]},
 {"ifname":"vcx0000000fab12","linkinfo":{"info_kind":"vxlan"},"addr_info":[]},
 {"ifname":"vcx00000000","mtu":1550,"ifalias":"vcluster:demo:00000000-0000-0000-0000-000000000002","linkinfo":{"info_kind":"vxlan","info_data":{"id":4242}},"addr_info":[]}]
@@routes
[{"dst":"default","gateway":"10.90.0.254","dev":"eth0"},{"dst":"10.90.0.0/24","dev":"eth0"},{"dst":"10.77.0.0/16","dev":"vcb00000000"},{"dst":"10.78.0.0/16","dev":"vcb00000000ab12"},{"dst":"192.0.2.1","dev":"eth0"}]
@@tsc
[    0.000051] tsc: Detected 2596.150 MHz processor
[    1.000051] tsc: Refined TSC clocksource calibration: 2596.148 MHz
cpu MHz		: 3000.000
@@dirs
demo.00000000	{"cluster":"demo","id":"00000000-0000-0000-0000-000000000002","controller":"c"}
gone.0000000f	half
not-ours	half
other.00000000	{"cluster":"demo","id":"00000000-0000-0000-0000-000000000002","controller":"c"}
x	{"cluster":"../x","id":"00000000-0000-0000-0000-000000000002","controller":"c"}
@@tables
vcluster_00000000		comment "vcluster:demo:00000000-0000-0000-0000-000000000002 10.77.0.0/16"
vcluster_00000000_ab12		comment "vcluster:demo:00000000-0000-0000-0000-000000000002 10.78.0.0/16"
vcluster_00000000_ab1		comment "vcluster:demo:00000000-0000-0000-0000-000000000002 10.79.0.0/16"
vcluster_11111111	
@@token
0123abcd
@@claims
demo.00000000	`vcluster up` on c	{"version":1,"cluster":"demo","id":"00000000-0000-0000-0000-000000000002","controller":"c","made":"2026-01-31T12:00:00Z","expires":null,"subnet":"10.77.0.0/16","vni":4242,"nodes":2,"memory":192,"vcpus":2,"disk":0}
other.00000000		{"version":1,"cluster":"demo","id":"00000000-0000-0000-0000-000000000002","controller":"c","made":"2026-01-31T12:00:00Z","expires":null,"subnet":null,"vni":1,"nodes":2,"memory":192,"vcpus":2,"disk":0}
@@boot
cf8f09dd-047b-40d3-8e1a-9745e1b1a981
@@kvm
yes
@@kvmknown
{"boot_id":"cf8f09dd-047b-40d3-8e1a-9745e1b1a981","qemu_version":7002022,"works":false}
@@end
"#;

#[test]
fn facts_and_marked_objects_are_read_and_nothing_else() {
    let probe = Probe::read(OUTPUT).unwrap();
    assert_eq!(probe.memory_available, MiB(20_000));
    assert_eq!(probe.disk_free, MiB(50_000));
    assert_eq!(probe.underlay(None), Some("10.90.0.11".parse().unwrap()));
    assert_eq!(probe.mtu_of("10.90.0.11".parse().unwrap()), Some(1600));
    assert_eq!(probe.tsc_khz, Some(2_596_148));
    let routes: Vec<String> = probe
        .routes
        .iter()
        .map(|(net, device)| format!("{net} {device}"))
        .collect();
    assert_eq!(routes, ["10.90.0.0/24 eth0", "192.0.2.1/32 eth0"]);
    let (own, gateway) = (Ipv4Addr::new(10, 90, 0, 11), Ipv4Addr::new(10, 90, 0, 254));
    assert_eq!(probe.addresses(), [own, gateway]);
    assert!(probe.routers().is_empty());
    let objects: Vec<String> = probe
        .objects
        .iter()
        .map(|object| format!("{} {}", object.kind, object.name))
        .collect();
    assert_eq!(
        objects,
        [
            "bridge vcb00000000",
            "bridge vcb00000000ab12",
            "vxlan vcx00000000",
            "directory demo.00000000",
            "directory gone.0000000f",
            "nft table vcluster_00000000",
            "nft table vcluster_00000000_ab12",
            "bridge vcb0000000f",
            "vxlan vcx0000000fab12",
        ]
    );
    assert_eq!(
        probe.links.iter().filter_map(Link::vni).collect::<Vec<_>>(),
        [4242]
    );
}

#[test]
fn the_routers_of_a_host_are_known_except_those_behind_our_own_devices() {
    let routes = r#"[{"dst":"default","nexthops":[{"gateway":"10.90.0.1","dev":"eth0"},{"via":{"family":"inet6","host":"fe80::1"},"dev":"eth0"},{"gateway":"10.90.0.2","dev":"eth0"}]},
{"dst":"10.8.0.0/16","gateway":"10.90.0.3","dev":"eth0"},{"dst":"10.9.0.0/16","gateway":"10.77.0.1","dev":"vcb00000000"},{"dst":"10.90.0.0/24","dev":"eth0"}]"#;
    let start = OUTPUT.find("@@routes").unwrap();
    let end = OUTPUT.find("@@tsc").unwrap();
    let output = format!("{}@@routes\n{routes}\n{}", &OUTPUT[..start], &OUTPUT[end..]);
    let probe = Probe::read(&output).unwrap();
    let address = |last| Ipv4Addr::new(10, 90, 0, last);
    assert_eq!(probe.addresses(), [address(1), address(2), address(11)]);
    assert_eq!(probe.routers(), [address(3)]);
}

#[test]
fn a_bridge_of_ours_is_broken_while_it_is_down_or_has_no_address() {
    let broken = |output: &str| Probe::read(output).unwrap().broken_bridges();
    let (own, further, half) = ("vcb00000000", "vcb00000000ab12", "vcb0000000f");
    assert_eq!(
        broken(OUTPUT),
        [own, half, further],
        "others' bridges do not matter"
    );
    let up = |output: &str, name: &str| {
        let start = format!(r#"{{"ifname":"{name}","#);
        output.replace(&start, &format!(r#"{start}"flags":["NO-CARRIER","UP"],"#))
    };
    let one = up(OUTPUT, further);
    assert_eq!(broken(&one), [own, half], "up, and it has an address");
    let both = up(&one, own);
    assert_eq!(broken(&both), [own, half], "up without an address");
    let link_local = both.replace(
        r#""local":"10.78.255.254","prefixlen":16,"scope":"global""#,
        r#""local":"169.254.1.1","prefixlen":16,"scope":"link""#,
    );
    assert_eq!(broken(&link_local), [own, half, further]);
}

#[test]
fn the_interface_of_a_guest_that_has_lost_its_bridge_is_found() {
    let tap = |master: &str| {
        let link = format!(
            r#"{{"ifname":"vnet3",{master}"address":"fe:54:00:00:00:01","linkinfo":{{"info_kind":"tun"}}}},"#
        );
        OUTPUT.replace(r#" {"ifname":"eth0""#, &format!(r#" {link}{{"ifname":"eth0""#))
    };
    let unplugged = |output: &str| Probe::read(output).unwrap().unplugged();
    assert_eq!(unplugged(&tap("")), [Mac([0x52, 0x54, 0, 0, 0, 1])]);
    assert_eq!(unplugged(&tap(r#""master":"vcb00000000","#)), []);
}

#[test]
fn a_claim_is_read_with_its_holder_and_only_from_its_own_directory() {
    let probe = Probe::read(OUTPUT).unwrap();
    assert_eq!(probe.token, "0123abcd");
    assert_eq!(probe.claims.len(), 1);
    assert_eq!(probe.claims[0].claim.memory, MiB(192));
    assert_eq!(probe.claims[0].holder.as_deref(), Some("`vcluster up` on c"));
    assert_eq!(
        probe.unreadable,
        [ClusterRef::of_directory("other.00000000").unwrap()]
    );
}

#[test]
fn a_kvm_result_is_valid_for_one_boot_and_one_qemu() {
    let mut probe = Probe::read(OUTPUT).unwrap();
    assert_eq!(probe.kvm(7_002_022), Some(false));
    assert_eq!(probe.kvm(8_000_000), None);
    probe.boot_id = "other".into();
    assert_eq!(probe.kvm(7_002_022), None);
    probe.has_kvm = false;
    assert_eq!(probe.kvm(7_002_022), Some(false));
}

#[test]
fn without_ssh_the_address_of_the_default_route_is_the_underlay() {
    let probe = Probe::read(&OUTPUT.replace("10.90.0.254 35540 10.90.0.11 22", "")).unwrap();
    assert_eq!(probe.underlay(None), Some("10.90.0.11".parse().unwrap()));
    let wanted = "192.0.2.9".parse().unwrap();
    assert_eq!(probe.underlay(Some(wanted)), Some(wanted));
}

#[test]
fn malformed_output_is_an_error() {
    assert!(Probe::read("").is_err());
    assert!(Probe::read(&OUTPUT.replace("[{\"ifname\":\"lo\"", "[{\"ifname\":7")).is_err());
}
