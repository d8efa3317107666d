use uuid::Uuid;

use super::*;
use crate::host::{CLAIM_VERSION, HostFacts, ObservedClaim, ObservedObject};
use crate::units::MiB;

const HOUR: Duration = Duration::from_hours(1);

fn noon() -> Moment {
    "2026-01-31T12:00:00Z".parse().unwrap()
}

fn host(name: &str) -> ObservedHost {
    ObservedHost {
        name: name.parse().unwrap(),
        facts: HostFacts {
            hostname: name.into(),
            cpus: 1,
            memory: MiB(1),
            memory_available: MiB(1),
            disk_free: MiB(1),
            libvirt_version: 9_000_000,
            qemu_version: 7_002_000,
            tsc_khz: None,
            underlay: None,
            underlay_mtu: None,
            routes: Vec::new(),
            vnis: Vec::new(),
            boot_id: None,
            kvm: None,
        },
        nodes: Vec::new(),
        objects: Vec::new(),
        foreign_memory: MiB(0),
        foreign_vcpus: 0,
        claims: Vec::new(),
        token: String::new(),
    }
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number << 96)
}

/// Adds a claim with its directory; it ends so many hours after noon.
fn claimed(mut host: ObservedHost, cluster: &str, hours: Option<i64>) -> ObservedHost {
    let end = |hours: i64| match u32::try_from(hours) {
        Ok(hours) => noon().after(HOUR * hours),
        Err(_) => "2026-01-31T11:00:00Z".parse().unwrap(),
    };
    host.claims.push(ObservedClaim {
        claim: Claim {
            version: CLAIM_VERSION,
            cluster: cluster.parse().unwrap(),
            id: id(1),
            controller: "c".into(),
            made: noon(),
            expires: hours.map(end),
            subnet: None,
            vni: None,
            nodes: 1,
            memory: MiB(96),
            vcpus: 1,
            disk: MiB(0),
        },
        holder: None,
    });
    object(host, "directory", &format!("{cluster}.00000001"), cluster)
}

fn object(mut host: ObservedHost, kind: &str, name: &str, cluster: &str) -> ObservedHost {
    host.objects.push(ObservedObject {
        kind: kind.into(),
        name: name.into(),
        cluster: cluster.parse().unwrap(),
        short_id: "00000001".into(),
    });
    host
}

fn said(observed: &[ObservedHost], debris: &HashMap<HostName, Debris>, known: &[Known]) -> Vec<String> {
    doomed(observed, debris, known, noon(), HOUR)
        .iter()
        .map(|doomed| {
            let hosts = crate::nodeset::fold(&doomed.hosts);
            format!("{} on {hosts}: {}", doomed.cluster, doomed.why)
        })
        .collect()
}

fn ages(of: &[(&str, &str, u64)]) -> HashMap<HostName, Debris> {
    let mut all: HashMap<HostName, Debris> = HashMap::new();
    for (host, name, minutes) in of {
        let debris = all.entry(host.parse().unwrap()).or_default();
        debris
            .ages
            .insert((*name).to_owned(), Duration::from_mins(*minutes));
    }
    all
}

#[test]
fn a_lease_ends_with_the_latest_of_its_claims_and_takes_the_cluster_from_all_hosts() {
    let none = HashMap::new();
    let ended = [
        claimed(host("bm01"), "a", Some(-1)),
        object(claimed(host("bm02"), "a", Some(0)), "bridge", "vcb00000001", "a"),
        object(host("bm03"), "vxlan", "vcx00000001", "a"),
    ];
    assert_eq!(
        said(&ended, &none, &[]),
        ["a on bm[01-03]: its lease ended at 2026-01-31T12:00:00Z"]
    );
    // An extension that reached one host of two, and one without an end.
    for hours in [Some(1), None] {
        let extended = [
            claimed(host("bm01"), "a", Some(-1)),
            claimed(host("bm02"), "a", hours),
        ];
        assert_eq!(said(&extended, &none, &[]), Vec::<String>::new());
    }
}

#[test]
fn what_no_claim_stands_for_goes_once_it_is_old_enough() {
    let observed = [
        object(host("bm01"), "bridge", "vcb00000001", "a"),
        object(
            object(host("bm02"), "bridge", "vcb00000001", "a"),
            "pool",
            "vcluster.a.00000001",
            "a",
        ),
        object(host("bm03"), "nft table", "vcluster_00000001", "a"),
    ];
    let young = ages(&[("bm01", "vcb00000001", 90), ("bm02", "vcb00000001", 30)]);
    assert_eq!(
        said(&observed, &young, &[]),
        ["a on bm[01,03]: no claim stands for it there: what a crash left"]
    );
    // Beside a live cluster too, where it left a host.
    let emptied = [
        claimed(host("bm01"), "a", Some(1)),
        object(host("bm02"), "bridge", "vcb00000001", "a"),
    ];
    assert_eq!(
        said(&emptied, &ages(&[("bm02", "vcb00000001", 90)]), &[]),
        ["a on bm02: no claim stands for it there: what a crash left"]
    );
}

#[test]
fn what_a_down_could_not_reach_goes_whatever_its_lease_says() {
    let known = |down, looked_at: &[Option<&str>]| {
        [Known {
            cluster: "a".parse().unwrap(),
            short_id: Some("00000001".into()),
            down,
            stranded: Vec::new(),
            hosts: looked_at
                .iter()
                .map(|host| host.map(|host| host.parse().unwrap()))
                .collect(),
        }]
    };
    let none = HashMap::new();
    let stranded = [claimed(host("bm01"), "a", Some(1))];
    assert_eq!(
        said(&stranded, &none, &known(false, &[Some("bm01")])),
        Vec::<String>::new()
    );
    assert_eq!(
        said(&stranded, &none, &known(true, &[Some("bm01")])),
        ["a on bm01: its removal did not reach all its hosts"]
    );
    // On a host that was away when the cluster went on elsewhere it goes from that host alone.
    let mut went_on = known(false, &[Some("bm01"), Some("bm02")]);
    went_on[0].stranded = vec!["bm02".parse().unwrap()];
    let both = [
        claimed(host("bm01"), "a", Some(1)),
        claimed(host("bm02"), "a", Some(1)),
    ];
    assert_eq!(
        said(&both, &none, &went_on),
        ["a on bm02: it was away when the cluster went on without it"]
    );
    // Only the record is left, once every host was looked at.
    let empty = [host("bm01")];
    assert_eq!(said(&empty, &none, &known(true, &[Some("bm01")])).len(), 1);
    assert_eq!(
        said(&empty, &none, &known(true, &[Some("bm01"), None])),
        Vec::<String>::new()
    );
}
