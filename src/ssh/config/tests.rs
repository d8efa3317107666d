use std::os::unix::fs::PermissionsExt;

use super::*;

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// A config file of a home directory.
pub(in crate::ssh) fn config(home: &Path, text: &str) -> SshConfig {
    let path = home.join(".ssh/config");
    write(&path, text);
    SshConfig {
        path,
        required: true,
        home: home.to_owned(),
        user: "me".into(),
        agent: None,
    }
}

#[test]
fn the_first_value_counts_and_identity_files_add_up() {
    let home = tempfile::tempdir().unwrap();
    let config = config(
        home.path(),
        "Host bm* !bm09\n  User root\n  Port=2222\n  IdentityFile ~/.ssh/a\n\
         Host *\n User other\n Port 22\n IdentityFile \"~/.ssh/b c\" # why\n IdentitiesOnly yes\n",
    );
    let settings = config.settings("bm01").unwrap();
    assert_eq!(settings.user.as_deref(), Some("root"));
    assert_eq!(settings.port, Some(2222));
    assert_eq!(settings.identity_files, ["~/.ssh/a", "~/.ssh/b c"]);
    assert_eq!(settings.identities_only, Some(true));
    let negated = config.settings("bm09").unwrap();
    assert_eq!(negated.user.as_deref(), Some("other"));
}

#[test]
fn included_files_apply_where_they_are_included() {
    let home = tempfile::tempdir().unwrap();
    write(
        &home.path().join(".ssh/conf.d/10-a.conf"),
        "Host bm01\nUser included\nHost other\nPort 1\n",
    );
    write(&home.path().join(".ssh/conf.d/20-b.conf"), "HostName=10.0.0.7\n");
    let config = config(
        home.path(),
        "Include conf.d/*.conf\nUser late\nHost x\nInclude nothing\n",
    );
    let settings = config.settings("bm01").unwrap();
    assert_eq!(settings.user.as_deref(), Some("included"));
    assert_eq!(settings.host_name.as_deref(), Some("10.0.0.7"));
    assert_eq!(config.settings("bm02").unwrap().user.as_deref(), Some("late"));
}

#[test]
fn a_file_that_includes_itself_is_an_error_and_not_a_loop() {
    let home = tempfile::tempdir().unwrap();
    let config = config(home.path(), "Include config\n");
    assert!(
        config
            .settings("a")
            .unwrap_err()
            .to_string()
            .contains("too deeply")
    );
}

#[test]
fn a_match_block_is_ignored_with_a_note() {
    let home = tempfile::tempdir().unwrap();
    let config = config(
        home.path(),
        "Match host bm01 exec \"false\"\nUser bad\nMatch all\nPort 7\n",
    );
    let settings = config.settings("bm01").unwrap();
    assert_eq!((settings.user, settings.port), (None, Some(7)));
    assert_eq!(settings.notes.len(), 1);
}

#[test]
fn turning_off_the_host_key_check_means_accept_new() {
    let home = tempfile::tempdir().unwrap();
    for (word, expected) in [
        ("no", Strictness::AcceptNew),
        ("accept-new", Strictness::AcceptNew),
        ("ask", Strictness::Strict),
    ] {
        let config = config(home.path(), &format!("StrictHostKeyChecking {word}\n"));
        assert_eq!(config.settings("a").unwrap().strictness, Some(expected));
    }
}

#[test]
fn the_first_of_proxy_jump_and_proxy_command_counts() {
    let home = tempfile::tempdir().unwrap();
    let config = config(
        home.path(),
        "Host a\nProxyJump none\nHost *\nProxyCommand nc %h %p\n",
    );
    let a = config.settings("a").unwrap();
    assert_eq!((a.proxy_jump, a.proxy_command), (None, None));
    assert_eq!(
        config.settings("b").unwrap().proxy_command.as_deref(),
        Some("nc %h %p")
    );
}

#[test]
fn mistakes_name_file_and_line() {
    let home = tempfile::tempdir().unwrap();
    for (text, part) in [
        ("User a\nPort x\n", "config:2: bad port"),
        ("User \"a\n", "config:1: a quote"),
        ("Port\n", "config:1: `port` has no value"),
        ("Port 0\n", "bad port"),
    ] {
        let error = config(home.path(), text).settings("a").unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_config_that_others_may_write_is_not_trusted() {
    let home = tempfile::tempdir().unwrap();
    let config = config(home.path(), "User a\n");
    fs::set_permissions(&config.path, fs::Permissions::from_mode(0o666)).unwrap();
    assert!(
        config
            .settings("a")
            .unwrap_err()
            .to_string()
            .contains("not trusted")
    );
}
