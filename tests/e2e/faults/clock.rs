//! Wall clocks that jump while vcluster works: the controller's, and a host's (for its libvirtd and all commands).
//! The hosts of the lab share the machine's clock, so libfaketime simulates separate ones. Timeouts use the monotonic
//! clock, which does not jump on a real machine either.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::{
    THREE, all_answer, begin_until, down_leaves_nothing, down_until_clean, host, restart_libvirtd, took,
};
use crate::world::{World, finish, on_host};

/// Environment for libfaketime, with a clock that is read from a file.
fn environment(file: &str) -> Vec<(&'static str, String)> {
    vec![
        ("LD_PRELOAD", "/usr/$LIB/faketime/libfaketimeMT.so.1".into()),
        ("FAKETIME_TIMESTAMP_FILE", file.to_owned()),
        ("FAKETIME_NO_CACHE", "1".into()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
    ]
}

/// The controller's clock.
struct Clock(PathBuf);

impl Clock {
    fn of(world: &mut World) -> Self {
        let clock = Self(world.path("clock"));
        clock.jump("+0");
        world.environment = environment(clock.0.to_str().unwrap());
        clock
    }

    fn jump(&self, to: &str) {
        let new = self.0.with_extension("new");
        std::fs::write(&new, format!("{to}\n")).unwrap();
        std::fs::rename(new, &self.0).unwrap();
    }
}

/// Restores a host's clock.
struct Right(&'static str);

impl Drop for Right {
    fn drop(&mut self) {
        begin_daemons(
            self.0,
            "sed -i '/^SetEnv /d' /etc/ssh/sshd_config; rm -f /root/clock",
            "",
        );
    }
}

fn jump_on(name: &str, to: &str) {
    host(
        name,
        &format!("echo '{to}' >/root/clock.new && mv /root/clock.new /root/clock"),
    );
}

fn give_clock(name: &'static str) -> Right {
    let all: Vec<String> = environment("/root/clock")
        .into_iter()
        .map(|(name, value)| format!("'{name}={value}'"))
        .collect();
    let all = all.join(" ");
    jump_on(name, "+0");
    let right = Right(name);
    let configure = format!("printf 'SetEnv %s %s %s %s\\n' {all} >>/etc/ssh/sshd_config");
    begin_daemons(name, &configure, &format!("env {all}"));
    right
}

/// Configures a host's sshd, and restarts its libvirtd with these words before its name.
fn begin_daemons(name: &str, configure: &str, with: &str) {
    let restart = restart_libvirtd(with);
    host(
        name,
        &format!(
            "{configure}; kill -HUP $(cat /run/sshd.pid); {restart} \
             until virsh version >/dev/null 2>&1; do sleep 0.1; done"
        ),
    );
}

#[test]
fn a_controllers_clock_that_jumps_affects_only_the_lease() {
    let mut world = World::new();
    let clock = Clock::of(&mut world);
    world.topology("bm[01-03]", THREE);
    let up = begin_until(
        &world,
        &["up", "--format", "json"],
        &[r#""stage":"boot""#, "begun", "n002"],
    );
    let began = Instant::now();
    clock.jump("+2d");
    up.finish().code(0);
    took(began, "controller's clock jumps ahead", "up", "all nodes up");
    all_answer(&world, 3);
    // By this clock the lease of four hours was created two days ago.
    world.run(&["status"]).code(0).says("its lease ended at");
    world.run(&["up"]).code(0);
    world.run(&["status"]).code(0).says("lease ends at");

    let exec = world.begin(&["exec", "--", "sleep 5; echo done"]);
    std::thread::sleep(Duration::from_secs(2));
    let began = Instant::now();
    clock.jump("-1d");
    let ran = finish(exec).code(0);
    took(began, "controller's clock jumps back", "exec", "all nodes answer");
    assert_eq!(ran.stdout.matches("done").count(), 3, "{}", ran.stdout);
    world.run(&["gc", "--dry-run"]).code(0);
    all_answer(&world, 3);
    down_leaves_nothing(&world);
}

#[test]
fn a_hosts_clock_that_jumps_has_no_effect() {
    let world = World::new();
    world.topology("bm[01-03]", THREE);
    let right = give_clock("bm02");
    let up = begin_until(
        &world,
        &["up", "--format", "json"],
        &[r#""stage":"boot""#, "begun", "n002"],
    );
    let began = Instant::now();
    jump_on("bm02", "+2d");
    up.finish().code(0);
    took(began, "host's clock jumps ahead", "up", "all nodes up");
    assert!(
        seen_on("bm02") > seen_on("bm01") + 86_400,
        "the host's clock did not jump"
    );
    all_answer(&world, 3);
    // Everything that looks old by the host's clock is in use.
    world.run(&["gc", "-y"]).code(0);
    all_answer(&world, 3);
    let down = down_until_clean(&world);
    let began = Instant::now();
    jump_on("bm02", "-1d");
    down.finish().code(0);
    took(began, "host's clock jumps back", "down", "nothing left");
    assert_eq!(world.traces(), Vec::<String>::new());
    drop(right);
}

/// The time on a host, queried as vcluster does.
fn seen_on(name: &str) -> u64 {
    let output = on_host(name, "date +%s");
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}
