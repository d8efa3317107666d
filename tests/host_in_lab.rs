//! Two nodes on two lab hosts by hand, through the `host` module alone: made, reached, removed.
//! Runs inside a lab of two hosts (`scripts/lab run cargo test --test host_in_lab -- --ignored`) with
//! `VCLUSTER_TEST_IMAGE` naming the directory of a built micro image.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may fail, and prints its figures"
)]

use std::collections::HashSet;
use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use uuid::Uuid;
use vcluster::host::{
    Acceleration, ConnectOptions, DiskFormat, DomainState, Host, HostError, HostImage, ImagePart, PartRole,
};
use vcluster::plan::{HostPlan, Mac, NetworkPlan, NodePlan, NodeSpec, PLAN_VERSION, Plan, VxlanPlan};
use vcluster::ssh::{ExecRequest, NodeTarget, Session};
use vcluster::topology;
use vcluster::units::MiB;

fn host(name: &str) -> topology::Host {
    topology::Host {
        name: name.parse().unwrap(),
        uri: format!("qemu+ssh://root@{name}/system"),
        max_nodes: 10,
        overcommit: 4.0,
        reserve: MiB(0),
        address: None,
        accel: topology::Accel::Auto,
        identity: None,
        vars: serde_json::Map::new(),
        at: None,
    }
}

async fn plan(hosts: &[Host], nodes_per_host: u8) -> Plan {
    let id = Uuid::new_v4();
    let short = Plan::short_id(id);
    let mut plan = Plan {
        version: PLAN_VERSION,
        cluster: "trial".parse().unwrap(),
        cluster_id: id,
        network: NetworkPlan {
            subnet: "10.77.0.0/24".parse().unwrap(),
            bridge: format!("vcb{short}"),
            own_bridge: true,
            vxlan: Some(VxlanPlan {
                device: format!("vcx{short}"),
                vni: 7700,
                port: 4789,
            }),
            mtu: 1550,
            nat: true,
            gateway: None,
            dns: Vec::new(),
        },
        hosts: Vec::new(),
        nodes: Vec::new(),
        actions: Vec::new(),
    };
    let mut next = 0;
    for (at, host) in hosts.iter().enumerate() {
        let seen = host.observe().await.unwrap();
        println!("{}: {:?}", host.name(), seen.facts);
        let mut names = Vec::new();
        for _ in 0..nodes_per_host {
            next += 1;
            let name: vcluster::name::NodeName = format!("n{next:03}").parse().unwrap();
            names.push(name.clone());
            plan.nodes.push(NodePlan {
                domain: format!("trial.{name}"),
                uuid: Uuid::new_v5(&id, name.as_str().as_bytes()),
                name,
                group: "n".parse().unwrap(),
                index: u32::from(next) - 1,
                host: host.name().clone(),
                spec: NodeSpec {
                    image: "micro".parse().unwrap(),
                    image_key: "k".into(),
                    vcpus: 1,
                    memory: MiB(
                        std::env::var("VCLUSTER_TEST_MEMORY").map_or(112, |text| text.parse().unwrap())
                    ),
                    disk: None,
                    address: [10, 77, 0, next].into(),
                    mac: Mac([0x52, 0x54, 10, 77, 0, next]),
                    client_key: "SHA256:x".into(),
                    mtu: 1450,
                    gateway: None,
                    dns: Vec::new(),
                },
            });
        }
        plan.hosts.push(HostPlan {
            name: host.name().clone(),
            bridge_address: Some([10, 77, 0, 254 - at as u8].into()),
            underlay: seen.facts.underlay,
            nodes: names,
            memory: MiB(112),
            vcpus: 1,
            disk: MiB(0),
            capacity: vcluster::plan::Capacity::default(),
        });
    }
    plan
}

