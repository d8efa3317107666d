//! Secrets are readable by their owner only, and a node's output cannot control the terminal.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use crate::world::{World, program};

/// Files and directories that other users may read or write.
fn open_to_others(at: &Path, found: &mut Vec<String>) {
    let meta = std::fs::symlink_metadata(at).unwrap();
    if meta.mode() & 0o077 != 0 && !meta.is_symlink() {
        found.push(format!("{} {:o}", at.display(), meta.mode() & 0o7777));
    }
    if meta.is_dir() {
        for entry in std::fs::read_dir(at).unwrap() {
            open_to_others(&entry.unwrap().path(), found);
        }
    }
}

/// On the node: modes of the files with the private key, the number of passwords, whether the seed is still there.
const LOOK: &str = "stat -c '%a %n' /etc/dropbear /etc/dropbear/host_key /root/.ssh /root/.ssh/authorized_keys /etc/shadow; \
    grep -cv ':[*!]' /etc/shadow; ls /seed | wc -l; ps | grep '[d]ropbear' | grep -vc 'dropbear -s'; true";

/// On the node: a command that tries to clear the screen, set the title and reverse the text.
const LOUD: &str = "printf '\\033[2J\\033]0;owned\\007\\302\\2332J\\342\\200\\256 end\\r\\n'";

#[test]
fn keys_and_seeds_are_readable_by_their_owner_only_and_nodes_accept_no_password() {
    let world = World::new();
    let name = world.name.as_str();
    world.topology(
        "bm01",
        "groups: { web: { count: 1 } }\nworkload: [{ name: load, on: \"@all\", run: \"umask 0; echo x >/tmp/x\", collect: [/tmp/x] }]\n",
    );
    // With any umask of a CI job.
    let script = format!("umask 000; exec {} \"$@\"", env!("CARGO_BIN_EXE_vcluster"));
    for verb in ["up", "run"] {
        let mut command = Command::new("sh");
        command
            .args(["-c", &script, "vcluster", verb])
            .current_dir(world.path(""))
            .env("XDG_STATE_HOME", world.path("state"));
        program(&mut command).code(0);
    }
    let mut open = Vec::new();
    open_to_others(&world.state(), &mut open);
    // Collected files keep their modes, in a directory that is closed to other users.
    open.retain(|path| !path.contains("/results/"));
    assert_eq!(open, Vec::<String>::new());
    let mut collected = Vec::new();
    open_to_others(&world.state().join("results"), &mut collected);
    assert!(
        collected
            .iter()
            .all(|path| !path.ends_with('6') && !path.ends_with('7')),
        "{collected:?}"
    );

    let lab = std::env::var("VCLUSTER_SSH_CONFIG").unwrap();
    let modes = format!("stat -c '%a %n' /var/lib/libvirt/images/vcluster/{name}.*/web001.seed");
    let seed = program(Command::new("ssh").args(["-F", &lab, "root@bm01", &modes])).code(0);
    assert!(seed.stdout.starts_with("600 "), "{seed:?}");

    let inside = world.run(&["ssh", "-c", name, "web001", LOOK]).code(0);
    let expected = "700 /etc/dropbear\n600 /etc/dropbear/host_key\n700 /root/.ssh\n600 /root/.ssh/authorized_keys\n\
                    600 /etc/shadow\n0\n0\n0\n";
    assert_eq!(inside.stdout, expected, "{inside:?}");

    let config = world.ssh_config();
    let password = program(Command::new("ssh").args([
        "-F",
        &config,
        "-o",
        "PubkeyAuthentication=no",
        "-o",
        "PasswordAuthentication=yes",
        "-o",
        "NumberOfPasswordPrompts=0",
        "web001",
        "true",
    ]));
    assert!(
        password.stderr.contains("Permission denied (publickey)"),
        "{password:?}"
    );

    for (args, ended) in [
        (
            vec!["exec", "-c", name, "--", LOUD],
            "web001: ^[[2J^[]0;owned^G\\u{9b}2J\\u{202e} end",
        ),
        (
            vec!["exec", "-b", "-c", name, "--", LOUD],
            "^[[2J^[]0;owned^G\\u{9b}2J\\u{202e} end",
        ),
        (vec!["exec", "--format", "json", "-c", name, "--", LOUD], "owned"),
    ] {
        let ran = world.run(&args).code(0);
        assert!(ran.stdout.contains(ended), "{ran:?}");
        for text in [&ran.stdout, &ran.stderr] {
            let bad = text
                .chars()
                .find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
            assert_eq!(bad, None, "{args:?}: {text:?}");
        }
    }
    world.run(&["down", "-y"]).code(0);
}
