//! The three texts of a NoCloud seed.
//!
//! user-data is JSON after the `#cloud-config` line: YAML that needs no quoting rules of our
//! own. meta-data and network-config have one scalar per line, because the shell of the micro
//! image reads them; their values are checked or typed, so quotes are enough.
//! Format: cloud-init documentation, "NoCloud" and "Network config version 2".

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{READY_MARKER, SeedError, SeedInput};

pub(super) fn meta_data(input: &SeedInput<'_>) -> String {
    format!(
        "instance-id: \"{}\"\nlocal-hostname: \"{}\"\n",
        input.instance_id, input.hostname
    )
}

pub(super) fn network_config(input: &SeedInput<'_>) -> String {
    let mut text = format!(
        "version: 2\n\
         ethernets:\n\
         \x20 eth0:\n\
         \x20   match:\n\
         \x20     macaddress: \"{}\"\n\
         \x20   set-name: \"eth0\"\n\
         \x20   dhcp4: false\n\
         \x20   dhcp6: false\n\
         \x20   mtu: {}\n\
         \x20   addresses:\n\
         \x20     - \"{}\"\n",
        input.mac, input.mtu, input.address
    );
    // Writing to a String cannot fail.
    if let Some(gateway) = input.gateway {
        let _ = write!(
            text,
            "    routes:\n      - to: \"0.0.0.0/0\"\n        via: \"{gateway}\"\n"
        );
    }
    if !input.dns.is_empty() {
        text.push_str("    nameservers:\n      addresses:\n");
        for server in input.dns {
            let _ = writeln!(text, "        - \"{server}\"");
        }
    }
    text
}

pub(super) fn user_data(input: &SeedInput<'_>) -> Result<String, SeedError> {
    let public = input
        .host_key
        .public_key()
        .to_openssh()
        .map_err(|_| SeedError::HostKey(input.hostname.clone()))?;
    let mut user = json!({
        "name": input.user,
        "lock_passwd": true,
        "shell": "/bin/bash",
        "ssh_authorized_keys": input.authorized_keys,
    });
    if input.user != "root" {
        user["sudo"] = json!("ALL=(ALL) NOPASSWD:ALL");
    }
    let config = json!({
        "users": [user],
        "disable_root": input.user != "root",
        "ssh_pwauth": false,
        "ssh_deletekeys": true,
        "ssh_keys": {
            "ed25519_private": input.openssh_host_key()?,
            "ed25519_public": public,
        },
        "preserve_hostname": false,
        "hostname": input.hostname.as_str(),
        "manage_etc_hosts": false,
        "write_files": [hosts_file(input.hosts_file)],
        // cloud-init writes it to the console when it is done: the same line as of the micro image.
        "final_message": format!("{READY_MARKER} {}", input.instance_id),
    });
    Ok(format!("#cloud-config\n{config:#}\n"))
}

/// The entry of `write_files` for `/etc/hosts`.
fn hosts_file(content: &str) -> Value {
    let mut file = json!({ "path": "/etc/hosts", "permissions": "0644" });
    // Readable if it is plain text; everything else would be subject to YAML's rules on characters.
    if content.bytes().all(|byte| matches!(byte, b'\n' | b' '..=b'~')) {
        file["content"] = json!(content);
    } else {
        file["encoding"] = json!("b64");
        file["content"] = json!(STANDARD.encode(content));
    }
    file
}
