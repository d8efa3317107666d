use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use super::*;

/// A config file in a home directory.
pub(in crate::ssh) fn config(home: &Path, text: &str) -> SshConfig {
    let path = home.join("ssh_config");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    SshConfig::new(Some(path), home.to_owned(), "me")
}

/// A host as a URI names it.
pub(in crate::ssh) fn target(host: &str) -> HostTarget {
    HostTarget {
        host: host.into(),
        user: None,
        port: None,
        identity: None,
        known_hosts: None,
        timeout: Duration::from_secs(10),
    }
}

#[tokio::test]
async fn match_blocks_and_includes_apply_as_in_ssh() {
    let home = tempfile::tempdir().unwrap();
    let included = home.path().join("more.conf");
    fs::write(&included, "Host bm02\n User included\n").unwrap();
    let config = config(
        home.path(),
        &format!(
            "Match host bm01 exec \"true\"\n User matched\nMatch exec \"false\"\n User never\n\
             Match host bm03 user admin\n Port 2203\nHost *\n Include {}\n User other\n",
            included.display()
        ),
    );
    for (host, user) in [("bm01", "matched"), ("bm02", "included"), ("bm03", "other")] {
        assert_eq!(config.settings(&target(host)).await.unwrap().user, user, "{host}");
    }
    // The user of the URI counts in `Match user`.
    let mut named = target("bm03");
    named.user = Some("admin".into());
    let settings = config.settings(&named).await.unwrap();
    assert_eq!((settings.user.as_str(), settings.port), ("admin", 2203));
}

#[tokio::test]
async fn each_host_is_asked_about_once() {
    let home = tempfile::tempdir().unwrap();
    let count = home.path().join("count");
    let config = config(
        home.path(),
        &format!("Match exec \"echo x >>{}\"\n User me\n", count.display()),
    );
    let again = config.clone();
    let (host, twice) = (target("bm01"), target("bm01"));
    let (one, other) = tokio::join!(config.settings(&host), again.settings(&twice));
    assert_eq!(one.unwrap(), other.unwrap());
    assert_eq!(fs::read_to_string(&count).unwrap(), "x\n");
}

#[tokio::test]
async fn what_ssh_refuses_is_an_error_in_its_words() {
    let home = tempfile::tempdir().unwrap();
    for (text, part) in [
        ("Foo bar\n", "Bad configuration option: foo"),
        ("Host a\n Port x\n", "line 2"),
    ] {
        let error = config(home.path(), text)
            .settings(&target("a"))
            .await
            .unwrap_err();
        assert!(matches!(error, SshError::Config { .. }), "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
    let absent = SshConfig::new(Some(home.path().join("absent")), home.path().to_owned(), "me");
    let error = absent.settings(&target("a")).await.unwrap_err().to_string();
    assert!(error.contains("absent"), "{error}");
}