fn parts(directory: &Path) -> (String, Vec<ImagePart>) {
    let text = std::fs::read(directory.join("image.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let files = manifest["files"].as_array().unwrap();
    let parts = files.iter().map(|file| ImagePart {
        role: serde_json::from_value(file["role"].clone()).unwrap(),
        path: directory.join(file["name"].as_str().unwrap()),
        sha256: file["sha256"].as_str().unwrap().to_owned(),
        size: file["size"].as_u64().unwrap(),
        format: serde_json::from_value::<DiskFormat>(file["format"].clone()).unwrap(),
    });
    (manifest["cmdline"].as_str().unwrap().to_owned(), parts.collect())
}

struct Keys {
    directory: tempfile::TempDir,
}

impl Keys {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let run = |program: &str, arguments: &[&str]| {
            assert!(
                Command::new(program)
                    .args(arguments)
                    .current_dir(directory.path())
                    .output()
                    .unwrap()
                    .status
                    .success()
            );
        };
        run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", "client"]);
        run("dropbearkey", &["-t", "ed25519", "-f", "host"]);
        Self { directory }
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.directory.path().join(name)).unwrap()
    }

    fn host_key(&self) -> russh::keys::PublicKey {
        let output = Command::new("dropbearkey")
            .args(["-y", "-f"])
            .arg(self.directory.path().join("host"))
            .output();
        let text = String::from_utf8(output.unwrap().stdout).unwrap();
        let line = text.lines().find(|line| line.starts_with("ssh-ed25519")).unwrap();
        russh::keys::PublicKey::from_openssh(line).unwrap()
    }

    fn seed(&self, node: &NodePlan, mtu: u32) -> Vec<u8> {
        let mut files = tar::Builder::new(Vec::new());
        for (name, bytes) in [
            ("etc/dropbear/host_key", self.read("host")),
            ("root/.ssh/authorized_keys", self.read("client.pub")),
        ] {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o600);
            header.set_uid(0);
            header.set_gid(0);
            header.set_cksum();
            files.append_data(&mut header, name, bytes.as_slice()).unwrap();
        }
        let mut image = Cursor::new(vec![0; 1 << 20]);
        let options = fatfs::FormatVolumeOptions::new().volume_label(*b"CIDATA     ");
        fatfs::format_volume(&mut image, options).unwrap();
        {
            let volume = fatfs::FileSystem::new(&mut image, fatfs::FsOptions::new()).unwrap();
            let write = |name: &str, bytes: &[u8]| {
                volume
                    .root_dir()
                    .create_file(name)
                    .unwrap()
                    .write_all(bytes)
                    .unwrap();
            };
            let (name, mac, address) = (&node.name, node.spec.mac, node.spec.address);
            write(
                "meta-data",
                format!("instance-id: i-{name}\nlocal-hostname: {name}\n").as_bytes(),
            );
            write(
                "network-config",
                format!(
                    "version: 2\nethernets:\n  eth0:\n    match:\n      macaddress: \"{mac}\"\n    mtu: {mtu}\n    addresses:\n      - {address}/24\n"
                )
                .as_bytes(),
            );
            write("files.tar", &files.into_inner().unwrap());
        }
        image.into_inner()
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a lab of two hosts and a micro image"]
async fn two_hosts_carry_nodes_that_reach_each_other_and_are_clean_afterwards() {
    let began = Instant::now();
    let step = |text: &str| println!("{:6.2} s  {text}", began.elapsed().as_secs_f64());
    let image_directory = PathBuf::from(std::env::var("VCLUSTER_TEST_IMAGE").unwrap());
    let per_host = std::env::var("VCLUSTER_TEST_NODES").map_or(1, |text| text.parse().unwrap());
    let options = ConnectOptions::default();
    let hosts = try_join_all(["bm01", "bm02"].map(|name| {
        let options = options;
        async move { Host::connect(&host(name), &options).await }
    }))
    .await
    .unwrap();
    step("connected");
    let plan = plan(&hosts, per_host).await;
    step("observed");
    let outcome = life(&hosts, &plan, &image_directory, &step).await;
    let short = Plan::short_id(plan.cluster_id);
    for host in &hosts {
        let removed = host.remove_cluster(&plan.cluster, &short).await.unwrap();
        println!("{}: {removed:?}", host.name());
        step("removed");
        assert!(removed.errors.is_empty());
        assert_eq!(host.leftovers(&plan.cluster, None).await.unwrap(), []);
        let again = host.remove_cluster(&plan.cluster, &short).await.unwrap();
        assert_eq!((again.domains, again.objects, again.errors.len()), (0, 0, 0));
        step("audited");
    }
    outcome.unwrap();
    for host in &hosts {
        host.close().await;
    }
    step("closed");
}

async fn life(hosts: &[Host], plan: &Plan, images: &Path, step: &impl Fn(&str)) -> Result<(), HostError> {
    let (cmdline, parts) = parts(images);
    for host in hosts {
        let change = host.ensure_network(plan).await?;
        println!("{change:?}");
        assert!(change.changed);
        assert!(
            !host.ensure_network(plan).await?.changed,
            "a second time there is nothing to do"
        );
        assert!(host.ensure_pools(plan).await?);
        assert!(!host.ensure_pools(plan).await?);
    }
    step("networks and pools");
    try_join_all(hosts.iter().map(|host| host.prove_mtu(plan))).await?;
    step("MTU proved");
    let mut large = plan.clone();
    large.network.mtu = 1551;
    println!("{}", hosts[0].prove_mtu(&large).await.unwrap_err());
    let mut on_host: Vec<HostImage> = Vec::new();
    for host in hosts {
        let mut told = 0;
        on_host.push(
            host.ensure_image("k", &cmdline, &parts, &mut |done, _| told = done)
                .await?,
        );
        step(&format!("image ({told} bytes sent)"));
        let mut again = 0;
        host.ensure_image("k", &cmdline, &parts, &mut |done, _| again = done)
            .await?;
        assert_eq!(again, 0, "an image is uploaded once");
        let mut bad: Vec<ImagePart> = parts
            .iter()
            .filter(|part| part.role == PartRole::Initrd)
            .cloned()
            .collect();
        bad[0].sha256 = "0".repeat(64);
        println!(
            "{}",
            host.ensure_image("k", &cmdline, &bad, &mut |_, _| ())
                .await
                .unwrap_err()
        );
    }
    step("images");
    assert!(!hosts[0].prove_kvm(&on_host[0]).await?);
    step("KVM ruled out");
    assert!(!hosts[0].prove_kvm(&on_host[0]).await?);
    step("KVM ruled out again");
    let keys = Keys::new();
    let mut watches = Vec::new();
    for host in hosts {
        watches.push(host.watch_consoles(plan).await?);
    }
    for (host, image) in hosts.iter().zip(&on_host) {
        let nodes = plan.nodes.iter().filter(|node| node.host == *host.name());
        try_join_all(nodes.map(|node| async {
            let seed = keys.seed(node, plan.network.mtu);
            host.ensure_disk(plan, node, image, &seed).await?;
            assert!(host.define(plan, node, image, Acceleration::Tcg).await?);
            assert!(!host.define(plan, node, image, Acceleration::Tcg).await?);
            assert!(host.start(&node.domain).await?);
            assert!(!host.start(&node.domain).await?);
            Ok::<_, HostError>(())
        }))
        .await?;
    }
    step("started");
    let mut ready: HashSet<String> = HashSet::new();
    for (watch, host) in watches.iter_mut().zip(hosts) {
        let mine = plan.nodes.iter().filter(|node| node.host == *host.name()).count();
        let mut count = 0;
        while count < mine {
            let line = tokio::time::timeout(Duration::from_secs(60), watch.recv()).await;
            let line = line
                .expect("the nodes say READY in time")
                .expect("the stream lives");
            if line.line == format!("VCLUSTER-READY i-{}", line.node) {
                ready.insert(line.node.to_string());
                count += 1;
            } else {
                println!("{}: {}", line.node, line.line);
            }
        }
    }
    step(&format!("ready: {}", ready.len()));
    println!("pressure {:?}", hosts[0].cpu_pressure().await?);
    assert_eq!(
        hosts[0].states().await?.get("trial.n001"),
        Some(&DomainState::Running)
    );
    assert!(
        hosts[0]
            .console_tail(plan, &plan.nodes[0].name, 5)
            .await?
            .contains("VCLUSTER-READY")
    );
    across(hosts, plan, &keys).await;
    step("reached across");
    typed(&hosts[0], plan).await;
    step("typed on the console");
    let seen = hosts[0].observe().await?;
    assert_eq!(seen.nodes.len(), plan.hosts[0].nodes.len());
    let short = Plan::short_id(plan.cluster_id);
    assert!(
        hosts[0]
            .remove_node(&plan.cluster, &short, &seen.nodes[0])
            .await?
    );
    assert!(
        !hosts[0]
            .remove_node(&plan.cluster, &short, &seen.nodes[0])
            .await?
    );
    step("one node removed");
    Ok(())
}

async fn across(hosts: &[Host], plan: &Plan, keys: &Keys) {
    let key = russh::keys::PrivateKey::from_openssh(keys.read("client")).unwrap();
    let first = &plan.nodes[0];
    let last = plan.nodes.last().unwrap();
    let target = NodeTarget {
        name: first.name.to_string(),
        address: (first.spec.address, 22).into(),
        user: "root".into(),
        key: Arc::new(key),
        host_key: keys.host_key(),
        timeout: Duration::from_secs(20),
    };
    let via = hosts[0].session().unwrap();
    let node = Session::connect_node(Some(&via), &target).await.unwrap();
    let (other, size) = (last.spec.address, plan.network.mtu - 28);
    let command = format!(
        "hostname; ping -c 2 -W 5 -s {size} {other}; echo | nc -w 5 {other} 22 | head -c 7; ping -c 1 10.77.0.254; cat /proc/net/arp"
    );
    let output = node
        .exec(&ExecRequest {
            command,
            ..ExecRequest::default()
        })
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        text.contains(" 0% packet loss") && text.contains("SSH-2.0"),
        "{text}"
    );
    node.close().await;
}

