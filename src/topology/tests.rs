//! Tests of the language through [`Topology::parse`].

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;
use crate::base::failure::UserFacing;
use crate::base::name::NodeName;
use crate::base::units::MiB;

mod bad_input;
mod criteria;
mod hostile;
mod metrics;
mod networks;
mod overrides;

/// A directory with files; removed when dropped.
fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    dir
}

fn parse(text: &str) -> Result<Topology, Diagnostics> {
    let dir = directory(&[]);
    Topology::parse(text, "topology.yaml", dir.path())
}

fn good(text: &str) -> Topology {
    parse(text).unwrap_or_else(|diagnostics| panic!("{diagnostics}"))
}

/// All mistakes, as people see them.
fn bad(text: &str) -> String {
    match parse(text) {
        Ok(_) => panic!("this was accepted:\n{text}"),
        Err(diagnostics) => diagnostics.render(false),
    }
}

#[test]
fn little_is_enough_and_the_rest_has_defaults() {
    let topology = good("name: small\ngroups: { web: { count: 2 } }\n");
    let host = &topology.hosts[0];
    assert_eq!(
        (host.name.as_str(), host.uri.as_str()),
        ("localhost", "qemu:///system")
    );
    assert_eq!(
        (host.max_nodes, host.reserve, host.accel),
        (10, MiB(512), Accel::Auto)
    );
    assert!((host.overcommit - 10.0).abs() < f64::EPSILON);
    let node = &topology.nodes[1];
    assert_eq!((node.name.as_str(), node.index, node.vcpus), ("web002", 1, 1));
    assert_eq!(
        (node.image.as_str(), node.memory, node.disk),
        ("micro", MiB(96), None)
    );
    assert_eq!(topology.network.subnet.to_string(), "10.77.0.0/16");
    assert_eq!(topology.groups[0].place, Place::Pack);
    assert_eq!(topology.images.len(), 1);
}

#[test]
fn the_default_memory_depends_on_the_image() {
    let topology = good(
        "name: x\nimages: { tools: { from: debian, packages: [jq] } }\ngroups:\n  a: { count: 1, image: debian }\n  b: { count: 1, image: tools }\n  c: { count: 1 }\n",
    );
    let memory: Vec<u64> = topology.nodes.iter().map(|node| node.memory.0).collect();
    assert_eq!(memory, [512, 512, 96]);
}

#[test]
fn names_are_padded_to_three_digits_and_then_grow() {
    let topology = good("name: x\ngroups: { n: { count: 1001 } }\n");
    assert_eq!(topology.nodes[0].name.as_str(), "n001");
    assert_eq!(topology.nodes[1000].name.as_str(), "n1001");
    assert_eq!(topology.groups[0].nodes.len(), 1001);
}

#[test]
fn nodes_can_be_named_by_a_node_set() {
    let topology = good("name: x\ngroups: { web: { nodes: \"web[1-3,7],lb\" } }\n");
    let mut names: Vec<&str> = topology.nodes.iter().map(|node| node.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["lb", "web1", "web2", "web3", "web7"]);
}

#[test]
fn hosts_are_a_node_set_with_values_in_the_template_language() {
    let topology = good(
        "name: x\nhosts:\n  bm[01-03]:\n    uri: \"qemu+ssh://{{vars.user}}@{{name}}.example.org:{{add 2200 index}}/system\"\n    address: \"192.0.2.{{add index 1}}\"\n    identity: keys/{{name}}\n    vars: { user: root, rack: \"r{{index}}\" }\n    max_nodes: 4\n  local: { uri: \"qemu+unix:///system?socket=/run/libvirt/libvirt-sock\" }\n  plain:\ngroups: { web: { count: 1 } }\n",
    );
    let host = &topology.hosts[1];
    assert_eq!(host.uri, "qemu+ssh://root@bm02.example.org:2201/system");
    assert_eq!(host.address.unwrap().to_string(), "192.0.2.2");
    assert_eq!(host.vars["rack"], "r1");
    assert!(host.identity.as_ref().unwrap().ends_with("keys/bm02"));
    assert_eq!(host.at.as_ref().unwrap().line, 3);
    assert_eq!(topology.hosts.len(), 5);
    assert_eq!(topology.hosts[4].uri, "qemu+ssh://root@plain/system");
}

#[test]
fn groups_inherit_and_values_per_node_use_the_template_language() {
    let topology = good(
        "name: x\ndefaults: { vcpus: 2, memory: 1GiB, disk: 4GiB, place: spread }\nvars: { big: 2GiB, a: 1 }\nhosts: { \"h[1-4]\": {} }\ngroups:\n  web:\n    count: 4\n    memory: \"{{#if (eq (mod index 2) 0)}}{{vars.big}}{{else}}512MiB{{/if}}\"\n    on: h[2-3]\n    separate: [web, db]\n    vars: { id: \"{{name}}-{{group.name}}\", b: 2 }\n  db: { count: 1, vcpus: \"{{add index 3}}\", place: pack }\n",
    );
    let memory: Vec<u64> = topology.nodes.iter().map(|node| node.memory.0).collect();
    assert_eq!(memory, [2048, 512, 2048, 512, 1024]);
    assert_eq!(topology.nodes[4].vcpus, 3);
    assert_eq!(topology.nodes[3].vars["id"], "web004-web");
    assert_eq!(topology.nodes[3].vars["a"], 1);
    let web = &topology.groups[0];
    assert_eq!(web.on.as_ref().unwrap().len(), 2);
    assert_eq!(web.separate.len(), 2);
    assert_eq!(
        (web.place, topology.groups[1].place),
        (Place::Spread, Place::Pack)
    );
}

