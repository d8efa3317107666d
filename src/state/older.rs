//! Files as earlier releases wrote them, which every release must still read. Never change a text here: add one.

use super::{ClusterRecord, Intent, StateRoot, read_intents};
use crate::inventory::Claim;

/// The record of release 0.1, with and without the fields that it left out where they were empty.
const RECORDS: [&str; 2] = [
    r#"{
  "version": 1,
  "name": "demo",
  "id": "12345678-9abc-4def-8123-456789abcdef",
  "created": "2026-01-31T12:00:00Z",
  "topology": null,
  "base_dir": ".",
  "hosts": [{ "name": "bm01", "uri": "qemu+ssh://root@bm01/system" }],
  "users": { "micro": "root" }
}"#,
    r#"{
  "version": 1,
  "name": "demo",
  "id": "12345678-9abc-4def-8123-456789abcdef",
  "created": "2026-01-31T12:00:00Z",
  "expires": "2026-01-31T16:00:00Z",
  "topology": "/home/me/topology.yaml",
  "base_dir": "/home/me",
  "hosts": [
    { "name": "bm01", "uri": "qemu+ssh://root@bm01/system", "identity": "/home/me/key", "address": "192.0.2.1" }
  ],
  "stranded": ["bm02"],
  "users": { "micro": "root", "debian": "debian" }
}"#,
];

const JOURNAL: &str = r#"{"intent":"host","host":{"name":"bm01","uri":"qemu+ssh://root@bm01/system"}}
{"intent":"node","node":"n001","host":"bm01"}
{"intent":"remove_node","node":"n001","host":"bm01"}
{"intent":"down"}
"#;

const CLAIM: &str = r#"{"version":1,"cluster":"demo","id":"12345678-9abc-4def-8123-456789abcdef","controller":"c","made":"2026-01-31T12:00:00Z","expires":null,"subnet":"10.77.0.0/16","vni":4242,"nodes":2,"memory":192,"vcpus":2,"disk":0}"#;

/// The plan of release 0.1: `accel` of a host and `user` of a node came later.
const PLAN: &str = r#"{
  "version": 1, "cluster": "demo", "cluster_id": "12345678-9abc-4def-8123-456789abcdef",
  "network": { "subnet": "10.77.0.0/16", "bridge": "vcb12345678", "own_bridge": true,
    "vxlan": { "device": "vcx12345678", "vni": 4242, "port": 4789 },
    "mtu": 1450, "nat": false, "gateway": null, "dns": [] },
  "hosts": [{ "name": "bm01", "bridge_address": "10.77.255.254", "underlay": "192.0.2.1", "nodes": ["n001"],
    "memory": 96, "vcpus": 1, "disk": 0, "capacity": { "nodes": 10, "memory": 1024, "vcpus": 4, "disk": 1024 } }],
  "nodes": [{ "name": "n001", "group": "n", "index": 0, "host": "bm01", "domain": "demo.n001",
    "uuid": "00000000-0000-5000-8000-000000000001",
    "spec": { "image": "micro", "image_key": "k", "vcpus": 1, "memory": 96, "disk": null, "address": "10.77.0.1",
      "mac": "52:54:0a:4d:00:01", "mtu": 1450, "gateway": null, "dns": [], "client_key": "SHA256:x" } }],
  "actions": [{ "node": "n001", "host": "bm01", "kind": "create", "reason": "not there yet" }]
}"#;

#[test]
fn the_record_plan_and_journal_of_release_0_1_are_read() {
    let temp = tempfile::tempdir().unwrap();
    let dir = StateRoot::at(temp.path().to_owned()).cluster(&"demo".parse().unwrap());
    dir.create().unwrap();
    for (text, expires, stranded) in [(RECORDS[0], false, 0), (RECORDS[1], true, 1)] {
        dir.write("cluster.json", text.as_bytes()).unwrap();
        let record = ClusterRecord::load(&dir).unwrap().unwrap();
        assert_eq!(record.cluster_ref().directory_name(), "demo.12345678");
        assert_eq!(record.expires.is_some(), expires);
        assert_eq!((record.hosts.len(), record.stranded.len()), (1, stranded));
        assert_eq!(record.experiment, None);
    }
    dir.write("plan.json", PLAN.as_bytes()).unwrap();
    let mut plan = ClusterRecord::load_plan(&dir).unwrap().unwrap();
    assert_eq!((plan.nodes.len(), plan.missing.len()), (1, 0));
    assert!(plan.network.name.is_cluster() && plan.networks.is_empty());
    assert!(plan.hosts[0].networks.is_empty() && plan.nodes[0].spec.interfaces.is_empty());
    assert!(plan.nodes[0].spec.bridge.is_none() && plan.nodes[0].login_user().is_err());
    let record = ClusterRecord::load(&dir).unwrap().unwrap();
    record.add_users(&mut plan);
    assert_eq!(plan.nodes[0].login_user(), Ok("root"));
    dir.write("journal.jsonl", JOURNAL.as_bytes()).unwrap();
    let intents = read_intents(&dir).unwrap();
    assert_eq!(intents.len(), 4);
    assert_eq!(intents.last(), Some(&Intent::Down));
}

#[test]
fn the_claim_of_release_0_1_is_read() {
    let claim = Claim::read("demo.12345678", CLAIM).unwrap();
    assert_eq!((claim.nodes, claim.memory.0, claim.expires), (2, 192, None));
    // And written in the same form.
    assert_eq!(serde_json::to_string(&claim).unwrap(), CLAIM);
}