async fn typed(host: &Host, plan: &Plan) {
    let mut console = host.console(&plan.nodes[0].domain).await.unwrap();
    console
        .stream
        .write_all(b"\n\necho it is $((6 * 7))\n")
        .await
        .unwrap();
    let mut text = String::new();
    let read = async {
        let mut buffer = [0; 256];
        while !text.contains("it is 42") {
            let count = console.stream.read(&mut buffer).await.unwrap();
            assert!(count > 0, "the console ended: {text}");
            text.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
    };
    tokio::time::timeout(Duration::from_secs(30), read)
        .await
        .expect("the console answers");
    console.close();
}

/// Pulls or plugs the cable of a host.
fn cable(host: &str, state: &str) {
    let namespace = format!("vclab-{}-under", std::env::var("VCLUSTER_LAB").unwrap());
    let status = Command::new("ip")
        .args(["-n", &namespace, "link", "set", host, state])
        .status();
    assert!(status.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a lab of two hosts and pulls the cable of one"]
async fn a_host_that_falls_silent_fails_in_bounded_time_and_is_named() {
    let options = ConnectOptions {
        timeout: Duration::from_secs(5),
        call_timeout: Duration::from_secs(3),
    };
    let alive = Host::connect(&host("bm02"), &options).await.unwrap();
    alive.states().await.unwrap();
    cable("bm02", "down");
    let began = Instant::now();
    let (states, pressure) = tokio::join!(alive.states(), alive.cpu_pressure());
    let (states, pressure) = (states.unwrap_err(), pressure.unwrap_err());
    println!("{:?}: {states}\n{pressure}", began.elapsed());
    let again = Instant::now();
    println!("{}", alive.states().await.unwrap_err());
    let known = again.elapsed();
    alive.close().await;
    println!("closed after {:?}", began.elapsed());
    let error = Host::connect(&host("bm02"), &options).await.unwrap_err();
    println!("{:?}: {error}", began.elapsed());
    cable("bm02", "up");
    assert!(states.to_string().contains("bm02") && error.to_string().contains("bm02"));
    assert!(
        known < Duration::from_secs(1),
        "a dead connection is known as dead"
    );
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs on a lab host itself: scripts/lab host bm01 TEST-BINARY --ignored on_this_machine"]
async fn on_this_machine_no_ssh_is_needed() {
    let mut config = host("bm01");
    config.uri = "qemu:///system".into();
    let here = Host::connect(&config, &ConnectOptions::default()).await.unwrap();
    assert!(here.session().is_none());
    let seen = here.observe().await.unwrap();
    println!("{seen:?}");
    assert!(seen.facts.underlay.is_some());
    let plan = plan(std::slice::from_ref(&here), 1).await;
    assert!(here.ensure_pools(&plan).await.unwrap());
    let short = Plan::short_id(plan.cluster_id);
    assert_eq!(
        here.remove_cluster(&plan.cluster, &short).await.unwrap().objects,
        2
    );
    assert_eq!(here.leftovers(&plan.cluster, Some(&short)).await.unwrap(), []);
    here.close().await;
}
