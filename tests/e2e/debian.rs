//! The Debian image: systemd and an unmodified cloud-init, its own disk, a login user other than root.

use crate::world::{World, find};

const TOPOLOGY: &str = r#"
groups: { web: { count: 1, image: debian, memory: 512MiB, disk: 4GiB } }
configure:
  - { on: "@all", template: note.hbs, to: /etc/note, mode: "0640" }
  - { on: "@all", run: "id -un > /root/configured-by" }
"#;

/// Run on the node as the login user.
const LOOK: &str = "id -un; hostname; sudo -n cat /root/configured-by; sudo -n stat -c '%U %a' /etc/note; \
    grep -c '\"errors\": \\[\\]' /run/cloud-init/result.json; cat /sys/class/block/vda/size; \
    test $(df --output=size -m / | tail -n 1) -gt 3500 && echo grown; \
    stat -c '%U %a' /etc/ssh/ssh_host_*_key; sudo -n sshd -T | grep -i '^passwordauthentication'; \
    grep -c web001 /etc/hosts";

#[test]
fn a_debian_node_is_configured_by_cloud_init_and_by_steps_that_run_as_root() {
    let world = World::new();
    let name = world.name.as_str();
    world.write("note.hbs", "{{node.name}} at {{node.address}}\n");
    world.topology("bm01", TOPOLOGY);
    world.run(&["up"]).code(0).says("is up: 1 node on 1 host");
    let seen = world.run(&["ssh", "-c", name, "web001", LOOK]).code(0);
    let lines: Vec<&str> = seen.stdout.lines().collect();
    assert_eq!(
        lines,
        [
            "debian",
            "web001",
            "root",
            "root 640",
            "1",
            "8388608",
            "grown",
            "root 600",
            "passwordauthentication no",
            "1"
        ],
        "{}",
        seen.stderr
    );

    secrets_are_roots_alone(&world);
    systemd_runs_the_reaper(&world);
    a_foreign_host_key_is_refused(&world);
    world.run(&["down", "-y"]).code(0).says("nothing is left");
    assert_eq!(world.traces(), Vec::<String>::new());
}

/// Modes of all files with the node's private key, the number of passwords, and how much of the seed the login
/// user can read. (The brackets keep the search from finding itself in the log of sudo.)
const SECRETS: &str = "sudo -n grep -rl 'OPENSSH PRIVATE[ ]KEY' /run /var/lib/cloud /etc /var/log /root 2>/dev/null | \
    sudo -n xargs stat -c '%U %a' | sort -u; sudo -n awk -F: '$2 !~ /^[!*]/' /etc/shadow | wc -l; \
    cat /dev/vdb 2>/dev/null | wc -c; sudo -n sshd -T | grep -iE '^(kbdinteractive|permitempty|permitroot)' | sort";

fn secrets_are_roots_alone(world: &World) {
    let seen = world.run(&["ssh", "-c", &world.name, "web001", SECRETS]).code(0);
    let (modes, rest): (Vec<&str>, Vec<&str>) =
        seen.stdout.lines().partition(|line| line.starts_with("root "));
    assert!(!modes.is_empty(), "{seen:?}");
    assert!(
        modes.iter().all(|line| matches!(*line, "root 600" | "root 400")),
        "{modes:?}"
    );
    assert_eq!(
        rest,
        [
            "0",
            "0",
            "kbdinteractiveauthentication no",
            "permitemptypasswords no",
            "permitrootlogin without-password"
        ]
    );
}

/// A claim with an expired lease and one with a valid lease, on a machine without libvirt: its `virsh` lists no
/// domain. This tests systemd with the installed units and script.
const CLAIMS: &str = r#"set -e
printf '#!/bin/sh\n' >/usr/local/bin/virsh; chmod 755 /usr/local/bin/virsh
for c in "old 2020-01-31T12:00:00Z" "new 2999-01-31T12:00:00Z"; do
  set -- $c
  d=/var/lib/libvirt/images/vcluster/$1.0000000a
  mkdir -p $d
  printf '{"cluster":"%s","id":"0000000a-0000-0000-0000-000000000000","controller":"c"}' $1 >$d/owner.json
  printf '{"version":1,"cluster":"%s","expires":"%s","vni":1}' $1 $2 >$d/claim.json
  : >$d/lock
done
sh /tmp/install.sh
i=0
while [ -e /var/lib/libvirt/images/vcluster/old.0000000a ] && [ $i -lt 60 ]; do sleep 2; i=$((i + 1)); done
ls /var/lib/libvirt/images/vcluster
systemctl is-enabled vcluster-reaper.timer; systemctl is-active vcluster-reaper.timer
systemctl show -P Result vcluster-reaper.service
journalctl -q -o cat -t vcluster-reaper | head -n 1
"#;

fn systemd_runs_the_reaper(world: &World) {
    let name = world.name.as_str();
    let script = world
        .run(&["reaper", "script", "--install", "--every", "10s"])
        .code(0)
        .stdout;
    world.write("install.sh", &script);
    world.write("claims.sh", CLAIMS);
    for file in ["install.sh", "claims.sh"] {
        world
            .run(&["push", "-c", name, file, &format!("/tmp/{file}")])
            .code(0);
    }
    let seen = world
        .run(&["ssh", "-c", name, "web001", "sudo -n sh /tmp/claims.sh"])
        .code(0);
    let lines: Vec<&str> = seen.stdout.lines().collect();
    assert_eq!(
        lines,
        [
            "new.0000000a",
            "enabled",
            "active",
            "success",
            "removing cluster old (0000000a): its lease has ended"
        ],
        "{}",
        seen.stderr
    );
}

fn a_foreign_host_key_is_refused(world: &World) {
    let name = world.name.as_str();
    let key = "cut -d' ' -f2 /etc/ssh/ssh_host_ed25519_key.pub";
    let key = world
        .run(&["ssh", "-c", name, "web001", &format!("sudo -n {key}")])
        .code(0)
        .stdout;
    let pinned = std::fs::read_to_string(find(&world.state(), "known_hosts")).unwrap();
    assert!(pinned.contains(key.trim()), "{key} is not in {pinned}");
    let change = "sudo -n sh -c 'cd /etc/ssh && rm ssh_host_* && \
        ssh-keygen -q -t ed25519 -N \"\" -f ssh_host_ed25519_key && systemctl restart ssh'";
    world.run(&["ssh", "-c", name, "web001", change]).code(0);
    let refused = world.run(&["exec", "-c", name, "--", "true"]);
    assert_ne!(refused.code, Some(0), "{refused:?}");
    refused.says("host key");
}
