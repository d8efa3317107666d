//! Signals while a host does not answer: exit code 130, and nothing is left here.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::process::Child;
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
    send(&child, signal);
    program.finish(child)
}

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
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

#[test]
fn the_third_control_c_ends_what_waits_for_the_reader_of_its_output() {
    // More than a pipe holds.
    let program = Vcluster::new().args(["nodeset", "--expand", "--separator", "\n", "node[1-99999]"]);
    let mut child = program.begin();
    child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    let began = Instant::now();
    let ended = loop {
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        assert!(began.elapsed() < LIMIT, "it does not end");
        send(&child, Signal::SIGINT);
        std::thread::sleep(Duration::from_millis(100));
    };
    assert_eq!(ended.code(), Some(130));
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.contains("press Ctrl-C again"), "{said}");
}