#[test]
fn images_can_be_based_on_images() {
    let dir = directory(&[("cloud.qcow2", "QFI")]);
    let text = "name: x\nimages:\n  base: { from: micro, packages: [curl, jq] }\n  redis: { from: base, packages: [redis-server, jq] }\n  cloud: { from: ./cloud.qcow2, user: ubuntu }\n  mine: { from: cloud }\ngroups:\n  a: { count: 1, image: redis }\n  b: { count: 1, image: mine }\n";
    let topology = Topology::parse(text, "t.yaml", dir.path()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(topology.images.len(), 2, "only images that nodes use are listed");
    let redis = &topology.images["redis"];
    assert_eq!(redis.source, ImageSource::Micro);
    assert_eq!(redis.packages, ["curl", "jq", "redis-server"]);
    let mine = &topology.images["mine"];
    assert!(
        matches!(&mine.source, ImageSource::File(path) if path.ends_with("cloud.qcow2") && path.is_absolute())
    );
    assert_eq!(mine.user.as_deref(), Some("ubuntu"));
}

#[test]
fn images_have_a_firmware_a_policy_and_cloud_config_of_the_user() {
    let dir = directory(&[
        ("cloud.qcow2", "QFI"),
        ("own.yaml", "#cloud-config\npackages: [htop]\n"),
    ]);
    let text = "name: x\nimages:\n  cloud: { from: ./cloud.qcow2, firmware: uefi, cloud_init: strict, user_data: own.yaml }\n  mine: { from: cloud, cloud_init: tolerant }\ngroups:\n  a: { count: 1, image: cloud, user_data: { packages: [[nginx, 1.10]], write_files: [{ path: /x, permissions: 0600 }] } }\n  b: { count: 1, image: mine }\n  c: { count: 1 }\n";
    let topology = Topology::parse(text, "t.yaml", dir.path()).unwrap_or_else(|error| panic!("{error}"));
    let (cloud, mine) = (&topology.images["cloud"], &topology.images["mine"]);
    assert_eq!(
        (cloud.firmware, cloud.cloud_init),
        (BootFirmware::Uefi, CloudInitPolicy::Strict)
    );
    assert_eq!(
        (mine.firmware, mine.cloud_init),
        (BootFirmware::Uefi, CloudInitPolicy::Tolerant)
    );
    let own = "#cloud-config\npackages: [htop]\n";
    let [a, b, c] = topology.nodes.as_slice() else {
        panic!()
    };
    let of = |node: &Node| topology.user_data(&node.image, &node.group);
    assert_eq!(of(b), [own]);
    assert_eq!((of(a).len(), of(a)[0]), (2, own));
    let inline = of(a)[1].strip_prefix("#cloud-config\n").unwrap();
    let inline: serde_json::Value = serde_json::from_str(inline).unwrap();
    assert_eq!(inline["write_files"][0]["permissions"], "0600");
    assert_eq!(inline["packages"][0][1], "1.10");
    let digest = |node: &Node| topology.user_data_digest(node);
    assert!(digest(a).is_some() && digest(a) != digest(b) && digest(c).is_none());
}

#[test]
fn steps_are_read_with_their_nodes_times_modes_and_owners() {
    let dir = directory(&[("a.hbs", "port {{vars.port}}\n"), ("sub/b.bin", "x")]);
    let text = "name: x\nvars: { port: 1 }\ngroups: { web: { count: 3 }, db: { count: 1 } }\nconfigure:\n  - { template: a.hbs, to: \"/etc/{{node.name}}\", mode: \"0600\", owner: \"redis:redis\" }\n  - { on: \"@web!web002\", file: sub/b.bin, to: /b, timeout: 5m, fanout: 7 }\n  - { name: go, on: \"@*\", run: \"echo {{node.address}}\" }\nworkload:\n  - { run: \"true\" }\n  - { name: load, on: db001, run: x, barrier: true, timeout: 1h 30m, collect: [\"/var/log/*.log\"] }\n";
    let topology = Topology::parse(text, "t.yaml", dir.path()).unwrap_or_else(|error| panic!("{error}"));
    let [template, file, run] = topology.configure.as_slice() else {
        panic!()
    };
    assert_eq!(template.on.len(), 4);
    assert_eq!(template.timeout, Duration::from_mins(1));
    assert_eq!(template.name, "a.hbs -> /etc/{{node.name}}");
    assert!(
        matches!(&template.action, ConfigureAction::Template { text, source: Some(_), mode: 0o600, owner: Some(owner), .. } if text == "port {{vars.port}}\n" && owner == "redis:redis")
    );
    assert_eq!((template.fanout, file.fanout), (None, Some(7)));
    assert_eq!(
        file.on.iter().map(NodeName::as_str).collect::<Vec<_>>(),
        ["web001", "web003"]
    );
    assert!(
        matches!(&file.action, ConfigureAction::File { source, mode: 0o644, .. } if source.is_absolute())
    );
    assert_eq!((run.name.as_str(), run.on.len()), ("go", 4));
    let [first, load] = topology.workload.as_slice() else {
        panic!()
    };
    assert_eq!(
        (first.name.as_str(), first.timeout),
        ("step1", Duration::from_hours(1))
    );
    assert_eq!((load.barrier, load.timeout), (true, Duration::from_mins(90)));
    assert_eq!(load.on.len(), 1);
}

#[test]
fn aliases_and_merge_keys_of_yaml_work() {
    let topology = good(
        "name: x\nvars: { common: &c { memory: 128MiB } }\ngroups:\n  a: { <<: *c, count: 1 }\n  b: { count: 1, memory: 64MiB }\n",
    );
    assert_eq!(topology.nodes[0].memory, MiB(128));
}

/// Reads all topologies of a directory; `base`: where the files are that they name. Returns how many there are.
fn valid_topologies(dir: &str, base: &Path) -> usize {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(dir);
    let mut found = 0;
    for entry in std::fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let text = std::fs::read_to_string(&path).unwrap();
            let topology = Topology::parse(&text, &path.to_string_lossy(), &dir.join(base));
            topology.unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
            found += 1;
        }
    }
    found
}

