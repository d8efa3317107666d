use std::io::{Cursor, Read as _};

use russh::keys::ssh_key::private::{Ed25519Keypair, Ed25519PrivateKey};

use super::*;

fn key() -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from(Ed25519PrivateKey::from_bytes(&[7; 32])))
}

struct Fixture {
    name: NodeName,
    key: PrivateKey,
    keys: Vec<String>,
    dns: Vec<IpAddr>,
}

impl Fixture {
    fn new() -> Self {
        Self {
            name: "redis001".parse().unwrap(),
            key: key(),
            keys: vec!["ssh-ed25519 AAAA vcluster".into()],
            dns: vec!["10.77.0.1".parse().unwrap()],
        }
    }

    fn input(&self) -> SeedInput<'_> {
        SeedInput {
            instance_id: "c1-redis001-1",
            hostname: &self.name,
            user: "debian",
            authorized_keys: &self.keys,
            host_key: &self.key,
            address: "10.77.0.5/16".parse().unwrap(),
            mac: Mac([0x52, 0x54, 0, 1, 2, 3]),
            mtu: 1450,
            gateway: Some(Ipv4Addr::new(10, 77, 0, 1)),
            interfaces: &[],
            dns: &self.dns,
            hosts_file: "127.0.0.1 localhost\n10.77.0.5 redis001\n",
            user_data: &[],
        }
    }
}

fn read_back(volume: Vec<u8>, name: &str) -> Vec<u8> {
    let system = fatfs::FileSystem::new(Cursor::new(volume), fatfs::FsOptions::new()).unwrap();
    assert_eq!(system.volume_label(), "CIDATA");
    let mut content = Vec::new();
    let root = system.root_dir();
    root.open_file(name).unwrap().read_to_end(&mut content).unwrap();
    content
}

#[test]
fn the_three_texts_are_as_cloud_init_and_the_micro_image_read_them() {
    let fixture = Fixture::new();
    let files = fixture.input().files().unwrap();
    insta::assert_snapshot!("meta_data", files.meta_data);
    insta::assert_snapshot!("network_config", files.network_config);
    // The OpenSSH format of a key contains random check bytes in some versions; everything else is fixed.
    let begin = files.user_data.find("-----BEGIN").unwrap();
    let end = files.user_data.find("-----END").unwrap();
    let shown = format!("{}[key]{}", &files.user_data[..begin], &files.user_data[end..]);
    insta::assert_snapshot!("user_data", shown);
}

#[test]
fn a_node_without_gateway_and_name_servers_gets_no_routes() {
    let fixture = Fixture::new();
    let mut input = fixture.input();
    input.gateway = None;
    input.dns = &[];
    let text = input.files().unwrap().network_config;
    assert!(
        !text.contains("routes") && !text.contains("nameservers"),
        "{text}"
    );
}

fn interface(network: &str, address: &str, mtu: u32, gateway: Option<Ipv4Addr>) -> InterfaceSpec {
    let address: Ipv4Net = address.parse().unwrap();
    let [a, b, c, d] = address.addr().octets();
    InterfaceSpec {
        network: network.parse().unwrap(),
        bridge: "vcb000000000000".into(),
        address,
        mac: Mac([0x52, 0x54, a, b, c, d]),
        mtu,
        gateway,
    }
}

fn lines(part: &str) -> Vec<&str> {
    part.lines().map(str::trim).collect()
}

/// A node whose default gateway is in its third network.
fn network_config_of_three_interfaces() -> String {
    let mut fixture = Fixture::new();
    fixture.dns = ["10.77.0.1", "9.9.9.9", "10.78.0.1", "2620:fe::fe"]
        .map(|server| server.parse::<IpAddr>().unwrap())
        .to_vec();
    let interfaces = [
        interface("storage", "10.78.0.5/24", 8900, None),
        interface("public", "10.79.0.5/16", 1500, Some([10, 79, 0, 1].into())),
    ];
    let mut input = fixture.input();
    input.gateway = None;
    input.interfaces = &interfaces;
    input.files().unwrap().network_config
}

