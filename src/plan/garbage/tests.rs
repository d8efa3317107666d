use uuid::Uuid;

use crate::base::units::MiB;
use crate::inventory::{CLAIM_VERSION, ObservedClaim, ObservedObject};
use crate::plan::garbage::*;

const HOUR: Duration = Duration::from_hours(1);

fn noon() -> Moment {
    "2026-01-31T12:00:00Z".parse().unwrap()
}

fn host(name: &str) -> ObservedHost {
    ObservedHost::empty(name.parse().unwrap())
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number << 96)
}

/// Adds a claim with its directory; it ends `hours` after noon.
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
            networks: Vec::new(),
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
        short_id: ShortId::parse("00000001").unwrap(),
    });
    host
}

fn described(
    observed: &[ObservedHost],
    orphans: &BTreeMap<HostName, Orphans>,
    known: &[KnownCluster],
) -> Vec<String> {
    garbage(observed, orphans, known, noon(), HOUR)
        .iter()
        .map(|garbage| {
            let hosts = crate::nodeset::fold(&garbage.hosts);
            format!("{} on {hosts}: {}", garbage.cluster, garbage.why)
        })
        .collect()
}

fn ages(of: &[(&str, &str, u64)]) -> BTreeMap<HostName, Orphans> {
    let mut all: BTreeMap<HostName, Orphans> = BTreeMap::new();
    for (host, name, minutes) in of {
        let orphans = all.entry(host.parse().unwrap()).or_default();
        orphans
            .ages
            .insert((*name).to_owned(), Duration::from_mins(*minutes));
    }
    all
}

#[test]
fn a_lease_ends_with_the_latest_of_its_claims_and_takes_the_cluster_from_all_hosts() {
    let none = BTreeMap::new();
    let ended = [
        claimed(host("bm01"), "a", Some(-1)),
        object(claimed(host("bm02"), "a", Some(0)), "bridge", "vcb00000001", "a"),
        object(host("bm03"), "vxlan", "vcx00000001", "a"),
    ];
    assert_eq!(
        described(&ended, &none, &[]),
        ["a on bm[01-03]: its lease ended at 2026-01-31T12:00:00Z"]
    );
    // An extension that reached one of two hosts, and one without an end.
    for hours in [Some(1), None] {
        let extended = [
            claimed(host("bm01"), "a", Some(-1)),
            claimed(host("bm02"), "a", hours),
        ];
        assert_eq!(described(&extended, &none, &[]), Vec::<String>::new());
    }
}

#[test]
fn an_object_without_a_claim_is_removed_once_it_is_old_enough() {
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
        described(&observed, &young, &[]),
        ["a on bm[01,03]: no claim exists (leftover of a crash)"]
    );
    // Also if the cluster is live but has left this host.
    let emptied = [
        claimed(host("bm01"), "a", Some(1)),
        object(host("bm02"), "bridge", "vcb00000001", "a"),
    ];
    assert_eq!(
        described(&emptied, &ages(&[("bm02", "vcb00000001", 90)]), &[]),
        ["a on bm02: no claim exists (leftover of a crash)"]
    );
}

#[test]
fn a_cluster_that_was_taken_down_is_removed_whatever_its_lease() {
    let known = |down, looked_at: &[Option<&str>]| {
        [KnownCluster {
            cluster: "a".parse().unwrap(),
            short_id: ShortId::parse("00000001"),
            down,
            stranded: Vec::new(),
            hosts: looked_at
                .iter()
                .map(|host| host.map(|host| host.parse().unwrap()))
                .collect(),
        }]
    };
    let none = BTreeMap::new();
    let stranded = [claimed(host("bm01"), "a", Some(1))];
    assert_eq!(
        described(&stranded, &none, &known(false, &[Some("bm01")])),
        Vec::<String>::new()
    );
    assert_eq!(
        described(&stranded, &none, &known(true, &[Some("bm01")])),
        ["a on bm01: its removal did not reach all its hosts"]
    );
    // A host that was unreachable when the cluster was updated: removed from that host only.
    let mut updated = known(false, &[Some("bm01"), Some("bm02")]);
    updated[0].stranded = vec!["bm02".parse().unwrap()];
    let both = [
        claimed(host("bm01"), "a", Some(1)),
        claimed(host("bm02"), "a", Some(1)),
    ];
    assert_eq!(
        described(&both, &none, &updated),
        ["a on bm02: was unreachable when the cluster was updated"]
    );
    // Only the record is left, once every host was observed.
    let empty = [host("bm01")];
    assert_eq!(described(&empty, &none, &known(true, &[Some("bm01")])).len(), 1);
    assert_eq!(
        described(&empty, &none, &known(true, &[Some("bm01"), None])),
        Vec::<String>::new()
    );
}

