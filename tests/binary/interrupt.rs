//! Signals while a host does not answer: exit code 130, and nothing is left here.

use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::hosts::{silent, topology};
use crate::program::{Ran, Vcluster};

/// Time for the program to connect.
const LIMIT: Duration = Duration::from_mins(1);

/// Sends a signal to a command once it waits for the host of `demo.yaml`; `URI` in an argument is that host.
fn interrupted<const N: usize>(args: [&str; N], signal: Signal) -> Ran {
    let (listener, uri) = silent();
    let args = args.map(|arg| arg.replace("URI", &uri));
    let program = Vcluster::new()
        .file("demo.yaml", &topology(&uri))
        .args(args.iter().map(String::as_str));
    let child = program.begin();
    let _connection = accept(&listener);
    // The signal handlers are installed before the connection is made, but by another thread.
    std::thread::sleep(Duration::from_millis(500));
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
    program.finish(child)
}

fn accept(listener: &TcpListener) -> TcpStream {
    listener.set_nonblocking(true).unwrap();
    let began = Instant::now();
    loop {
        match listener.accept() {
            Ok((connection, _)) => return connection,
            Err(error) => assert!(began.elapsed() < LIMIT, "nothing connects: {error}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn control_c_ends_up_with_130_and_nothing_is_left_here() {
    let ran = interrupted(["up", "demo.yaml"], Signal::SIGINT)
        .code(130)
        .prints_nothing()
        .says("error: interrupted");
    assert!(!ran.path("state/vcluster/demo").exists(), "it left a directory");
}

#[test]
fn sigterm_ends_a_plan_with_130_and_the_error_is_json_where_asked_for() {
    let ran = interrupted(["plan", "--format", "json", "demo.yaml"], Signal::SIGTERM).code(130);
    let error = ran.error();
    assert_eq!(error["error"], "interrupted");
    assert_eq!(error["exit_code"], 130);
}

#[test]
fn an_interrupted_down_has_asked_nothing_and_changed_nothing() {
    let ran = interrupted(["down", "demo", "--hosts", "URI"], Signal::SIGINT)
        .code(130)
        .prints_nothing()
        .says("error: interrupted");
    assert!(!ran.stderr.contains("[y/N]"), "{}", ran.stderr);
    assert!(!ran.path("state/vcluster/demo").exists(), "it left a directory");
}
