//! Entry points for the fuzzer into this module. See `crate::fuzzing`.
#![expect(clippy::unwrap_used, reason = "a violated property is reported by a panic")]

use std::time::Duration;

use super::config::SshConfig;
use super::known_hosts::{self, KnownHosts, Strictness};
use super::lines::{LINE_LIMIT, Lines};
use super::request::HostTarget;
use super::settings::HostSettings;
use super::{pattern, route, transfer};

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
    transfer::fuzz_lists(&all);
}

/// A known_hosts file never accepts a key that is not in it.
pub(crate) fn known_hosts(text: &str) {
    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
    let key = russh::keys::PublicKey::from_openssh(KEY).unwrap();
    let entries = known_hosts::entries_of(text, "[bm01]:2222");
    let trusted = KnownHosts {
        entry: "[bm01]:2222".into(),
        files: Vec::new(),
        revoked: Vec::new(),
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

/// What `ssh -G` printed, and the values in it that are expanded.
pub(crate) fn ssh_answer(text: &str) {
    let Ok(settings) = HostSettings::parse(text) else {
        return;
    };
    let target = HostTarget {
        host: "bm01".into(),
        user: None,
        port: None,
        identity: None,
        known_hosts: None,
        timeout: Duration::from_secs(1),
    };
    let config = SshConfig::new(None, "/home/me".into(), "me");
    let _ = route::of_settings(&target, &config, &settings);
}