#[test]
fn the_example_topologies_are_valid() {
    assert!(valid_topologies("topologies", Path::new("")) >= 5);
}

#[test]
fn the_topologies_of_the_benches_are_valid() {
    // The benches make these files.
    let base = directory(&[("empty.raw", ""), ("nothing.qcow2", ""), ("large.bin", "")]);
    assert!(valid_topologies("scripts/bench.d", base.path()) >= 5);
}

#[test]
fn the_committed_schema_is_the_one_that_is_generated() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/topology.schema.json");
    let wanted = format!("{:#}\n", schema());
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == wanted,
        "run: UPDATE_SCHEMA=1 cargo test the_committed_schema"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_with_its_name() {
    let error = Topology::load("/nonexistent/topology.yaml").unwrap_err();
    assert!(
        error.to_string().contains("/nonexistent/topology.yaml"),
        "{error}"
    );
    assert_eq!(error.exit_code(), crate::base::exit::ExitCode::InvalidTopology);
}

#[test]
fn a_large_topology_is_read_in_bounded_time() {
    let start = std::time::Instant::now();
    let topology = good(
        "name: x\nhosts: { \"bm[0001-1000]\": {} }\ngroups: { w: { count: 10000, vars: { id: \"{{name}}\" } } }\nconfigure: [ { run: \"echo {{length nodes}}\" } ]\n",
    );
    assert_eq!(topology.nodes.len(), 10_000);
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn relative_paths_are_relative_to_the_file() {
    let dir = directory(&[
        (
            "t.yaml",
            "name: x\ngroups: { a: { count: 1 } }\nconfigure: [ { template: x.hbs, to: /x } ]\n",
        ),
        ("x.hbs", "{{node.name}}"),
    ]);
    let file = dir.path().join("t.yaml");
    let topology = Topology::load(&file.to_string_lossy()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(topology.base_dir, dir.path().canonicalize().unwrap());
    assert_eq!(Path::new(&topology.file), file);
}

#[test]
fn the_first_example_of_the_reference_is_valid() {
    let reference =
        std::fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/topology.md")).unwrap();
    let (_, example) = reference.split_once("```yaml\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let dir = directory(&[("templates/redis.conf.hbs", "port {{vars.port}}\n")]);
    let topology =
        Topology::parse(example, "topology.md", dir.path()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(topology.nodes.len(), 150);
}

#[test]
fn a_lease_is_four_hours_by_default_and_never_has_no_end() {
    let with = |ttl: &str| format!("name: small\n{ttl}groups: {{ web: {{ count: 2 }} }}\n");
    assert_eq!(good(&with("")).ttl, Some(Duration::from_hours(4)));
    assert_eq!(good(&with("ttl: 1h 30m\n")).ttl, Some(Duration::from_mins(90)));
    assert_eq!(good(&with("ttl: never\n")).ttl, None);
    for (text, words) in [
        ("ttl: soon\n", "`soon` is not a length of time"),
        ("ttl: 30s\n", "out of bounds"),
        ("ttl: 400days\n", "out of bounds"),
    ] {
        let message = bad(&with(text));
        assert!(
            message.contains(words) && message.contains("topology.yaml:2:6"),
            "{message}"
        );
    }
}