#[test]
fn every_interface_has_its_own_address_and_the_name_servers_that_it_leads_to() {
    let text = network_config_of_three_interfaces();
    let at = |name: &str| text.find(&format!("\n  {name}:\n")).unwrap();
    let (first, rest) = text.split_at(at("eth1"));
    let (second, third) = rest.split_at(at("eth2") - at("eth1"));
    assert!(
        first.contains("- \"10.77.0.1\"") && !first.contains("routes:"),
        "{text}"
    );
    assert_eq!(
        lines(second),
        [
            "",
            "eth1:",
            "match:",
            "macaddress: \"52:54:0a:4e:00:05\"",
            "set-name: \"eth1\"",
            "dhcp4: false",
            "dhcp6: false",
            "accept-ra: false",
            "link-local: []",
            "mtu: 8900",
            "addresses:",
            "- \"10.78.0.5/24\"",
            "nameservers:",
            "addresses:",
            "- \"10.78.0.1\"",
        ]
    );
    let third = lines(third);
    assert!(third.contains(&"via: \"10.79.0.1\""), "{text}");
    assert_eq!(third[third.len() - 2..], ["- \"9.9.9.9\"", "- \"2620:fe::fe\""]);
}

#[test]
fn the_shell_of_the_micro_image_reads_every_interface() {
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("network-config");
    std::fs::write(&file, network_config_of_three_interfaces()).unwrap();
    let init = include_str!("../../images/micro/init");
    let part = |begin: &str, end: &str| {
        let from = init.find(begin).unwrap();
        let length = init[from..].find(end).unwrap() + end.len();
        &init[from..from + length]
    };
    let script = format!(
        "{}\n{}\nprintf '%s\\n' $interfaces via $gateway $nameservers",
        part("unquote() {", "\n}\n"),
        part("mac='' mtu=''", "</seed/network-config\n")
    );
    let script = script.replace("/seed/network-config", file.to_str().unwrap());
    let output = std::process::Command::new("/bin/sh")
        .args(["-c", &script])
        .output()
        .unwrap();
    let words = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        words.lines().collect::<Vec<_>>().join(" "),
        "52:54:00:01:02:03 10.77.0.5/16 1450 52:54:0a:4e:00:05 10.78.0.5/24 8900 52:54:0a:4f:00:05 10.79.0.5/16 1500 \
         via 10.79.0.1 10.77.0.1 10.78.0.1 9.9.9.9 2620:fe::fe"
    );
}

#[test]
fn the_volume_holds_the_files_byte_by_byte() {
    let fixture = Fixture::new();
    let mut input = fixture.input();
    let hosts = "10.77.100.100 a-node-with-a-name-of-some-length\n".repeat(5_000);
    input.hosts_file = &hosts;
    let files = input.files().unwrap();
    let bytes = volume(&files).unwrap();
    assert_eq!(read_back(bytes.clone(), "user-data"), files.user_data.as_bytes());
    assert_eq!(read_back(bytes.clone(), "meta-data"), files.meta_data.as_bytes());
    assert_eq!(
        read_back(bytes.clone(), "network-config"),
        files.network_config.as_bytes()
    );
    assert_eq!(read_back(bytes, "files.tar"), files.files_tar);
}

#[test]
fn a_usual_volume_is_small_and_equal_seeds_are_equal_bytes() {
    let fixture = Fixture::new();
    let one = volume(&fixture.input().files().unwrap()).unwrap();
    let two = volume(&fixture.input().files().unwrap()).unwrap();
    assert_eq!(one, two);
    assert!(one.len() <= 32 * 1024, "{} bytes", one.len());
}