#[test]
fn an_object_whose_claim_cannot_be_read_is_left_alone() {
    let mut newer = object(host("bm01"), "bridge", "vcb00000001", "a");
    newer.unreadable = vec![crate::inventory::ClusterRef::of_directory("a.00000001").unwrap()];
    let old = ages(&[("bm01", "vcb00000001", 90)]);
    assert_eq!(described(&[newer], &old, &[]), Vec::<String>::new());
}

fn names(hosts: &[&str]) -> BTreeSet<HostName> {
    hosts.iter().map(|host| host.parse().unwrap()).collect()
}

#[test]
fn a_cluster_whose_claim_cannot_be_read_is_named_unless_it_is_removed_anyway() {
    let cluster = ClusterRef::of_directory("a.00000001").unwrap();
    let other = ClusterRef::of_directory("b.00000002").unwrap();
    let mut one = object(host("bm01"), "bridge", "vcb00000001", "a");
    one.unreadable = vec![other.clone(), cluster.clone()];
    let mut two = host("bm02");
    two.unreadable = vec![cluster.clone()];
    let wanted = [
        Unreadable {
            cluster: cluster.clone(),
            hosts: names(&["bm01", "bm02"]),
        },
        Unreadable {
            cluster: other.clone(),
            hosts: names(&["bm01"]),
        },
    ];
    let observed = [one, two];
    assert_eq!(unreadable(&observed, &[]), wanted);
    // A lease that has ended on a third host may have been extended on these.
    let [one, two] = observed;
    let observed = [one, two, claimed(host("bm03"), "a", Some(-1))];
    assert_eq!(described(&observed, &BTreeMap::new(), &[]), Vec::<String>::new());
    // But a cluster that was taken down is removed.
    let down = KnownCluster {
        cluster: cluster.name.clone(),
        short_id: None,
        down: true,
        stranded: Vec::new(),
        hosts: Vec::new(),
    };
    let found = garbage(&observed, &BTreeMap::new(), &[down], noon(), HOUR);
    assert_eq!(found[0].hosts, names(&["bm01", "bm03"]));
    let left: Vec<(ClusterRef, BTreeSet<HostName>)> = unreadable(&observed, &found)
        .into_iter()
        .map(|unreadable| (unreadable.cluster, unreadable.hosts))
        .collect();
    assert_eq!(left, [(cluster, names(&["bm02"])), (other, names(&["bm01"]))]);
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    /// A host with claims and objects of clusters `a` and `b`: for each the end of its claim in hours, if it has one.
    fn any_host(name: &'static str) -> impl Strategy<Value = ObservedHost> {
        let claim = prop_oneof![
            Just(None),
            Just(Some(None)),
            (-2_i64..3).prop_map(|hours| Some(Some(hours)))
        ];
        (claim.clone(), claim, any::<bool>(), any::<bool>()).prop_map(move |(a, b, bridge, vxlan)| {
            let mut host = host(name);
            for (cluster, end) in [("a", a), ("b", b)] {
                if let Some(end) = end {
                    host = claimed(host, cluster, end);
                }
            }
            if bridge {
                host = object(host, "bridge", "vcb00000001", "a");
            }
            if vxlan {
                host = object(host, "vxlan", "vcx00000001", "b");
            }
            host
        })
    }

    proptest! {
        #[test]
        fn gc_never_names_a_host_where_a_live_claim_covers_the_cluster(
            one in any_host("bm01"),
            two in any_host("bm02"),
            three in any_host("bm03"),
        ) {
            let observed = [one, two, three];
            let found = garbage(&observed, &BTreeMap::new(), &[], noon(), HOUR);
            for garbage in &found {
                let claims = observed.iter().flat_map(|host| {
                    let claims = host.claims.iter().map(|seen| &seen.claim);
                    claims.map(move |claim| (&host.name, claim))
                });
                let live: Vec<_> = claims
                    .filter(|(_, claim)| claim.cluster == garbage.cluster && !claim.expired(noon()))
                    .map(|(host, _)| host)
                    .collect();
                prop_assert!(live.iter().all(|host| !garbage.hosts.contains(*host)), "{garbage:?}");
                // While one claim is valid, the cluster keeps all hosts with a claim of it.
                prop_assert!(!garbage.expired || live.is_empty(), "{garbage:?}");
            }
        }
    }
}
