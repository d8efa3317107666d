use super::*;
use crate::base::failure::UserFacing;
use crate::ssh::config::tests::config;

fn target(host: &str) -> HostTarget {
    let timeout = Duration::from_secs(1);
    HostTarget {
        host: host.into(),
        user: None,
        port: None,
        identity: None,
        known_hosts: None,
        timeout,
    }
}

#[test]
fn the_uri_overrules_the_config_and_tokens_are_expanded() {
    let home = tempfile::tempdir().unwrap();
    let config = config(
        home.path(),
        "Host bm01\n HostName %h.example.org\n User root\n Port 2200\n IdentityFile %d/keys/%r-%h-%n-%p%%\n HostKeyAlias Bm\n",
    );
    let mut target = target("bm01");
    target.user = Some("admin".into());
    let route = route(&target, &config).unwrap();
    assert_eq!(
        (route.address.as_str(), route.port, route.user.as_str()),
        ("bm01.example.org", 2200, "admin")
    );
    let expected = home.path().join("keys/admin-bm01.example.org-bm01-2200%");
    assert_eq!(route.keys.files, [(expected, true)]);
    assert_eq!(route.known.entry, "bm");
}

#[test]
fn a_key_file_of_a_topology_does_not_read_the_environment() {
    let home = tempfile::tempdir().unwrap();
    let mut target = target("bm01");
    target.identity = Some("/keys/${PATH}/%h".into());
    target.known_hosts = Some("~/known".into());
    let route = route(&target, &config(home.path(), "")).unwrap();
    assert_eq!(route.keys.files[0].0, Path::new("/keys/${PATH}/%h"));
    assert_eq!(route.known.files, [home.path().join("known")]);
}

#[test]
fn without_a_config_the_defaults_of_ssh_apply() {
    let home = tempfile::tempdir().unwrap();
    let route = route(&target("Bm01"), &config(home.path(), "")).unwrap();
    assert_eq!(
        (route.address.as_str(), route.port, route.user.as_str()),
        ("Bm01", 22, "me")
    );
    assert_eq!(route.known.entry, "bm01");
    assert_eq!(route.keys.files.len(), 3);
    assert!(route.known.accept.contains("ssh me@Bm01 true") || route.known.accept.contains("-F"));
}

#[test]
fn a_jump_host_is_parsed_and_a_chain_is_rejected() {
    let jump = parse_jump("ssh://me@[::1]:2222", &target("a")).unwrap();
    assert_eq!(
        (jump.host.as_str(), jump.user.as_deref(), jump.port),
        ("::1", Some("me"), Some(2222))
    );
    assert_eq!(parse_jump("gate", &target("a")).unwrap().port, None);
    assert!(parse_jump("a,b", &target("a")).is_err());
    assert!(parse_jump("a:x", &target("a")).is_err());
}

#[test]
fn a_proxy_command_is_refused_by_name() {
    let home = tempfile::tempdir().unwrap();
    let error = route(&target("a"), &config(home.path(), "ProxyCommand nc %h %p\n"))
        .err()
        .unwrap();
    assert!(error.to_string().contains("ProxyCommand (nc %h %p)"), "{error}");
    assert!(error.hint().is_some());
}