#[test]
fn every_size_of_contents_fits_its_volume() {
    let fixture = Fixture::new();
    for lines in (0..4_000).step_by(97) {
        let mut input = fixture.input();
        let hosts = "10.77.100.100 node\n".repeat(lines);
        input.hosts_file = &hosts;
        let files = input.files().unwrap();
        let bytes = volume(&files).unwrap_or_else(|error| panic!("{lines} lines: {error:?}"));
        assert_eq!(read_back(bytes, "files.tar"), files.files_tar, "{lines} lines");
    }
}

#[test]
fn hostile_values_stay_values() {
    let mut fixture = Fixture::new();
    fixture.keys = vec!["ssh-ed25519 AAAA x\"}]: !!python/object # &a *b".into()];
    let mut input = fixture.input();
    input.hosts_file = "\0\u{ff}\x7f";
    let text = input.files().unwrap().user_data;
    let json: serde_json::Value =
        serde_json::from_str(text.strip_prefix("#cloud-config\n").unwrap()).unwrap();
    assert_eq!(json["users"][0]["ssh_authorized_keys"][0], fixture.keys[0]);
    assert_eq!(json["write_files"][0]["path"], "/etc/hosts");
    assert_eq!(json["write_files"][0]["encoding"], "b64");
    assert_eq!(json["write_files"][0]["content"], "AMO/fw==");
}

/// The bodies of the parts of a MIME message, each with its headers.
fn parts(message: &str) -> Vec<(String, String)> {
    use base64::Engine as _;
    let boundary = message.split('"').nth(1).unwrap();
    let separator = format!("--{boundary}");
    let mut parts = message.split(&separator).skip(1);
    let mut found = Vec::new();
    for part in parts.by_ref().take_while(|part| !part.starts_with("--")) {
        let (head, body) = part.split_once("\n\n").unwrap();
        let body: String = body.split_whitespace().collect();
        let body = base64::engine::general_purpose::STANDARD.decode(body).unwrap();
        found.push((head.to_owned(), String::from_utf8(body).unwrap()));
    }
    found
}

#[test]
fn cloud_config_of_the_user_comes_before_ours_which_it_cannot_override() {
    let fixture = Fixture::new();
    let mut input = fixture.input();
    let own = format!(
        "#cloud-config\nhostname: mine # é\npackages: [{}]\n",
        "x, ".repeat(100)
    );
    let texts = [own.as_str(), "#cloud-config\n{}\n"];
    input.user_data = &texts;
    let message = input.files().unwrap().user_data;
    assert!(message.lines().all(|line| line.len() < 120), "{message}");
    let parts = parts(&message);
    assert_eq!(parts.len(), 5);
    assert_eq!((parts[0].1.as_str(), parts[1].1.as_str()), (texts[0], texts[1]));
    assert!(!parts[0].0.contains("Merge-Type"), "{}", parts[0].0);
    let json = |at: usize| -> serde_json::Value {
        serde_json::from_str(parts[at].1.strip_prefix("#cloud-config\n").unwrap()).unwrap()
    };
    // The user's lists stay: ours are added, the login user first, so that its values count.
    assert!(parts[2].0.contains("list(append)") && json(2)["write_files"][0]["path"] == "/etc/hosts");
    assert!(parts[3].0.contains("list(prepend)") && json(3)["users"][0]["name"] == "debian");
    // The last one replaces.
    assert!(parts[4].0.contains("dict(replace)") && json(4)["hostname"] == "redis001");
    assert!(json(4)["ssh_keys"]["ed25519_private"].is_string());
    assert!(volume(&input.files().unwrap()).is_ok());
}

