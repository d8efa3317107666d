//! The texts user-data and meta-data of a NoCloud seed.
//!
//! user-data is JSON after the `#cloud-config` line: YAML that needs no quoting rules of our
//! own. With cloud-config of the user it is a MIME message of several such parts, the user's first. meta-data has one
//! scalar per line, because the shell of the micro image reads it; its values are checked, so quotes are enough.
//! Format: cloud-init documentation, "NoCloud".

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::multipart::{APPENDED, PREPENDED, Part, REPLACED, multipart};
use super::{READY_MARKER, SeedError, SeedInput};

pub(super) fn meta_data(input: &SeedInput<'_>) -> String {
    format!(
        "instance-id: \"{}\"\nlocal-hostname: \"{}\"\n",
        input.instance_id, input.hostname
    )
}

pub(super) fn user_data(input: &SeedInput<'_>) -> Result<String, SeedError> {
    let (users, values, lists) = (users(input), values(input)?, lists(input));
    if input.user_data.is_empty() {
        let all = users.into_iter().chain(values).chain(lists).collect();
        return Ok(cloud_config(all));
    }
    let (users, values, lists) = (cloud_config(users), cloud_config(values), cloud_config(lists));
    let mut parts: Vec<Part<'_>> = input.user_data.iter().map(|text| Part::plain(text)).collect();
    parts.push(Part::merged(&lists, APPENDED));
    // Of two entries of one user, cloud-init uses the values of the first.
    parts.push(Part::merged(&users, PREPENDED));
    parts.push(Part::merged(&values, REPLACED));
    Ok(multipart(&parts))
}

fn cloud_config(keys: Map<String, Value>) -> String {
    format!("#cloud-config\n{:#}\n", Value::Object(keys))
}

/// The login user.
fn users(input: &SeedInput<'_>) -> Map<String, Value> {
    let mut user = json!({
        "name": input.user,
        // No password has this digest. A locked password would be a reason for an sshd without PAM to refuse keys.
        "lock_passwd": false,
        "hashed_passwd": "*",
        // The only one that every image has: sshd refuses a user whose shell does not exist.
        "shell": "/bin/sh",
        "ssh_authorized_keys": input.authorized_keys,
    });
    if input.user != "root" {
        user["sudo"] = json!("ALL=(ALL) NOPASSWD:ALL");
    }
    keys([("users", json!([user]))])
}

fn keys<const N: usize>(entries: [(&str, Value); N]) -> Map<String, Value> {
    entries
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

/// What is added to lists that the user may have too.
fn lists(input: &SeedInput<'_>) -> Map<String, Value> {
    keys([
        ("write_files", json!([hosts_file(input.hosts_file)])),
        ("runcmd", json!([["sh", "-c", SHELL, "sh", input.user]])),
    ])
}

/// What only vcluster may say.
fn values(input: &SeedInput<'_>) -> Result<Map<String, Value>, SeedError> {
    let public = input
        .host_key
        .public_key()
        .to_openssh()
        .map_err(|_| SeedError::HostKey(input.hostname.clone()))?;
    let host_key = json!({
        "ed25519_private": input.openssh_host_key()?,
        "ed25519_public": public,
    });
    Ok(keys([
        ("disable_root", json!(input.user != "root")),
        ("ssh_pwauth", json!(false)),
        ("ssh_deletekeys", json!(true)),
        ("ssh_keys", host_key),
        ("preserve_hostname", json!(false)),
        ("hostname", json!(input.hostname.as_str())),
        ("manage_etc_hosts", json!(false)),
        // cloud-init writes it to the console when it is done: the same line as of the micro image.
        (
            "final_message",
            json!(format!("{READY_MARKER} {}", input.instance_id)),
        ),
    ]))
}

/// Gives a user with the shell that every image has the one that people expect, where the image has it. `$1` is the user.
const SHELL: &str =
    "s=$(command -v bash) && grep -q \"^$1:.*:/bin/sh\\$\" /etc/passwd && usermod -s \"$s\" \"$1\" || :";

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
