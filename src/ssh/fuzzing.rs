//! Entry points for the fuzzer into this module. See `crate::fuzzing`.
#![expect(clippy::unwrap_used, reason = "a violated property is reported by a panic")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::config::SshConfig;
use super::known_hosts::{self, KnownHosts, Strictness};
use super::lines::{LINE_LIMIT, Lines};
use super::{pattern, transfer};

/// An archive from a node.
pub(crate) fn unpack(bytes: &[u8]) {
    transfer::fuzz_unpack(bytes);
}

/// A stream of lines in pieces: no line is too long and nothing is lost.
pub(crate) fn lines<'a>(next: &mut dyn FnMut() -> &'a [u8]) {
    let (mut lines, mut found, mut all) = (Lines::default(), String::new(), Vec::new());
    loop {
        let piece = next();
        if piece.is_empty() {
            break;
        }
        all.extend_from_slice(piece);
        lines.push(piece, |line, ended| {
            assert!(line.len() <= 3 * LINE_LIMIT);
            found.push_str(&line);
            if ended {
                found.push('\n');
            }
        });
    }
    found.extend(lines.finish());
    if let Ok(text) = std::str::from_utf8(&all)
        && !text.contains('\r')
    {
        assert_eq!(found, text);
    }
    let text = String::from_utf8_lossy(&all);
    for line in text.lines() {
        let _ = transfer::fuzz_digest(line);
    }
}

/// A known_hosts file never accepts a key that is not in it.
pub(crate) fn known_hosts(text: &str) {
    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
    let key = russh::keys::PublicKey::from_openssh(KEY).unwrap();
    let entries = known_hosts::entries_of(text, "[bm01]:2222");
    let trusted = KnownHosts {
        entry: "[bm01]:2222".into(),
        files: Vec::new(),
        strictness: Strictness::Strict,
        accept: String::new(),
    }
    .check_against(entries, &key);
    if trusted.is_ok() {
        let blob = KEY.split(' ').nth(1).unwrap();
        assert!(text.contains(blob.trim_end_matches('=')), "{text:?}");
    }
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let _ = pattern::list_matches(first.split(','), rest);
}

/// An ssh config. It includes nothing: files of this machine are not part of the input.
pub(crate) fn ssh_config(text: &str, scratch: &Path) {
    let path = scratch.join("config");
    let text: String = text
        .lines()
        .filter(|line| !line.to_ascii_lowercase().contains("include"))
        .map(|line| format!("{line}\n"))
        .collect();
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let config = SshConfig {
        path,
        required: true,
        home: scratch.to_owned(),
        user: "root".into(),
        agent: None,
    };
    if config.settings("bm01").is_ok() {
        super::host::fuzz_route("bm01", &config);
    }
}