#[test]
fn the_shell_of_people_is_set_only_where_the_image_has_it_and_the_user_has_none() {
    let fixture = Fixture::new();
    let text = fixture.input().files().unwrap().user_data;
    let json: serde_json::Value =
        serde_json::from_str(text.strip_prefix("#cloud-config\n").unwrap()).unwrap();
    let script = json["runcmd"][0][2].as_str().unwrap();
    let temp = tempfile::tempdir().unwrap();
    let path = |name: &str| temp.path().join(name).display().to_string();
    let script = script.replace("/etc/passwd", &path("passwd"));
    let program = |name: &str, text: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::write(path(name), format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(path(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    let run = |shell: &str| {
        std::fs::write(
            path("passwd"),
            format!("debian2:x:1::/:/bin/sh\ndebian:x:2::/:{shell}\n"),
        )
        .unwrap();
        let _ = std::fs::remove_file(path("done"));
        let status = std::process::Command::new("/bin/sh")
            .args(["-c", &script, "sh", "debian"])
            .env("PATH", format!("{}:/usr/bin:/bin", temp.path().display()))
            .status()
            .unwrap();
        assert!(status.success());
        std::fs::read_to_string(path("done")).unwrap_or_default()
    };
    program("usermod", &format!("echo \"$@\" >{}", path("done")));
    program("bash", "");
    assert_eq!(run("/bin/sh"), format!("-s {} debian\n", path("bash")));
    assert_eq!(run("/bin/zsh"), "");
    program("usermod", "exit 1");
    assert_eq!(run("/bin/sh"), "");
}

#[test]
fn hostile_names_paths_and_keys_are_refused() {
    let mut fixture = Fixture::new();
    let mut input = fixture.input();
    input.instance_id = "a\"\nb";
    assert!(matches!(input.files(), Err(SeedError::InstanceId(_))));
    let mut input = fixture.input();
    input.user = "-x";
    assert!(matches!(input.files(), Err(SeedError::User(_))));
    for path in ["relative", "/../x", "/a//b", "/", "/a/./b"] {
        let added = archive::Archive::new().add(path, 0o644, b"");
        assert!(matches!(added, Err(SeedError::Path(_))), "{path}");
    }
    fixture.keys = vec!["two\nlines".into()];
    assert!(matches!(fixture.input().files(), Err(SeedError::AuthorizedKey)));
}

#[test]
fn the_host_key_is_in_the_format_of_dropbear() {
    let fixture = Fixture::new();
    let key = fixture.input().dropbear_host_key().unwrap();
    assert_eq!(key.len(), 83);
    assert_eq!(&key[..19], b"\0\0\0\x0bssh-ed25519\0\0\0\x40");
    assert_eq!(key[19..51], [7; 32]);
}

#[test]
fn private_keys_do_not_show_in_debug_output() {
    let files = Fixture::new().input().files().unwrap();
    assert!(!format!("{files:?}").contains("PRIVATE"));
}

/// `VCLUSTER_SEED_OUT=DIR cargo test --lib -- --ignored seed_for_a_boot_by_hand` writes a
/// seed and its keys, for booting an image by hand (docs/images.md).
#[test]
#[ignore = "writes files for a boot by hand"]
fn seed_for_a_boot_by_hand() {
    let out = std::path::PathBuf::from(std::env::var_os("VCLUSTER_SEED_OUT").unwrap());
    let user = std::env::var("VCLUSTER_SEED_USER").unwrap_or_else(|_| "root".into());
    let mut fixture = Fixture::new();
    fixture.keys = vec![
        std::fs::read_to_string(out.join("id.pub"))
            .unwrap()
            .trim()
            .to_owned(),
    ];
    fixture.dns = vec!["10.0.2.3".parse().unwrap()];
    let lines: Vec<String> = (0..150)
        .map(|node| format!("10.77.0.{node} redis{node:03}\n"))
        .collect();
    let hosts = lines.concat();
    let mut input = fixture.input();
    input.user = &user;
    input.address = "10.0.2.15/24".parse().unwrap();
    input.gateway = Some("10.0.2.2".parse().unwrap());
    input.mac = Mac([0x52, 0x54, 0, 0x12, 0x34, 0x56]);
    input.hosts_file = &hosts;
    let files = input.files().unwrap();
    std::fs::write(out.join("seed.img"), volume(&files).unwrap()).unwrap();
    let host_key = fixture.key.public_key().to_openssh().unwrap();
    std::fs::write(out.join("host_key.pub"), host_key).unwrap();
}
