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

/// Compares what is concluded about a host with what `ssh` itself says about it.
#[tokio::test]
async fn hosts_that_are_alike_get_what_ssh_says_of_each() {
    let home = tempfile::tempdir().unwrap();
    let included = home.path().join("more.conf");
    fs::write(&included, "Host *4\n Port 2204\n").unwrap();
    let text = format!(
        "Include {}\nHost bm01\n HostName 10.0.0.1\nHost bm02\n HostName bm02.example.org\n\
         Host bm* !bm05\n User root\n IdentityFile ~/keys/a\n ControlPath ~/.ssh/%h\n\
         Host bm06\n IdentityFile ~/keys/%h\nHost *\n ProxyJump bm03\n",
        included.display()
    );
    let shared = config(home.path(), &text);
    for name in [
        "bm01", "bm02", "bm04", "bm05", "bm06", "bm07", "gate", "10.0.0.8", "BM07", "bm03",
    ] {
        for user in [None, Some("admin".to_owned())] {
            let mut target = target(name);
            target.user = user;
            let own = config(home.path(), &text).settings(&target).await;
            let found = shared.settings(&target).await;
            match (own, found) {
                (Ok(own), Ok(found)) => assert_eq!(own, found, "{name}"),
                (own, found) => assert!(own.is_err() && found.is_err(), "{name}: {own:?} {found:?}"),
            }
        }
    }
    // For each user: bm01 with bm02 and bm07, bm04, and those that no pattern of `bm*` matches.
    assert_eq!(shared.classes.lock().unwrap().len(), 6);
}
